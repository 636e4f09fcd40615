"""Processes that import and train are killed at any moment: nothing is lost, doubled or half."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import draw_picture
from storing import fill

from memeapp.jobs import Jobs
from memeapp.judging import Judgement, Plan
from memeapp.labels import MAMI
from memeapp.registry import Registry
from memeapp.service.incoming import Incoming
from memeapp.service.transfer import Transfer
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.transfers import ImportJobs
from memeapp.types import Job, JobKind, JobState

PICTURES = 240
"""In the zip, so many that no run is quick enough to end before it is killed."""
MEMES = 80
"""To train on."""

WORKERS = """
import os, signal, sys
from pathlib import Path
from tests.unit.conftest import FakeEngines
from memeapp.images import decode
from memeapp.jobs import Jobs
from memeapp.labels import MAMI
from memeapp.registry import Registry
from memeapp.service.evaluation import Evaluation
from memeapp.service.incoming import Incoming
from memeapp.service.training import Training
from memeapp.service.transfer import Transfer
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.transfers import ImportJobs

data = Path(sys.argv[1])

def work(kind, job):
    os.setsid()
    settings = Settings(data=data, models=data / "none")
    store = Store(data)
    if kind == "import":
        transfer = Transfer(store, MAMI, holdout_share=0.2, max_upload_mb=20, max_text=200)
        ImportJobs(store, transfer, Incoming(data, 100), settings).run(job)
    else:
        engines = FakeEngines("embedded")
        registry = Registry(settings.models, data / "models")
        evaluation = Evaluation(store, registry, engines, MAMI, max_upload_mb=20)
        training = Training(store, registry, engines, MAMI, evaluation)
        Jobs(store, training, settings).run(job)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.write(1, b"ready\\n")
for line in sys.stdin:
    kind, job = line.split()
    child = os.fork()
    if child == 0:
        work(kind, int(job))
        os._exit(0)
    os.write(1, f"{child}\\n".encode())
"""


class Workers:
    """Starts real processes quickly: the heavy imports happen once, in their parent."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKERS, str(data), "import", "train"],  # the words of the jobs
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, job: Job) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{job.kind.value} {job.id}\n")
        self.process.stdin.flush()
        return int(self._line())

    def end(self) -> None:
        self.process.communicate(timeout=30)


