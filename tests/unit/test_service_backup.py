"""A backup made while the app is used comes back whole, and nothing else does."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from learning import make_checkpoint
from sqlite_utils import Database, Migrations
from storing import NO, YES, Room, add, picture

from memeapp.errors import BadInput, BadSetting, Busy, DiskFull, MemeAppError, Mismatch
from memeapp.judging import Judgement, Plan
from memeapp.migrations import MIGRATIONS, migrate
from memeapp.registry import Registry
from memeapp.service import backup as backup_module
from memeapp.service import restore as restore_module
from memeapp.service.backup import Made, back_up
from memeapp.service.restore import Restored, restore
from memeapp.store import Store

Report = Callable[[str, float], None]
Changes = dict[str, bytes | None]


def quiet(stage: str, done: float) -> None:
    pass


@dataclass
class Place:
    """A data folder with votes, features, versions and secrets, and where its backup goes."""

    folder: Path
    room: Room
    registry: Registry
    file: Path

    @property
    def store(self) -> Store:
        return self.room.store

    def back_up(self, report: Report = quiet, **options: Any) -> Made:
        return back_up(self.store, self.registry, self.file, report, **options)

    def restore(self, folder: Path | None = None, report: Report = quiet) -> Restored:
        return restore(self.file, folder or self.folder, report, by="somebody")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "data"
    store = Store(folder)
    room = Room(store, "abcdef", votes_per_meme=3)
    room.judge("X", "a")
    room.judge("Y", "a", Judgement(NO))
    room.judge("X", "b")
    room.undo("X")
    room.judge("X", "b", Judgement(NO))
    store.put_image_features("some-encoder", {room.memes["a"]: np.arange(4, dtype=np.float32)})
    registry = Registry(tmp_path / "shipped", folder / "models")
    for _ in range(3):
        add_version(registry)
    first, second, third = sorted(version.name for version in registry.versions())
    registry.promote(second)
    registry.delete(third)
    (folder / "secret.key").write_text("the key")
    (folder / "admin.hash").write_text("the hash")
    yield Place(folder, room, registry, tmp_path / "backups.d" / "monday.zip")
    store.close()


@pytest.fixture(autouse=True)
def folder_of_backups(tmp_path: Path) -> None:
    (tmp_path / "backups.d").mkdir()


def add_version(registry: Registry) -> str:
    return registry.add(
        make_checkpoint(), parent=None, recipe="best", data={"labelled": 3}, metrics={}
    ).name


def told(folder: Path) -> dict[str, Any]:
    """All that a data folder says, as far as people and the model go by it."""
    registry = Registry(folder / "none", folder / "models")
    with closing(Store(folder)) as store:
        memes = store.memes()
        return {
            "memes": memes,
            "votes": store.all_votes(),
            "standing": store.standing_votes(),
            "sessions": store.sessions(),
            "annotators": store.annotators(),
            "features": {
                id: row.tolist()
                for id, row in store.image_features(
                    "some-encoder", [meme.id for meme in memes]
                ).items()
            },
            "pictures": [store.picture_path(meme.id).read_bytes() for meme in memes],
            "versions": {
                version.name: registry.load(version.name).weights_hash
                for version in registry.versions()
            },
            "current": registry.current().name,
            "secrets": [(folder / name).read_text() for name in ("secret.key", "admin.hash")],
        }


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but those that only show that it is open."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".in-use", "memeapp.db-shm", "memeapp.db-wal")
    }


def change(file: Path, changes: Changes, *, hashes: bool = True) -> None:
    """Write a backup again with other entries; their hashes are right unless told otherwise."""
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    contents = json.loads(entries.pop("backup.json"))
    for name, content in changes.items():
        if name.startswith("="):
            contents[name[1:]] = json.loads(content or b"null")
        elif content is None:
            del entries[name]
            del contents["files"][name]
        else:
            entries[name] = content
            if hashes:
                contents["files"][name] = hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**entries, "backup.json": json.dumps(contents).encode()}.items():
            archive.writestr(name, content)


def test_a_backup_restored_in_a_new_place_says_the_same_of_everything(
    place: Place, tmp_path: Path
) -> None:
    made = place.back_up()
    place.store.close()
    done = place.restore(tmp_path / "another" / "machine")
    assert told(tmp_path / "another" / "machine") == told(place.folder)
    assert (made.memes, made.votes, made.versions) == (6, 5, 2)
    assert made.bytes == place.file.stat().st_size
    assert (done.versions, done.kept, done.notices) == (2, None, ())
    assert done.contents.memes == 6
    assert (tmp_path / "another" / "machine" / "secret.key").stat().st_mode & 0o077 == 0


def test_only_its_owner_can_read_a_backup_and_nothing_lies_beside_it(place: Place) -> None:
    place.back_up()
    assert [path.name for path in place.file.parent.iterdir()] == ["monday.zip"]
    assert place.file.stat().st_mode & 0o077 == 0


def test_what_was_there_is_kept_whole_beside_what_comes_back(place: Place) -> None:
    place.back_up()
    before = told(place.folder)
    place.room.judge("Z", "c")
    (place.folder / "outgoing").mkdir()
    (place.folder / "outgoing" / "export-1.zip").write_bytes(b"an export")
    later = told(place.folder)
    place.store.close()
    done = place.restore()
    assert told(place.folder) == before
    assert done.kept is not None and done.kept.parent == place.folder
    assert told(done.kept) == later
    assert (done.kept / "outgoing" / "export-1.zip").exists()
    assert not (place.folder / "outgoing").exists()
    assert not list(place.folder.glob(".restoring*"))


def test_a_restore_is_in_the_audit_that_it_brought_back(place: Place) -> None:
    place.store.note("somebody", "before")
    place.back_up()
    place.store.close()
    place.restore()
    with closing(Store(place.folder)) as store:
        newest, *rest = store.audit(10)
    assert (newest.who, newest.what) == ("somebody", "backup.restore")
    assert [deed.what for deed in rest] == ["before"]


def test_the_number_of_a_deleted_version_stays_used_after_a_restore(
    place: Place, tmp_path: Path
) -> None:
    place.back_up()
    place.restore(tmp_path / "new")
    assert add_version(Registry(tmp_path / "none", tmp_path / "new" / "models"))[:5] == "v0004"


class Voters:
    """People who vote without a pause, each through a connection of their own."""

    def __init__(self, store: Store, session_id: int, people: int) -> None:
        self.acknowledged: list[int] = []
        self.errors: list[BaseException] = []
        self._store = store
        self._session = session_id
        self._stopped = threading.Event()
        self._change = threading.Condition()
        self._threads = [threading.Thread(target=self._vote, args=[n]) for n in range(people)]

    def __enter__(self) -> Voters:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        assert self.errors == []

    def wait_for(self, more: int) -> None:
        """Until so many more votes are acknowledged."""
        with self._change:
            wanted = len(self.acknowledged) + more
            assert self._change.wait_for(
                lambda: len(self.acknowledged) >= wanted or self.errors, 60
            )

    def _vote(self, number: int) -> None:
        try:
            for turn in count():
                me = self._store.add_annotator(f"{number} {turn}", session_id=self._session).id
                while cards := self._store.next_cards(me, "tab"):
                    if self._stopped.is_set():
                        return
                    key = cards[0].meme.id
                    vote = self._store.record(me, key, Judgement(YES), key=key)
                    with self._change:
                        self.acknowledged.append(vote.id)
                        self._change.notify_all()
        except BaseException as error:
            self.errors.append(error)
            with self._change:
                self._change.notify_all()


def test_a_backup_made_while_people_vote_has_every_vote_up_to_one_instant(
    tmp_path: Path, place: Place
) -> None:
    memes = [meme.id for meme in place.store.memes()]
    session = place.store.add_session(Plan("Crowd", votes_per_meme=100_000), memes)
    with Voters(place.store, session.id, 4) as voters:
        voters.wait_for(20)
        before = set(voters.acknowledged)

        def report(stage: str, done: float) -> None:
            voters.wait_for(1)

        made = place.back_up(report)
    place.restore(tmp_path / "new")
    with closing(Store(tmp_path / "new")) as store:
        restored = store.all_votes()
    live = place.store.all_votes()
    assert restored == live[: len(restored)]
    assert before <= {vote.id for vote in restored}
    assert made.votes == restored[-1].id < live[-1].id
    assert set(voters.acknowledged) <= {vote.id for vote in live}


def test_memes_that_come_and_versions_that_are_promoted_meanwhile_tear_nothing(
    place: Place, tmp_path: Path
) -> None:
    new: list[str] = []

    def report(stage: str, done: float) -> None:
        if stage.startswith("1 of"):
            add(place.store, "late")
            new.append(add_version(place.registry))
            place.registry.promote(new[0])

    place.back_up(report)
    done = place.restore(tmp_path / "new")
    assert done.contents.memes == 6 and done.versions == 3
    assert Registry(tmp_path / "none", tmp_path / "new" / "models").current().name == new[0]


def test_a_picture_that_is_missing_is_told_and_keeps_nobody_from_a_backup(
    place: Place, tmp_path: Path
) -> None:
    gone = place.store.picture_path(picture("b").id)
    gone.unlink()
    assert place.back_up().missing == (picture("b").id,)
    done = place.restore(tmp_path / "new")
    assert done.notices == ("The pictures of 1 memes were missing already.",)


def test_a_version_that_was_damaged_before_the_backup_keeps_nobody_from_the_votes(
    place: Place, tmp_path: Path
) -> None:
    current = place.registry.current()
    assert current.path is not None
    (current.path / "weights.safetensors").write_bytes(b"nothing")
    place.back_up()
    (notice,) = place.restore(tmp_path / "new").notices
    assert current.name in notice and "already when the backup was made" in notice


def test_a_backup_without_secrets_leaves_those_of_the_place_it_comes_to(place: Place) -> None:
    place.back_up(secrets=False)
    with zipfile.ZipFile(place.file) as archive:
        assert not {"secret.key", "admin.hash"} & set(archive.namelist())
    (place.folder / "secret.key").write_text("a newer key")
    place.store.close()
    place.restore()
    assert (place.folder / "secret.key").read_text() == "a newer key"


def test_a_file_that_is_there_is_replaced_only_by_force(place: Place) -> None:
    place.file.write_bytes(b"sunday's")
    with pytest.raises(BadInput, match="there already"):
        place.back_up()
    assert place.file.read_bytes() == b"sunday's"
    place.back_up(force=True)
    assert zipfile.is_zipfile(place.file)


def test_a_backup_into_a_folder_that_is_not_there_is_refused(place: Place) -> None:
    place.file = place.file.parent / "no" / "monday.zip"
    with pytest.raises(BadInput, match="There is no folder"):
        place.back_up()


def test_no_backup_is_made_of_a_damaged_database(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(store: Store, target: Path) -> None:
        target.write_bytes(b"SQLite format 3\0" + b"?" * 5000)

    monkeypatch.setattr(Store, "copy_database", damaged)
    with pytest.raises(BadInput, match=r"memeapp\.db is"):
        place.back_up()
    assert list(place.file.parent.iterdir()) == []


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_backup_of_yesterday(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.file.write_bytes(b"yesterday's")
    with monkeypatch.context() as patch:
        patch.setattr(backup_module._Entries, "add_pictures", full)
        with pytest.raises(DiskFull, match="make room"):
            place.back_up(force=True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(DiskFull, match="1 MB free"):
        place.back_up(force=True)
    assert files(place.file.parent) == {"monday.zip": b"yesterday's"}


def test_a_disk_that_is_full_or_fills_up_changes_nothing_in_a_restore(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.back_up()
    place.store.close()
    before = files(place.folder)
    with monkeypatch.context() as patch:
        patch.setattr(restore_module, "_checked", full)
        with pytest.raises(DiskFull, match="make room"):
            place.restore()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(DiskFull, match="1 MB free"):
        place.restore()
    assert files(place.folder) == before


def truncated(place: Place) -> None:
    place.file.write_bytes(place.file.read_bytes()[:-100])


def no_zip(place: Place) -> None:
    place.file.write_bytes(b"not a zip")


def a_flipped_bit(place: Place) -> None:
    content = bytearray(place.file.read_bytes())
    content[content.index(b"the key")] ^= 1
    place.file.write_bytes(content)


def another_picture(place: Place) -> None:
    id = picture("a").id
    change(place.file, {f"pictures/{id[:2]}/{id}.jpg": b"another"}, hashes=False)


def without_a_picture(place: Place) -> None:
    id = picture("a").id
    change(place.file, {f"pictures/{id[:2]}/{id}.jpg": None})


def no_database(place: Place) -> None:
    change(place.file, {"memeapp.db": None})


def a_broken_database(place: Place) -> None:
    with zipfile.ZipFile(place.file) as archive:
        content = bytearray(archive.read("memeapp.db"))
    content[4096 : 4096 * 40] = b"?" * (4096 * 39)
    change(place.file, {"memeapp.db": bytes(content)})


def an_older_database(place: Place) -> None:
    change(place.file, {"=last_vote": b"6"})


def out_of_the_folder(place: Place) -> None:
    change(place.file, {"../outside": b"!"})


def an_absolute_path(place: Place) -> None:
    change(place.file, {"/tmp/outside": b"!"})


def another_file(place: Place) -> None:
    change(place.file, {"models/.hidden": b"!"})


def not_listed(place: Place) -> None:
    change(place.file, {"models/v9/version.json": b"{}"}, hashes=False)


def a_file_that_is_a_folder(place: Place) -> None:
    change(place.file, {"models/v9": b"", "models/v9/version.json": b"{}"})


def a_word_too_many(place: Place) -> None:
    change(place.file, {"=pickle": b'"cos"'})


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (truncated, "damaged"),
        (no_zip, "damaged"),
        (a_flipped_bit, "damaged"),
        (another_picture, "SHA-256"),
        (without_a_picture, "is not in the backup"),
        (no_database, "it has no memeapp.db"),
        (a_broken_database, "memeapp.db is"),
        (an_older_database, "up to number 5"),
        (out_of_the_folder, "does not belong there"),
        (an_absolute_path, "does not belong there"),
        (another_file, "does not belong there"),
        (not_listed, "not in both"),
        (a_file_that_is_a_folder, "both a file and a folder"),
        (a_word_too_many, "pickle"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused_and_changes_nothing(
    place: Place, tmp_path: Path, damage: Callable[[Place], None], why: str
) -> None:
    place.back_up()
    place.store.close()
    before = files(place.folder)
    damage(place)
    with pytest.raises(BadInput, match=why):
        place.restore()
    assert files(place.folder) == before
    assert not (tmp_path / "outside").exists()


def test_a_backup_of_a_newer_program_is_refused(place: Place) -> None:
    with Database(place.folder / "memeapp.db") as db:
        db.table(MIGRATIONS.migrations_table).insert(
            {"migration_set": MIGRATIONS.name, "name": "9999_flying_cars", "applied_at": "then"}
        )
    newer = place.folder.with_name("newer")
    newer.mkdir()
    place.store.copy_database(newer / "memeapp.db")
    with Database(place.folder / "memeapp.db") as db:
        db.execute(f"DELETE FROM {MIGRATIONS.migrations_table} WHERE name LIKE '9999%'")
        db.conn.commit()
    place.back_up()
    place.store.close()
    before = files(place.folder)
    change(place.file, {"memeapp.db": (newer / "memeapp.db").read_bytes()})
    with pytest.raises(Mismatch, match="9999_flying_cars"):
        place.restore()
    change(place.file, {"=format": b"2"})
    with pytest.raises(Mismatch, match="format 2"):
        place.restore()
    assert files(place.folder) == before


def test_a_backup_of_an_older_program_is_brought_up_to_date(place: Place, tmp_path: Path) -> None:
    older = Migrations("memeapp")
    with Database(memory=True) as empty:
        for migration in MIGRATIONS.pending(empty)[:6]:
            older(name=migration.name)(migration.fn)
    with Database(tmp_path / "old.db") as db:
        migrate(db, older)
    place.back_up()
    change(
        place.file,
        {
            "memeapp.db": (tmp_path / "old.db").read_bytes(),
            "=memes": b"0",
            "=last_vote": b"0",
        },
    )
    place.restore(tmp_path / "new")
    with closing(Store(tmp_path / "new")) as store:
        assert store.memes() == []
        assert [deed.what for deed in store.audit(5)] == ["backup.restore"]


def test_a_folder_that_is_used_is_not_restored_and_one_being_restored_is_not_used(
    place: Place,
) -> None:
    place.back_up()
    with pytest.raises(Busy, match="stop the app"):
        place.restore()
    place.store.close()
    refused: list[str] = []

    def report(stage: str, done: float) -> None:
        with pytest.raises(Busy) as caught:
            Store(place.folder)
        refused.append(str(caught.value))

    place.restore(report=report)
    assert "is being restored" in refused[0]
    Store(place.folder).close()


class Renames:
    """Lets so many renames pass in the middle of a restore; the next one meets with an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, passes: int, error: BaseException) -> None:
        self.left = passes
        rename = Path.rename

        def counted(path: Path, target: Path) -> Path:
            if self.left == 0:
                self.left = -1
                raise error
            self.left -= 1
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", counted)


