"""Imports and exports as jobs: what they report, how they end, what stays on the disk."""

from __future__ import annotations

import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import draw_picture

from memeapp.errors import BadInput, Busy, MemeAppError, NotFound
from memeapp.labels import MAMI
from memeapp.service import incoming as incoming_module
from memeapp.service.incoming import Incoming, WrongOffset
from memeapp.service.transfer import Transfer
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.transfers import KEPT, LISTED, ExportJobs, ImportJobs
from memeapp.types import Job, JobKind, JobState

TABLE = "file_name\t" + "\t".join(MAMI.names) + "\tText Transcription\n"


def zip_of(path: Path, count: int = 3, **more: bytes) -> Path:
    """Labelled memes in MAMI's layout."""
    rows = [f"{number}.png\t1\t0\t1\t0\t0\ttext {number}" for number in range(count)]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.csv", TABLE + "\n".join(rows) + "\n")
        for number in range(count):
            file.writestr(f"{number}.png", draw_picture(number))
        for name, content in more.items():
            file.writestr(name, content)
    return path


class Desk:
    """The jobs of one data folder, run in this process."""

    def __init__(self, store: Store) -> None:
        settings = Settings(data=store.folder)
        transfer = Transfer(store, MAMI, holdout_share=0.2, max_upload_mb=20, max_text=200)
        self.store = store
        self.incoming = Incoming(store.folder, settings.max_import_mb)
        self.imports = ImportJobs(store, transfer, self.incoming, settings)
        self.exports = ExportJobs(store, transfer, settings)

    def upload(self, file: Path, name: str = "", mark: str = "0" * 16) -> str:
        content = file.read_bytes()
        upload = self.incoming.begin(name or file.name, len(content), mark)
        self.incoming.put(upload.id, 0, content)
        return upload.id

    def queue_import(self, id: str, name: str = "a.zip") -> Job:
        return self.store.add_job(kind=JobKind.IMPORT, options={"upload": id, "name": name})

    def import_(self, file: Path, name: str = "") -> Job:
        return self.imports.run(self.queue_import(self.upload(file, name), name or file.name).id)

    def export(self, **options: Any) -> Job:
        made = {"format": "csv", "session": None, "names": False, **options}
        return self.exports.run(self.store.add_job(kind=JobKind.EXPORT, options=made).id)


@pytest.fixture
def desk(store: Store) -> Iterator[Desk]:
    yield Desk(store)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []


def test_an_import_reports_what_it_did_and_its_file_goes(desk: Desk, tmp_path: Path) -> None:
    bad = {"broken.png": b"no picture", "again.png": draw_picture(0)}
    rows = "".join(f"{name}\t0\t0\t0\t0\t0\t\n" for name in bad)
    file = zip_of(tmp_path / "set.zip")
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("data.csv", f"{TABLE}a.png\t1\t0\t1\t0\t0\ttext\n{rows}")
        packed.writestr("a.png", draw_picture(1))
        for name, content in bad.items():
            packed.writestr(name, content)
    job = desk.import_(file)
    assert (job.state, job.progress) == (JobState.FINISHED, 1.0)
    assert job.result == {
        "name": "set.zip",
        "added": 2,
        "known": 0,
        "labelled": 2,
        "votes": 2,
        "refused": job.result["refused"],
        "refused_left_out": 0,
        "near": [],
        "near_left_out": 0,
    }
    assert len(job.result["refused"]) == 1 and "broken.png" in job.result["refused"][0]
    assert "2 memes added" in job.message
    assert left(desk.store.folder / "incoming") == []
    assert not (desk.store.folder / "unpacked").exists()
    assert desk.store.named_annotator("set", "import").id in {
        vote.annotator_id for vote in desk.store.all_votes()
    }


def test_the_same_file_imported_again_doubles_nothing(desk: Desk, tmp_path: Path) -> None:
    file = zip_of(tmp_path / "set.zip")
    desk.import_(file)
    votes = desk.store.all_votes()
    again = desk.import_(file)
    assert (again.result["added"], again.result["known"]) == (0, 3)
    assert desk.store.all_votes() == votes
    assert len(desk.store.memes()) == 3