def until(store: Store, job: Job, what: str) -> Job:
    """Wait until a job is `running` or `ended`."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        now = store.job(job.id)
        if now.state is not JobState.QUEUED and (what == "running" or not now.state.active):
            return now
        time.sleep(0.005)
    raise AssertionError(f"{now} is not {what}")


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.005)


def sound(store: Store) -> None:
    """The database is whole, and no meme is without its picture."""
    with sqlite3.connect(store.folder / "memeapp.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
    for meme in store.memes():
        assert store.picture_path(meme.id).stat().st_size > 0


@pytest.fixture
def workers(store: Store) -> Iterator[Workers]:
    workers = Workers(store.folder)
    yield workers
    workers.end()


def test_an_import_killed_at_any_moment_and_started_again_brings_everything_once(
    store: Store, workers: Workers, tmp_path: Path
) -> None:
    rows = [f"{number}.png\t1\t0\t1\t0\t0\ttext {number}" for number in range(PICTURES)]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        header = "\t".join(["file_name", *MAMI.names, "Text Transcription"])
        file.writestr("data.csv", "\n".join([header, *rows]))
        for number in range(PICTURES):
            file.writestr(f"{number}.png", draw_picture(number))
    content = (tmp_path / "set.zip").read_bytes()
    incoming = Incoming(store.folder, 100)
    upload = incoming.begin("set.zip", len(content), "0" * 16)
    incoming.put(upload.id, 0, content)
    transfer = Transfer(store, MAMI, holdout_share=0.2, max_upload_mb=20, max_text=200)
    imports = ImportJobs(store, transfer, incoming, Settings(data=store.folder))

    def start() -> tuple[Job, int]:
        options = {"upload": upload.id, "name": upload.name}
        job = store.add_job(kind=JobKind.IMPORT, options=options)
        return job, workers.start(job)

    chance, there, killed = random.Random(11), 0, 0
    while killed < 6:
        job, pid = start()
        until(store, job, "running")
        # Later and later, so that each run is killed beyond what the ones before it brought.
        wanted = min(there + chance.randint(0, 12), PICTURES - 40)
        while len(store.memes()) < wanted and store.job(job.id).state.active:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.02))
        kill(pid)
        ended = imports.latest()
        assert ended is not None and ended.id == job.id
        assert ended.state is JobState.FAILED, "it was to be killed before its end"
        assert "nothing is doubled" in ended.message
        killed += 1
        sound(store)
        assert len(store.memes()) >= there, "a meme is gone"
        there = len(store.memes())
        assert incoming.finished(upload.id)
    assert 0 < there < PICTURES

    job, _ = start()
    done = until(store, job, "ended")
    assert done.state is JobState.FINISHED, done.message
    assert (done.result["added"], done.result["known"]) == (PICTURES - there, there)
    sound(store)
    memes = store.memes()
    assert sorted(meme.text for meme in memes) == sorted(f"text {n}" for n in range(PICTURES))
    votes = store.all_votes()
    assert sorted(vote.meme_id for vote in votes) == sorted(meme.id for meme in memes)
    assert len(store.annotators()) == 1
    assert incoming.all() == []
    assert not (store.folder / "unpacked").exists()


def test_a_training_killed_at_any_moment_leaves_no_half_version_and_no_vote_behind(
    store: Store, workers: Workers
) -> None:
    fill(store, MEMES)
    settings = Settings(data=store.folder, models=store.folder / "none")
    registry = Registry(settings.models, settings.data / "models")

    class Answering:
        """The part of `Training` that a job which was killed is judged by."""

        current = staticmethod(registry.current)

    jobs = Jobs(store, Answering(), settings)  # type: ignore[arg-type]

    def start() -> tuple[Job, int]:
        job = store.add_job("embedded")
        return job, workers.start(job)

    job, _ = start()
    done = until(store, job, "ended")
    assert done.state is JobState.FINISHED, done.message
    first = registry.current().name
    assert first == done.version

    session = store.add_session(Plan("Room", votes_per_meme=3), [one.id for one in store.memes()])
    me = store.add_annotator("Ada", session_id=session.id).id
    accepted: set[int] = set()
    stop = threading.Event()

    def label() -> None:
        own = Store(store.folder)
        while not stop.is_set() and (cards := own.next_cards(me, "tab-00001")):
            said = Judgement({"misogynous": True})
            accepted.add(own.record(me, cards[0].meme.id, said, key=cards[0].meme.id).id)
            time.sleep(0.1)
        own.close()

    labelling = threading.Thread(target=label)
    labelling.start()
    chance = random.Random(5)
    for share in (0.0, 0.65, 0.8, 0.95, 0.99, 0.99):
        job, pid = start()
        until(store, job, "running")
        while (now := store.job(job.id)).progress < share and now.state.active:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        kill(pid)
        ended = jobs.latest()
        assert ended is not None and ended.id == job.id
        answering = registry.current().name
        if ended.state is JobState.FAILED:
            assert "start it again" in ended.message
            assert answering != ended.version or ended.version is None
        else:  # The kill came too late.
            assert ended.state is JobState.FINISHED
            assert (answering == ended.version) is ended.result["promoted"]
            assert ended.version in {version.name for version in registry.versions()}
        for version in registry.versions():
            assert registry.load(version.name).labels == MAMI.names
    stop.set()
    labelling.join(30)
    assert [job.state for job in store.jobs(JobKind.TRAIN, limit=10)].count(JobState.FAILED) >= 3
    assert first in {version.name for version in registry.versions()}
    sound(store)
    assert accepted and accepted <= {vote.id for vote in store.all_votes(session.id)}
    job, _ = start()
    assert until(store, job, "ended").state is JobState.FINISHED
    assert registry.load(registry.current().name).labels == MAMI.names
