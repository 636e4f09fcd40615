"""Versions are listed as they came from each other, used, deleted, taken out and brought in."""

from __future__ import annotations

import errno
import io
import json
import shutil
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from learning import make_checkpoint
from storing import add

from memeapp.errors import BadInput, DiskFull, Mismatch, NotAllowed, NotFound, NotSaved
from memeapp.labels import Label, LabelSchema
from memeapp.registry import Registry
from memeapp.service import bundle
from memeapp.service.snapshot import FILE, Row, Snapshot
from memeapp.service.versions import Versions
from memeapp.store import Store
from memeapp.types import ModelVersion

SCHEMA = LabelSchema(Label("misogynous", "M"), (Label("shaming", "S"),))
WHO = "somebody"


class Room:
    """A shipped version `s`, and others trained here, each made a minute after the one before."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.minute = 0
        self.shipped = Registry(folder / "none", folder / "shipped")
        self.first = self._dated(self.shipped, self.add(None, to=self.shipped), name="s")
        self.registry = Registry(folder / "shipped", store.folder / "models")
        self.versions = Versions(store, self.registry, SCHEMA)

    def add(
        self,
        parent: str | None,
        *,
        to: Registry | None = None,
        labels: tuple[str, ...] = SCHEMA.names,
    ) -> str:
        registry = to or self.registry
        model = make_checkpoint(text=4, encoder="embedded-2", labels=labels)
        made = registry.add(model, parent=parent, recipe="best", data={"labelled": 9}, metrics={})
        return made.name if to else self._dated(registry, made.name)

    def _dated(self, registry: Registry, made: str, /, **changes: str) -> str:
        path = registry.find(made).path
        assert path is not None
        self.minute += 1
        told = json.loads((path / "version.json").read_text())
        told |= {"created_at": f"2026-01-02T03:{self.minute:02d}:00.000+00:00", **changes}
        (path / "version.json").write_text(json.dumps(told))
        if "name" in changes:
            path.rename(path.parent / changes["name"])
        return str(told["name"])

    def lanes(self) -> list[tuple[str, int]]:
        return [(one.version.name, one.lane) for one in self.versions.all()]

    def deeds(self) -> list[tuple[str, str, str, str]]:
        return [(one.who, one.what, one.about, one.before) for one in self.store.audit(99)][::-1]

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.store.folder / "models").iterdir())


@pytest.fixture
def room(store: Store, tmp_path: Path) -> Room:
    return Room(store, tmp_path)


def unsaved(*_: object, **__: object) -> None:
    raise NotSaved("The disk is full.")


def copy_of(version: ModelVersion) -> io.BytesIO:
    bundle.pack(version, file := io.BytesIO())
    return file


def test_a_version_stands_above_its_parent_and_forks_are_set_in(room: Room) -> None:
    one = room.add("s")
    two = room.add(one)
    off = room.add("s")
    further = room.add(off)
    room.registry.promote(two)
    assert room.lanes() == [(two, 0), (one, 0), (further, 1), (off, 1), ("s", 0)]
    room.registry.promote(off)
    assert room.lanes() == [(further, 0), (off, 0), (two, 1), (one, 1), ("s", 0)]


def test_a_version_whose_parent_was_deleted_begins_a_line_of_its_own(room: Room) -> None:
    one = room.add("s")
    two = room.add(one)
    room.versions.delete(one, WHO)
    assert room.lanes() == [("s", 0), (two, 0)]
    assert [one.after for one in room.versions.all()] == [None, None]


def test_a_circle_of_parents_hides_no_version(room: Room) -> None:
    one = room.add("v0002-20260101")
    path = room.registry.find(one).path
    assert path is not None
    path.rename(path.parent / "v0001-20260101")
    two = room.add("v0001-20260101")
    (path.parent / two).rename(path.parent / "v0002-20260101")
    assert {name for name, _ in room.lanes()} == {"s", "v0001-20260101", "v0002-20260101"}


def test_the_list_tells_which_answers_which_is_older_and_what_they_take(room: Room) -> None:
    one, two = room.add("s"), room.add("s")
    room.registry.promote(one)
    listed = {row.version.name: row for row in room.versions.all()}
    assert [listed[name].current for name in ("s", one, two)] == [False, True, False]
    assert [listed[name].older for name in ("s", one, two)] == [True, False, False]
    assert [listed[name].shipped for name in ("s", one, two)] == [True, False, False]
    path = room.registry.find(two).path
    assert path is not None
    assert listed[two].disk_bytes == sum(file.stat().st_size for file in path.iterdir())


def test_using_a_version_and_rolling_back_are_noted_with_what_answered_before(room: Room) -> None:
    one = room.add("s")
    room.versions.promote(one, WHO)
    room.versions.promote("s", WHO)
    assert room.registry.current().name == "s"
    assert room.deeds() == [
        (WHO, "version.promote", one, "s"),
        (WHO, "version.rollback", "s", one),
    ]


def test_a_version_that_cannot_be_used_is_not_noted(room: Room) -> None:
    other = room.add("s", labels=("a", "b"))
    with pytest.raises(Mismatch):
        room.versions.promote(other, WHO)
    with pytest.raises(NotFound):
        room.versions.promote("v9999", WHO)
    assert room.deeds() == []
    assert room.registry.current().name == "s"


def test_what_cannot_be_noted_does_not_answer(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    one = room.add("s")
    monkeypatch.setattr(room.store, "note", unsaved)
    with pytest.raises(NotSaved):
        room.versions.promote(one, WHO)
    assert room.registry.current().name == "s"


def test_a_version_that_answers_or_was_shipped_cannot_be_deleted(room: Room) -> None:
    one = room.add("s")
    room.registry.promote(one)
    with pytest.raises(NotAllowed, match="answers now"):
        room.versions.delete(one, WHO)
    with pytest.raises(NotAllowed, match="came with the program"):
        room.versions.delete("s", WHO)
    assert room.deeds() == []


def test_a_deletion_that_cannot_be_noted_is_told_as_what_it_is(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = room.add("s")
    monkeypatch.setattr(room.store, "note", unsaved)
    with pytest.raises(NotSaved, match=f"{one} is deleted, but the audit has no line of it"):
        room.versions.delete(one, WHO)
    assert [row.version.name for row in room.versions.all()] == ["s"]


def test_a_version_that_came_in_and_cannot_be_noted_is_not_kept(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = copy_of(room.registry.find("s"))
    monkeypatch.setattr(room.store, "note", unsaved)
    with pytest.raises(NotSaved):
        room.versions.unpack(packed, WHO)
    assert [row.version.name for row in room.versions.all()] == ["s"]


def test_a_version_that_learned_from_held_out_memes_says_from_how_many(room: Room) -> None:
    memes = [add(room.store, name, held_out=name != "a") for name in "abcd"]
    rows = tuple(Row(meme.id, "", "", 1.0, (1.0, None)) for meme in memes[:3])
    frozen = Snapshot("", 0, 0, SCHEMA.names, "embedded-2", {}, 0, "", rows)
    made = room.registry.find(room.add("s"))
    assert made.path is not None
    (made.path / FILE).write_bytes(frozen.to_bytes())
    _, notices = room.versions.unpack(copy_of(made), WHO)
    assert len(notices) == 1
    assert notices[0].startswith("It has learned from 2 of the 3 memes that are held out here")


def test_the_name_of_a_deleted_version_is_never_given_again(room: Room) -> None:
    room.add("s")
    newest = room.add("s")
    room.versions.delete(newest, WHO)
    assert room.deeds() == [(WHO, "version.delete", newest, "")]
    with pytest.raises(NotFound):
        room.registry.find(newest)
    again = Registry(room.store.folder / "none", room.store.folder / "models")
    assert int(room.add("s", to=again)[1:5]) == int(newest[1:5]) + 1
    assert not [name for name in room.files() if name.startswith(".draft")]


def test_a_version_that_came_in_does_not_answer_and_says_where_it_is_from(room: Room) -> None:
    one = room.add("s")
    came, notices = room.versions.unpack(copy_of(room.registry.find(one)), WHO)
    assert notices == ()
    assert room.registry.current().name == "s"
    assert (came.parent, came.data["uploaded_as"]) == ("s", one)
    row = next(row for row in room.versions.all() if row.version.name == came.name)
    assert row.after is None  # `s` is a name from elsewhere
    (deed,) = room.store.audit(9)
    assert (deed.what, deed.about, deed.details) == (
        "version.upload",
        came.name,
        {"uploaded_as": one},
    )


def test_what_was_trained_after_a_version_that_came_in_stands_above_it(room: Room) -> None:
    came, _ = room.versions.unpack(copy_of(room.registry.find(room.first)), WHO)
    child = room.add(came.name)
    after = {row.version.name: row.after for row in room.versions.all()}
    assert after[child] == came


def test_a_version_whose_encoder_is_not_here_comes_in_with_a_notice(room: Room) -> None:
    away = make_checkpoint(text=4, encoder="embedded-1", labels=SCHEMA.names)
    made = room.registry.add(away, parent=None, recipe="best", data={}, metrics={})
    came, notices = room.versions.unpack(copy_of(made), WHO)
    assert came.encoder == "embedded-1"
    assert len(notices) == 1 and "cannot answer here yet" in notices[0]


def test_a_refused_bundle_is_not_noted_and_leaves_no_file(room: Room) -> None:
    room.add("s")
    before = room.files()
    with pytest.raises(BadInput):
        room.versions.unpack(io.BytesIO(b"words"), WHO)
    assert room.deeds() == []
    assert room.files() == before


def test_a_packed_version_is_a_file_that_leaves_nothing_behind(room: Room) -> None:
    before = sorted(room.store.folder.rglob("*"))
    with room.versions.pack("s", WHO) as file:
        assert file.read() == copy_of(room.registry.find("s")).getvalue()
        assert sorted(room.store.folder.rglob("*")) == before
    assert room.deeds() == [(WHO, "version.download", "s", "")]


def full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_while_a_version_comes_in_is_told_and_nothing_is_kept(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = copy_of(room.registry.find("s"))
    room.add("s")
    before = room.files()
    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.raises(DiskFull, match="make room"):
        room.versions.unpack(packed, WHO)
    assert room.files() == before
    assert room.deeds() == []


def test_a_version_that_would_not_fit_is_refused_before_it_is_sent(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 9, 200 * 2**20))
    with room.versions.room(50 * 2**20) as file:
        room.versions.write(file, b"piece")
    with pytest.raises(DiskFull, match="200 MB free"):
        room.versions.room(100 * 2**20)


def test_a_version_that_is_deleted_while_it_is_packed_is_not_found(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = room.add("s")
    found = room.registry.find(one)
    assert found.path is not None
    gone = replace(found, path=found.path.with_name("gone"))
    real = bundle.pack

    def deleted(version: ModelVersion, into: io.BytesIO) -> None:
        room.registry.delete(one)
        (gone.path or Path()).joinpath("version.json").read_bytes()
        real(version, into)

    monkeypatch.setattr(bundle, "pack", deleted)
    with pytest.raises(NotFound):
        room.versions.pack(one, WHO)