def test_a_long_list_is_cut_and_the_rest_is_counted(desk: Desk, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.writestr("good.png", draw_picture(1))
        for number in range(LISTED + 7):
            packed.writestr(f"{number}{'x' * 150}.png", b"none")
    job = desk.import_(tmp_path / "set.zip")
    assert len(job.result["refused"]) == LISTED
    assert job.result["refused_left_out"] == 7


def test_a_table_of_votes_alone_is_imported(desk: Desk, tmp_path: Path) -> None:
    desk.import_(zip_of(tmp_path / "set.zip"))
    meme = desk.store.memes()[0].id
    table = tmp_path / "friends.csv"
    table.write_text(f"meme,annotator,{','.join(MAMI.names)}\n{meme},Ada,0,0,0,0,0\n")
    job = desk.import_(table)
    assert (job.state, job.result["votes"]) == (JobState.FINISHED, 1), job.message
    annotator = desk.store.named_annotator("friends/Ada", "import")
    assert annotator.id in {vote.annotator_id for vote in desk.store.all_votes()}


def test_a_table_that_is_wrong_fails_in_the_senders_words(desk: Desk, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        packed.writestr("data.csv", f"{TABLE}missing.png\t1\t0\t1\t0\t0\ttext\n")
        packed.writestr("a.png", draw_picture(1))
    job = desk.import_(tmp_path / "set.zip")
    assert job.state is JobState.FAILED
    assert job.message.startswith("data.csv has 1 problem(s)")
    assert "missing.png" in job.message
    assert str(desk.store.folder) not in job.message
    assert desk.store.memes() == []
    assert len(left(desk.store.folder / "incoming")) == 2, "a file that failed can be tried again"


@pytest.mark.parametrize(
    ("name", "words"), [("../../up.png", "'..' part"), ("more.zip", "archive within")]
)
def test_a_hostile_zip_is_refused_as_on_the_command_line(
    desk: Desk, tmp_path: Path, name: str, words: str
) -> None:
    job = desk.import_(zip_of(tmp_path / "set.zip", **{name: b"x"}))
    assert job.state is JobState.FAILED
    assert job.message.startswith("set.zip, entry") and words in job.message
    assert desk.store.memes() == []
    assert not (desk.store.folder / "unpacked").exists()


def test_what_a_zip_unpacks_to_is_bounded_by_the_setting(store: Store, tmp_path: Path) -> None:
    settings = {"holdout_share": 0.2, "max_upload_mb": 20, "max_text": 200}
    transfer = Transfer(store, MAMI, max_import_mb=1, **settings)  # type: ignore[arg-type]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        for number in range(3):
            packed.writestr(f"{number}.png", bytes(400_000))
    with pytest.raises(BadInput, match="1,048,576 are allowed"):
        transfer.import_path(tmp_path / "set.zip")


def test_an_import_is_cancelled_and_what_came_in_is_kept(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memeapp.transfers.SECONDS_BETWEEN_REPORTS", 0.0)
    job = desk.queue_import(desk.upload(zip_of(tmp_path / "a.zip", 10)))
    stages: list[str] = []

    def also(stage: str, done: float) -> None:
        stages.append(stage)
        if stage == "Importing · 4 of 10":
            desk.imports.cancel(job.id)

    ended = desk.imports.run(job.id, also=also)
    assert ended.state is JobState.CANCELLED
    assert "nothing is doubled" in ended.message
    assert stages[0].startswith("Unpacking · 0 of 11")
    assert len(desk.store.memes()) == 5, "the row at which it was seen is the last"
    again = desk.imports.run(desk.queue_import(job.options["upload"]).id)
    assert (again.result["added"], again.result["known"]) == (5, 5)
    with pytest.raises(NotFound, match="has ended"):
        desk.imports.cancel(job.id)


def test_an_import_whose_process_is_gone_is_marked_failed(desk: Desk, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    id = desk.upload(zip_of(tmp_path / "a.zip"))
    desk.store.update_job(desk.queue_import(id).id, state=JobState.RUNNING, pid=gone.pid)
    job = desk.imports.latest()
    assert job is not None and job.state is JobState.FAILED
    assert "what came in is kept, nothing is doubled" in job.message
    assert desk.store.latest_job() is None


def test_imports_exports_and_trainings_do_not_wait_for_each_other(
    desk: Desk, tmp_path: Path
) -> None:
    id = desk.upload(zip_of(tmp_path / "a.zip"))
    desk.store.add_job()
    running = desk.queue_import(id)
    with pytest.raises(Busy, match="An import is at work"):
        desk.imports.start(id)
    with pytest.raises(Busy, match="being imported"):
        desk.imports.remove(id)
    with pytest.raises(NotFound):
        desk.exports.cancel(running.id)
    assert desk.export().state is JobState.FINISHED


def test_an_import_runs_in_a_process_of_its_own(desk: Desk, tmp_path: Path) -> None:
    job = desk.imports.start(desk.upload(zip_of(tmp_path / "a.zip")))
    assert desk.imports._child is not None
    assert job.pid == desk.imports._child.pid
    assert desk.imports._child.wait(120) == 0
    ended = desk.imports.latest()
    assert ended is not None
    assert (ended.state, ended.result["added"]) == (JobState.FINISHED, 3), ended.message


@pytest.mark.parametrize("format", ["mami", "csv", "jsonl", "huggingface"])
def test_an_export_is_a_zip_of_one_folder(desk: Desk, tmp_path: Path, format: str) -> None:
    desk.import_(zip_of(tmp_path / "set.zip"))
    job = desk.export(format=format)
    assert job.state is JobState.FINISHED, job.message
    file, name = desk.exports.file(job.id)
    assert name.startswith(f"memeapp-{format}-") and name.endswith(f"-{job.id}.zip")
    assert job.result == {"memes": 3, "bytes": file.stat().st_size, "file": name}
    with zipfile.ZipFile(file) as packed:
        assert packed.testzip() is None
        names = packed.namelist()
    assert {entry.split("/")[0] for entry in names} == {name.removesuffix(".zip")}
    pictures = [entry for entry in names if entry.endswith(".jpg")]
    assert len(pictures) == (3 if format in ("mami", "huggingface") else 0)
    assert left(desk.store.folder / "outgoing") == [file.name]


def test_an_export_that_was_packed_comes_in_again_whole(desk: Desk, tmp_path: Path) -> None:
    desk.import_(zip_of(tmp_path / "set.zip"))
    file, _ = desk.exports.file(desk.export(format="mami").id)
    other = Desk(Store(tmp_path / "other"))
    job = other.import_(file)
    assert (job.state, job.result["added"], job.result["votes"]) == (JobState.FINISHED, 3, 3)
    assert {meme.id for meme in other.store.memes()} == {meme.id for meme in desk.store.memes()}
    other.store.close()


def test_the_last_exports_are_kept(desk: Desk) -> None:
    jobs = [desk.export() for _ in range(KEPT + 2)]
    assert [job.id for job in desk.exports.ready()] == [job.id for job in jobs[:1:-1]]
    with pytest.raises(NotFound, match="make it again"):
        desk.exports.file(jobs[0].id)


def test_a_cancelled_export_leaves_nothing(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memeapp.transfers.SECONDS_BETWEEN_REPORTS", 0.0)
    desk.import_(zip_of(tmp_path / "set.zip"))
    options = {"format": "mami", "session": None, "names": False}
    job = desk.store.add_job(kind=JobKind.EXPORT, options=options)

    def also(stage: str, done: float) -> None:
        if stage.startswith("Packing · 1 of"):
            desk.exports.cancel(job.id)

    assert desk.exports.run(job.id, also=also).state is JobState.CANCELLED
    assert left(desk.store.folder / "outgoing") == []
    with pytest.raises(NotFound):
        desk.exports.file(job.id)


@pytest.mark.parametrize(
    ("options", "error"), [({"format": "xml"}, BadInput), ({"session_id": 7}, NotFound)]
)
def test_an_export_that_cannot_be_is_refused_before_a_job(
    desk: Desk, options: dict[str, Any], error: type[MemeAppError]
) -> None:
    with pytest.raises(error):
        desk.exports.start(**options)
    assert desk.exports.latest() is None


# Pieces


def test_a_file_goes_on_where_it_was(desk: Desk) -> None:
    first = desk.incoming.begin("a.zip", 10, "0" * 16)
    desk.incoming.put(first.id, 0, b"01234")
    again = desk.incoming.begin("a.zip", 10, "0" * 16)
    assert (again.id, again.offset) == (first.id, 5)
    for name, size, mark in (("b.zip", 10, "0"), ("a.zip", 11, "0"), ("a.zip", 10, "1")):
        assert desk.incoming.begin(name, size, mark * 16).offset == 0
    with pytest.raises(WrongOffset, match="5 of 10 bytes"):
        desk.incoming.finished(first.id)
    for offset in (0, 4, 6, 10):
        with pytest.raises(WrongOffset) as caught:
            desk.incoming.put(first.id, offset, b"x")
        assert caught.value.offset == 5
    with pytest.raises(BadInput, match="would have 11 bytes, 10 were announced"):
        desk.incoming.put(first.id, 5, b"567890")
    desk.incoming.put(first.id, 5, b"56789")
    assert desk.incoming.finished(first.id).path.read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("../../etc/passwd.zip", "passwd"),
        ("C:\\temp\\set.zip", "set"),
        ("  a\nb\u202ec .ZIP", "a b c"),
        (".zip", "upload"),
        ("x" * 400 + ".zip", "x" * 60),
    ],
)
def test_a_name_of_a_file_is_for_people_alone(
    desk: Desk, tmp_path: Path, name: str, called: str
) -> None:
    before = set(tmp_path.rglob("*"))
    upload = desk.incoming.begin(name, 10, "0" * 16)
    assert upload.data_set == called
    made = set(tmp_path.rglob("*")) - before
    assert made == {desk.store.folder / "incoming"} | {
        desk.store.folder / "incoming" / f"{upload.id}{ending}" for ending in (".zip", ".json")
    }


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("a.exe", 10, "is not taken"),
        ("a.zip", 0, "1 byte to"),
        ("a.zip", 20_001 * 2**20, "20,000 MB .MEMEAPP_MAX_IMPORT_MB"),
    ],
)
def test_a_file_that_will_not_do_is_refused_before_it_is_sent(
    desk: Desk, name: str, size: int, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        desk.incoming.begin(name, size, "0" * 16)
    assert left(desk.store.folder / "incoming") == []


def test_a_disk_without_room_is_told_before_it_is_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": incoming_module.SPARE + 19})
    monkeypatch.setattr(incoming_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(BadInput, match="make room"):
        desk.incoming.begin("a.zip", 10, "0" * 16)
    usage.free += 1  # type: ignore[attr-defined]
    assert desk.incoming.begin("a.zip", 10, "0" * 16).offset == 0


def test_what_nobody_goes_on_with_is_removed_after_a_week(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = desk.incoming.begin("old.zip", 10, "0" * 16)
    now = time.time()
    monkeypatch.setattr(incoming_module.time, "time", lambda: now + 7 * 24 * 3600 - 60)
    desk.incoming.begin("new.zip", 10, "0" * 16)
    assert {upload.name for upload in desk.incoming.all()} == {"old.zip", "new.zip"}
    monkeypatch.setattr(incoming_module.time, "time", lambda: now + 7 * 24 * 3600 + 60)
    desk.incoming.begin("other.zip", 10, "0" * 16)
    with pytest.raises(NotFound):
        desk.incoming.find(old.id)


@pytest.mark.parametrize("id", ["", "../jobs", "0" * 32, "../" + "0" * 29])
def test_there_is_no_upload_of_another_name(desk: Desk, id: str) -> None:
    for ask in (desk.incoming.find, desk.incoming.finished, desk.incoming.remove):
        with pytest.raises(NotFound):
            ask(id)
