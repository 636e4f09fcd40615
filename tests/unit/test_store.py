"""Memes, features, imported votes, jobs and versions come back as they went in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from storing import NO, YES, FakePicture, add, at_once, picture

from memeapp.errors import AlreadyVoted, BadInput, BadVote, Busy, NotFound
from memeapp.judging import Judgement, Plan, Vote
from memeapp.store import Store, text_key
from memeapp.types import JobState, ModelVersion, TextSource


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def vote(
    store: Store, meme: str, annotator: str, labels: dict[str, bool] = YES, key: str = ""
) -> Vote:
    """As it comes with a data set."""
    return store.import_vote(annotator, meme, labels, key=key or f"{annotator} {meme}")


# Memes


def test_a_meme_comes_back_as_it_went_in(store: Store) -> None:
    meme = add(store, "a", text="Größe 🙂")
    assert store.meme(meme.id) == meme
    assert (meme.width, meme.height, meme.text) == (4, 3, "Größe 🙂")
    assert (meme.text_source, meme.origin) == (TextSource.GIVEN, "visitor")
    assert meme.created_at.endswith("+00:00")
    assert store.picture_path(meme.id).read_bytes() == b"jpeg"
    assert store.picture_path(meme.id).name == f"{meme.id}.jpg"
    assert store.has_meme(meme.id)


def test_two_uploads_of_one_file_are_one_meme(store: Store) -> None:
    first = add(store, "a")
    assert add(store, "a", origin="import:b/a.jpg", text="other") == first
    assert store.memes() == [first]


def test_threads_that_upload_one_file_at_once_get_one_meme(store: Store) -> None:
    memes = at_once(lambda _: add(store, "a"), 8)
    assert memes == store.memes() * 8
    assert len(list(store.folder.glob("pictures/*/*"))) == 1


@pytest.mark.parametrize(
    ("there", "comes", "stays"),
    [
        (TextSource.NONE, TextSource.OCR, "new"),
        (TextSource.NONE, TextSource.GIVEN, "new"),
        (TextSource.OCR, TextSource.GIVEN, "new"),
        (TextSource.GIVEN, TextSource.OCR, "old"),
        (TextSource.OCR, TextSource.NONE, "old"),
        (TextSource.GIVEN, TextSource.GIVEN, "old"),
    ],
)
def test_a_better_text_replaces_a_worse_one(
    store: Store, there: TextSource, comes: TextSource, stays: str
) -> None:
    add(store, "a", text="old", text_source=there)
    assert add(store, "a", text="new", text_source=comes).text == stays


def test_ocr_fills_an_absent_text_and_never_one_that_is_there(store: Store) -> None:
    empty = add(store, "a", text="", text_source=TextSource.NONE)
    store.improve_text(empty.id, "seen", TextSource.OCR)
    assert store.meme(empty.id) == replace(empty, text="seen", text_source=TextSource.OCR)
    given = add(store, "b", text="typed", text_source=TextSource.GIVEN)
    store.improve_text(given.id, "seen", TextSource.OCR)
    assert store.meme(given.id) == given


def test_nobody_changes_a_text_that_people_have_voted_on(store: Store) -> None:
    meme = add(store, "a", text="read", text_source=TextSource.OCR)
    vote(store, meme.id, store.add_annotator("Ada").id)
    assert add(store, "a", text="other", text_source=TextSource.GIVEN).text == "read"


def test_an_unknown_meme_is_an_error(store: Store) -> None:
    def improve(id: str) -> None:
        store.improve_text(id, "", TextSource.OCR)

    for use in (store.meme, store.picture_path, improve):
        with pytest.raises(NotFound, match="no meme"):
            use("../../etc/passwd")


def test_near_pictures_are_a_family_and_far_ones_are_not(store: Store) -> None:
    first = add(store, "a", "0000000000000000")
    assert add(store, "b", "00000000000003ff").family == first.id  # 10 bits apart
    ninth = add(store, "c", "01000000000003ff")  # 11 bits from a, 1 from b
    assert ninth.family == first.id
    far = add(store, "d", "ffffffff00000000")
    assert far.family == far.id


def test_the_nearest_family_is_joined_also_when_another_process_added_it(store: Store) -> None:
    add(store, "a", "00000000000000ff")
    other = Store(store.folder)
    near = add(other, "b", "000000000000ffff")
    assert add(store, "c", "000000000000fffe").family == near.family
    other.close()


def test_a_family_is_held_out_whole_and_stays_so_when_the_share_changes(store: Store) -> None:
    first = add(store, "a", "0000000000000000", holdout_share=0.999999)
    assert first.held_out
    assert add(store, "b", "0000000000000001", holdout_share=0.0).held_out


def test_about_the_asked_share_of_families_is_held_out_and_the_same_ones_everywhere(
    store: Store, tmp_path: Path
) -> None:
    drawn = {name: add(store, name, holdout_share=0.2).held_out for name in map(str, range(60))}
    assert 0.05 < sum(drawn.values()) / len(drawn) < 0.4
    again = Store(tmp_path / "again")
    for name in reversed(drawn):
        assert add(again, name, holdout_share=0.2).held_out == drawn[name]
    again.close()


def test_memes_are_listed_by_holdout_and_by_labelled(store: Store) -> None:
    kept, held = add(store, "a"), add(store, "b", holdout_share=0.999999)
    annotator = store.add_annotator("Ada").id
    vote(store, kept.id, annotator)
    assert store.memes() == [kept, held]
    assert store.memes(held_out=True) == [held]
    assert store.memes(held_out=False) == [kept]
    assert store.memes(labelled=True) == [kept]
    assert store.memes(held_out=False, labelled=False) == []


def test_a_picture_that_cannot_be_encoded_leaves_no_meme_and_no_file(store: Store) -> None:
    class Broken(FakePicture):
        def to_jpeg(self) -> bytes:
            raise OSError("no space left on device")

    broken = Broken("0" * 64, "0" * 16)
    with pytest.raises(OSError, match="no space"):
        store.add_meme(
            broken, text="", text_source=TextSource.NONE, origin="visitor", holdout_share=0
        )
    assert store.memes() == []
    assert list(store.folder.glob("pictures/*/*")) == []


def test_a_picture_file_without_its_row_is_taken_over(store: Store) -> None:
    path = store.folder / "pictures" / picture("a").id[:2] / f"{picture('a').id}.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"jpeg")  # the process was killed between the file and the row
    assert store.picture_path(add(store, "a").id) == path


# Features


def test_features_come_back_bit_for_bit_as_float32(store: Store) -> None:
    vector = np.linspace(-1, 1, 5)
    store.put_image_features("e1", {"a": vector, "b": vector * 2})
    found = store.image_features("e1", ["a", "b", "c"])
    assert sorted(found) == ["a", "b"]
    assert found["a"].dtype == np.float32
    np.testing.assert_array_equal(found["b"], (vector * 2).astype(np.float32))
    assert store.image_features("e2", ["a"]) == {}


def test_text_features_go_by_the_text_and_a_second_vector_replaces_the_first(store: Store) -> None:
    store.put_text_features("e1", {"Größe": np.zeros(2), "": np.ones(3)})
    store.put_text_features("e1", {"Größe": np.ones(2)})
    found = store.text_features("e1", ["", "Größe", "absent"])
    assert {text: vector.tolist() for text, vector in found.items()} == {
        "": [1, 1, 1],
        "Größe": [1, 1],
    }
    assert len(text_key("Größe")) == 64


def test_ten_thousand_vectors_are_put_and_found_in_one_call(store: Store) -> None:
    rows = {f"{number:064x}": np.full(8, number) for number in range(10_000)}
    store.put_image_features("e1", rows)
    assert len(store.image_features("e1", rows)) == 10_000


@pytest.mark.parametrize("vector", [np.array([1.0, np.nan]), np.zeros((1, 2)), np.array([np.inf])])
def test_a_broken_vector_is_refused_with_its_name_and_none_is_stored(
    store: Store, vector: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="picture-7"):
        store.put_image_features("e1", {"fine": np.zeros(2), "picture-7": vector})
    assert store.image_features("e1", ["fine"]) == {}


# Annotators


def test_an_annotator_comes_back_and_the_name_is_tidied(store: Store) -> None:
    ada = store.add_annotator("  Ada   Lovelace ")
    assert store.annotator(ada.id) == ada
    assert (ada.name, ada.kind) == ("Ada Lovelace", "person")
    with pytest.raises(NotFound, match="join"):
        store.annotator("nobody")


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\nb", "a\x00b", "a\u200bb", "a\u202eb"])
def test_an_unusable_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(BadInput):
        store.add_annotator(name)


@pytest.mark.parametrize("name", ["STRASSE", "strasse", "Straße ", "Ｓtrasse"])
def test_a_taken_name_is_refused_in_every_spelling(store: Store, name: str) -> None:
    store.add_annotator("Straße")
    with pytest.raises(BadInput, match="taken"):
        store.add_annotator(name)


def test_an_import_has_its_own_names_and_finds_its_annotator_again(store: Store) -> None:
    store.add_annotator("mami")
    imported = store.named_annotator("mami", "import")
    assert imported.kind == "import"
    assert store.named_annotator("MAMI", "import") == imported
    with pytest.raises(BadInput):
        store.named_annotator("", "import")
    assert store.counts([]).annotators == 1


# Votes


def test_a_vote_comes_back_as_it_was_given(store: Store) -> None:
    meme, ada = add(store, "a"), store.add_annotator("Ada")
    given = vote(store, meme.id, ada.id, NO)
    assert store.all_votes() == store.standing_votes() == [given]
    assert store.vote(given.id) == given
    assert given.labels == NO
    assert (given.meme_id, given.annotator_id, given.session_id) == (meme.id, ada.id, None)
    assert store.memes(labelled=True) == [meme]
    assert store.vote_count_of(ada.id) == 1
    with pytest.raises(NotFound, match="no vote"):
        store.vote(given.id + 1)


def test_the_votes_on_some_memes_come_without_those_on_others(store: Store) -> None:
    ada = store.add_annotator("Ada").id
    first, second, third = (vote(store, add(store, name).id, ada) for name in "abc")
    assert store.standing_votes([third.meme_id, first.meme_id, "nothing"]) == [first, third]
    assert store.standing_votes([]) == []
    assert second in store.standing_votes()


def test_examples_are_voted_on_neither_held_out_nor_a_visitors_and_newest_first(
    store: Store,
) -> None:
    ada = store.add_annotator("Ada").id
    assert store.last_vote() == 0
    old = add(store, "old", origin="import:a/1.jpg")
    new = add(store, "new", origin="import:a/2.jpg")
    held_out = add(store, "held out", origin="import:a/3.jpg", holdout_share=0.999)
    assert held_out.held_out
    visitors = add(store, "of a visitor")
    add(store, "unlabelled", origin="import:a/4.jpg")
    for meme in (old, visitors, held_out):
        vote(store, meme.id, ada)
    before = store.last_vote()
    vote(store, new.id, ada)
    assert store.last_vote() > before
    assert store.examples(after_vote=0, limit=9) == [new, old]
    assert store.examples(after_vote=0, limit=1) == [new]
    assert store.examples(after_vote=before, limit=9) == [new]
    assert store.examples(after_vote=store.last_vote(), limit=9) == []


def test_the_same_key_five_times_is_one_vote(store: Store) -> None:
    meme, ada = add(store, "a"), store.add_annotator("Ada")
    votes = at_once(lambda _: vote(store, meme.id, ada.id), 5)
    assert votes == store.all_votes() * 5


def test_nobody_judges_a_meme_twice(store: Store) -> None:
    meme, ada = add(store, "a"), store.add_annotator("Ada")
    vote(store, meme.id, ada.id)
    with pytest.raises(AlreadyVoted, match="has judged"):
        vote(store, meme.id, ada.id, NO, key="another")
    assert [one.labels for one in store.all_votes()] == [YES]


def test_a_key_used_for_another_meme_is_an_error_and_never_a_lost_vote(store: Store) -> None:
    ada, bob = store.add_annotator("Ada"), store.add_annotator("Bob")
    first, second = add(store, "a"), add(store, "b")
    vote(store, first.id, ada.id, key="k")
    with pytest.raises(BadVote, match="another meme"):
        vote(store, second.id, ada.id, key="k")
    assert vote(store, second.id, bob.id, key="k").annotator_id == bob.id


@pytest.mark.parametrize("changes", [{"key": ""}, {"key": "k" * 101}, {"labels": {}}])
def test_an_unusable_vote_is_refused(store: Store, changes: dict[str, Any]) -> None:
    meme, ada = add(store, "a"), store.add_annotator("Ada")
    with pytest.raises(BadVote):
        store.import_vote(ada.id, meme.id, **{"key": "k", "labels": YES, **changes})
    assert store.all_votes() == []


def test_a_vote_on_nothing_or_by_nobody_is_an_error(store: Store) -> None:
    meme, ada = add(store, "a"), store.add_annotator("Ada")
    with pytest.raises(NotFound, match="no meme"):
        vote(store, "0" * 64, ada.id)
    with pytest.raises(NotFound, match="no annotator"):
        vote(store, meme.id, "nobody")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE votes SET labels = '{}'",
        "DELETE FROM votes",
        "INSERT OR REPLACE INTO votes SELECT * FROM votes",
        "DELETE FROM memes",
        "DELETE FROM annotators",
    ],
)
def test_a_vote_cannot_be_changed_or_removed_behind_the_back_of_the_store(
    store: Store, sql: str
) -> None:
    meme, ada = add(store, "a"), store.add_annotator("Ada")
    given = vote(store, meme.id, ada.id)
    with pytest.raises(sqlite3.IntegrityError):
        store._db.execute(sql)
    assert store.all_votes() == [given]


def test_every_connection_is_durable_and_checks_references(store: Store) -> None:
    def pragmas(_: int) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert at_once(pragmas, 2) == [["wal", 2, 1, 30_000]] * 2


def test_everything_is_counted(store: Store) -> None:
    first, second, third = add(store, "a"), add(store, "b", holdout_share=0.999999), add(store, "c")
    ada, bob = store.add_annotator("Ada").id, store.add_annotator("Bob").id
    imported = store.named_annotator("mami", "import").id
    vote(store, first.id, ada, YES)
    vote(store, first.id, bob, {"misogynous": True, "shaming": False})
    vote(store, second.id, imported, {"misogynous": True})
    counts = store.counts(["misogynous", "shaming", "violence"])
    assert (counts.memes, counts.labelled, counts.unlabelled) == (3, 2, 1)
    assert (counts.held_out, counts.held_out_labelled) == (1, 1)
    assert (counts.votes, counts.annotators) == (3, 2)
    assert counts.positives == {"misogynous": 2, "shaming": 0, "violence": 0}  # a tie is no yes
    assert store.memes(labelled=False) == [third]


def test_what_somebody_excluded_said_is_kept_and_in_no_sum(store: Store) -> None:
    first, second = add(store, "a", origin="import:a"), add(store, "b", origin="import:b")
    session = store.add_session(Plan("s", votes_per_meme=2), [first.id, second.id])
    ada, bob = (store.add_annotator(name, session_id=session.id).id for name in ("Ada", "Bob"))
    hers = store.record(ada, first.id, Judgement(YES), key="1")
    his = store.record(bob, first.id, Judgement(YES), key="2")
    store.set_excluded(bob, True)
    late = store.record(bob, second.id, Judgement(YES), key="3")
    assert store.standing_votes() == store.standing_votes(blind=True) == [hers]
    assert store.examples(after_vote=0, limit=9) == store.memes(labelled=True) == [first]
    counts = store.counts(["misogynous"])
    assert (counts.votes, counts.labelled, counts.positives) == (1, 1, {"misogynous": 1})
    assert store.all_votes() == [hers, his, late]
    assert store.session_counts(session.id).votes == 3  # nobody is asked in his stead
    store.set_excluded(bob, False)
    assert store.standing_votes() == store.standing_votes(blind=True) == [hers, his, late]
    assert store.counts([]).labelled == 2
    assert store.annotator(bob).excluded_at is None


def test_an_empty_store_counts_zero(store: Store) -> None:
    counts = store.counts(["misogynous"])
    assert (counts.memes, counts.held_out, counts.votes) == (0, 0, 0)
    assert counts.positives == {"misogynous": 0}


# Jobs and versions


def test_there_is_one_active_job_even_when_eight_ask_at_once(store: Store) -> None:
    answers = at_once(lambda _: store.add_job(), 8)
    assert sum(isinstance(answer, Busy) for answer in answers) == 7
    (job,) = store.active_jobs()
    assert store.latest_job() == job
    store.update_job(job.id, state=JobState.FINISHED)
    assert store.active_jobs() == []
    assert store.add_job().id > job.id


def test_a_job_tells_how_far_it_is(store: Store) -> None:
    assert store.latest_job() is None
    job = store.add_job()
    assert (job.state, job.progress, job.version, job.pid) == (JobState.QUEUED, 0, None, None)
    store.update_job(job.id, state=JobState.RUNNING, stage="encoding", pid=7)
    now = store.update_job(job.id, progress=0.5)
    assert (now.state, now.stage, now.progress, now.pid) == (JobState.RUNNING, "encoding", 0.5, 7)
    with pytest.raises(NotFound):
        store.update_job(job.id + 1, progress=0.1)


def test_a_job_that_has_ended_stays_as_it_ended(store: Store) -> None:
    job = store.add_job()
    ended = store.update_job(job.id, state=JobState.CANCELLED, message="by the admin")
    assert store.update_job(job.id, state=JobState.FINISHED, version="v0002") == ended
    assert store.job(job.id) == ended


def test_a_cancel_is_seen_by_another_process(store: Store) -> None:
    job = store.add_job()
    other = Store(store.folder)
    assert not other.cancel_requested(job.id)
    store.request_cancel(job.id)
    assert other.cancel_requested(job.id)
    other.close()


def test_versions_come_newest_first_and_a_name_is_used_once(store: Store) -> None:
    first = ModelVersion(
        "v0001", "then", "embedded-1", ("misogynous",), None, "best", {"labelled": 3}, {"A": 0.5}
    )
    second = replace(first, name="v0002", parent="v0001", path=Path("versions/v0002"))
    store.add_version(first, None)
    store.add_version(second, store.add_job().id)
    assert store.versions() == [second, first]
    with pytest.raises(BadInput, match="v0002"):
        store.add_version(second, None)