RENAMES = 11
"""Of a swap: the plan itself, five parts that go and five that come."""


@pytest.mark.parametrize("passes", range(RENAMES))
def test_a_restore_that_is_interrupted_anywhere_is_old_or_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    place.back_up()
    before = told(place.folder)
    place.room.judge("Z", "c")
    later = told(place.folder)
    place.store.close()
    with monkeypatch.context() as patch:
        Renames(patch, passes, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            place.restore()
    if passes == 0:
        assert told(place.folder) == later
    else:
        with pytest.raises(BadSetting, match="`memeapp restore` with the same file again"):
            Store(place.folder)
    done = place.restore()
    assert told(place.folder) == before
    assert done.kept is not None and told(done.kept) == later


def test_another_backup_than_the_interrupted_one_comes_after_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.back_up()
    before = told(place.folder)
    place.room.judge("Z", "c")
    monday, place.file = place.file, place.file.with_name("tuesday.zip")
    place.back_up()
    tuesday = told(place.folder)
    place.store.close()
    with monkeypatch.context() as patch:
        Renames(patch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            restore(monday, place.folder, quiet, by="somebody")
    done = place.restore()
    assert told(place.folder) == tuesday
    assert done.kept is not None and told(done.kept) == before


@pytest.mark.parametrize("passes", range(RENAMES))
def test_what_cannot_be_moved_leaves_all_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    place.back_up()
    place.room.judge("Z", "c")
    place.store.close()
    before = files(place.folder)
    with monkeypatch.context() as patch:
        busy = OSError(errno.EXDEV, "Invalid cross-device link", "pictures")
        Renames(patch, passes, busy)
        with pytest.raises((MemeAppError, OSError)):
            place.restore()
    assert files(place.folder) == before
    assert not list(place.folder.glob("before-restore-*"))
    Store(place.folder).close()
