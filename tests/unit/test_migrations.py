"""The database comes up to date, once, whoever starts first."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from memeapp.errors import BadInput, Busy, Mismatch
from memeapp.judging import Judgement, Suggestions, VoteKind
from memeapp.migrations import MIGRATIONS, migrate
from memeapp.store import Store
from memeapp.types import Job, JobKind, JobState


def test_migrating_twice_changes_nothing() -> None:
    with Database(memory=True) as db:
        migrate(db)
        schema = db.schema
        migrate(db)
        assert db.schema == schema


def test_a_database_newer_than_the_program_is_refused_by_name(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with Database(tmp_path / "memeapp.db") as db:
        db.table(MIGRATIONS.migrations_table).insert(
            {"migration_set": MIGRATIONS.name, "name": "9999_flying_cars", "applied_at": "then"}
        )
    with pytest.raises(Mismatch, match="9999_flying_cars"):
        Store(tmp_path)


def test_a_migration_that_fails_leaves_nothing_behind_and_those_before_it_stay() -> None:
    migrations = Migrations("memeapp")

    @migrations(name="0001")
    def good(db: Database) -> None:
        db.execute("CREATE TABLE good (a)")

    @migrations(name="0002")
    def bad(db: Database) -> None:
        db.execute("CREATE TABLE half (a)")
        raise RuntimeError("the power went")

    with Database(memory=True) as db:
        with pytest.raises(RuntimeError):
            migrate(db, migrations)
        assert "good" in db.table_names()
        assert "half" not in db.table_names()
        assert [done.name for done in migrations.applied(db)] == ["0001"]


def test_processes_that_start_at_once_in_an_empty_folder_all_get_a_database(
    tmp_path: Path,
) -> None:
    program = (
        "import sys; from pathlib import Path; from memeapp.store import Store;"
        "sys.stdin.readline(); Store(Path(sys.argv[1])).add_annotator(sys.argv[2])"
    )
    folder = tmp_path / "data"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder), f"annotator {number}"],
            stdin=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert Store(folder).counts([]).annotators == 4


MEMES = ["a" * 64, "b" * 64, "c" * 64]
PEOPLE = ["cookie-of-ada", "cookie-of-bob"]
VOTES = [  # meme, annotator, labels, seconds, revealed, key
    (MEMES[0], PEOPLE[0], '{"misogynous": true, "shaming": false}', 1.5, 1, "k1"),
    (MEMES[0], PEOPLE[1], '{"misogynous": false}', 2.25, 0, "k1"),
    (MEMES[1], PEOPLE[0], '{"misogynous": false}', 0.5, 0, "k2"),
    (MEMES[0], "mami", '{"misogynous": true}', 0.0, 0, "k1"),
    (MEMES[2], "mami", '{"misogynous": true, "violence": true}', 0.0, 0, "k2"),
]


def before_sessions(folder: Path, people: list[str]) -> None:
    """A database as the release before sessions left it."""
    folder.mkdir()
    with Database(folder / "memeapp.db", execute_plugins=False) as db:
        MIGRATIONS.apply(db, stop_before="0003_sessions")
        db.execute("PRAGMA foreign_keys=ON")
        for number, meme in enumerate(MEMES):
            db.execute(
                "INSERT INTO memes (id, width, height, phash, family, held_out, text, text_source,"
                " origin, created_at) VALUES (?, 4, 3, ?, ?, 0, '', 'none', 'import:a', '2026')",
                [meme, meme[:16], MEMES[min(number, 1)]],
            )
        for id, kind in [*((id, "person") for id in people), ("mami", "import")]:
            db.execute(
                "INSERT INTO annotators VALUES (?, ?, ?, ?, '2026-05-01')", [id, id, id, kind]
            )
        for vote in VOTES:
            if vote[1] in [*people, "mami"]:
                db.execute(
                    "INSERT INTO votes (meme_id, annotator_id, labels, seconds, revealed, key,"
                    " created_at) VALUES (?, ?, ?, ?, ?, ?, '2026-05-02')",
                    list(vote),
                )
        db.execute("INSERT INTO jobs (state, created_at, updated_at) VALUES ('failed', '', '')")
        db.commit()


def test_sessions_come_to_a_database_with_votes_and_nothing_is_lost(tmp_path: Path) -> None:
    before_sessions(tmp_path / "data", PEOPLE)
    store = Store(tmp_path / "data")
    db = store._db
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert [
        (*row, "2026-05-02")
        for row in db.execute(
            "SELECT meme_id, annotator_id, labels, seconds, revealed, key FROM votes ORDER BY id"
        )
    ] == [(*vote, "2026-05-02") for vote in VOTES]
    assert [vote.id for vote in store.all_votes()] == [1, 2, 3, 4, 5]
    assert store.standing_votes() == store.standing_votes(blind=True) == store.all_votes()
    assert {vote.kind for vote in store.all_votes()} == {VoteKind.VOTE}
    assert [meme.id for meme in store.memes(labelled=True)] == MEMES
    counts = dict(db.execute("SELECT id, vote_count FROM memes").fetchall())
    assert counts == {MEMES[0]: 3, MEMES[1]: 1, MEMES[2]: 1}
    job = store.latest_job()
    assert job is not None and job.id == 1
    left = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'old_%'"
    assert db.execute(left).fetchone() == (0,)
    store.close()


def test_who_joined_before_there_were_sessions_goes_on_in_one_of_all_memes(tmp_path: Path) -> None:
    before_sessions(tmp_path / "data", PEOPLE)
    store = Store(tmp_path / "data")
    (session,) = store.sessions()
    assert sorted(store.session_meme_ids(session.id)) == MEMES
    assert session.plan.votes_per_meme == 3
    assert session.plan.suggestions is Suggestions.NONE
    for id in PEOPLE:
        assert store.annotator(id).session_id == session.id
    assert store.annotator("mami").session_id is None
    assert store.named_annotator("MAMI", "import").id == "mami"
    with pytest.raises(BadInput, match="taken"):
        store.add_annotator("Cookie-of-Ada", session_id=session.id)
    places = "SELECT meme_id, votes, wanted, done FROM session_memes ORDER BY meme_id"
    assert store._db.execute(places).fetchall() == [
        (MEMES[0], 2, 3, 0),  # an import holds no place
        (MEMES[1], 1, 3, 0),
        (MEMES[2], 0, 3, 0),
    ]
    assert store.vote_count_of(PEOPLE[0]) == 2
    assert store.record(PEOPLE[0], MEMES[0], Judgement({"misogynous": True}), key="k1").id == 1
    cards = store.next_cards(PEOPLE[0], "tab")  # what she has not judged
    assert [card.meme.id for card in cards] == [MEMES[2]]
    new = store.record(PEOPLE[0], MEMES[2], Judgement({"misogynous": True}), key="new")
    assert new.session_id == session.id
    edited = store.record(PEOPLE[0], MEMES[1], Judgement({"misogynous": True}), key="e", replaces=3)
    assert edited.replaces == 3
    store.close()


def test_without_people_there_is_no_session_to_begin_with(tmp_path: Path) -> None:
    before_sessions(tmp_path / "data", [])
    store = Store(tmp_path / "data")
    assert store.sessions() == []
    assert [vote.annotator_id for vote in store.standing_votes()] == ["mami", "mami"]
    store.close()


def test_jobs_of_before_are_trainings_and_one_of_each_kind_may_be_at_work(tmp_path: Path) -> None:
    with Database(tmp_path / "memeapp.db", execute_plugins=False) as db:
        MIGRATIONS.apply(db, stop_before="0004_job_kinds")
        db.execute(
            "INSERT INTO jobs (state, stage, progress, message, version, pid, encoder, created_at,"
            " updated_at) VALUES ('running', 'Encoding', 0.5, 'm', 'v1', 7, 'e', 'then', 'now')"
        )
        db.commit()
    store = Store(tmp_path)
    job = Job(1, JobState.RUNNING, "Encoding", 0.5, "m", "v1", 7, "then", "now", "e")
    assert store.latest_job() == job
    assert (job.kind, job.options, job.result) == (JobKind.TRAIN, {}, {})
    with pytest.raises(Busy, match="A training job is at work"):
        store.add_job()
    there = store.add_job(kind=JobKind.IMPORT, options={"name": "é.zip"})
    assert store.job(there.id).options == {"name": "é.zip"}
    with pytest.raises(Busy, match="An import is at work"):
        store.add_job(kind=JobKind.IMPORT)
    assert store.add_job(kind=JobKind.EXPORT).kind is JobKind.EXPORT
    assert store.latest_job() == job
    assert store.active_jobs(JobKind.IMPORT) == [there]
    with pytest.raises(sqlite3.IntegrityError):
        store._db.execute("UPDATE jobs SET kind = 'dance'")
    store.close()
