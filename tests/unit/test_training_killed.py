"""A training is killed at each of its stages, and the app while one runs: what is left is whole,
and what is started again ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import FakeEngines
from storing import fill

from memeapp.jobs import Jobs
from memeapp.labels import MAMI
from memeapp.registry import Registry
from memeapp.service.evaluation import Evaluation
from memeapp.service.training import Training
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.types import Job, JobState
from tests.unit.test_transfer_faults import kill, sound, until

MEMES = 64
KILLS = 20

WORKERS = """
import os, signal, sys
from pathlib import Path
from memeapp import registry as files
from memeapp.jobs import Jobs
from memeapp.labels import MAMI
from memeapp.learn.train import BEST
from memeapp.registry import Registry
from memeapp.service.evaluation import Evaluation
from memeapp.service.training import Training
from memeapp.settings import Settings
from memeapp.store import Store
from tests.unit.conftest import FakeEngines
from tests.unit.learning import shortened

data = Path(sys.argv[1])

def stop():
    os.write(1, b"there\\n")
    signal.pause()

def half_a_manifest(path, version):
    path.write_text('{"name":')
    stop()

class Stopping(Registry):
    def publish(self, draft, version):
        made = super().publish(draft, version)
        stop()
        return made

def work(job, stage):
    os.setsid()
    if stage == "before the start":
        stop()
    if stage == "half saved":
        files._write_manifest = half_a_manifest
    settings = Settings(data=data, models=data / "none")
    store, engines = Store(data), FakeEngines("embedded")
    registry = (Stopping if stage == "saved" else Registry)(settings.models, data / "models")
    evaluation = Evaluation(store, registry, engines, MAMI, max_upload_mb=20)
    training = Training(store, registry, engines, MAMI, evaluation)

    def also(words, done):
        if stage and words.startswith(stage):
            stop()

    Jobs(store, training, settings).run(job, recipe=shortened(BEST, epochs=6), also=also)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.write(1, b"ready\\n")
for line in sys.stdin:
    job, _, stage = line.strip().partition(" ")
    child = os.fork()
    if child == 0:
        work(int(job), stage)
        os._exit(0)
    os.write(1, f"{child}\\n".encode())
"""

STAGES = (
    "before the start",
    "Opening the encoder",
    "Encoding pictures",
    "Encoding texts",
    "Relating pictures",
    "Cross-validating the classifier: epoch 3",
    "Measuring",
    "Saving the version",
    "half saved",
    "saved",
)


class Workers:
    """Starts processes that train, as quickly as a fork; each stops at a stage if it is told to."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKERS, str(data), "train"],  # the word of such a process
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, job: Job, stage: str = "") -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{job.id} {stage}\n")
        self.process.stdin.flush()
        return int(self.line())


class Forking(Jobs):
    """Jobs whose processes are those of `workers`."""

    workers: Workers
    stage = ""

    def _spawn(self, job: Job, *arguments: str) -> Job:
        return self._store.update_job(job.id, pid=self.workers.start(job, self.stage))


class Scene:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.settings = Settings(data=store.folder, models=store.folder / "none")
        self.registry = Registry(self.settings.models, store.folder / "models")
        engines = FakeEngines("embedded")
        evaluation = Evaluation(store, self.registry, engines, MAMI, max_upload_mb=20)
        training = Training(store, self.registry, engines, MAMI, evaluation)
        self.jobs = Forking(store, training, self.settings)
        fill(store, MEMES)
        self.votes = store.all_votes()

    def check(self) -> None:
        """Every version that is listed is whole, and all is there that people said."""
        for version in self.registry.versions():
            assert self.registry.load(version.name).labels == MAMI.names
        sound(self.store)
        assert self.store.all_votes() == self.votes

    def weights(self, version: str | None) -> dict[str, bytes]:
        path = self.registry.find(version or "").path
        assert path is not None
        found = {file.name: file.read_bytes() for file in path.glob("*.safetensors")}
        assert found
        return found

    def ended(self, job: Job) -> Job:
        done = until(self.store, job, "ended")
        assert done.state is JobState.FINISHED, done.message
        return done


@pytest.fixture
def scene(store: Store) -> Iterator[Scene]:
    scene = Scene(store)
    scene.jobs.workers = Workers(store.folder)
    yield scene
    scene.jobs.workers.process.communicate(timeout=30)


def test_killed_at_any_stage_it_is_marked_and_started_again_it_ends_as_if_undisturbed(
    scene: Scene,
) -> None:
    undisturbed = scene.weights(scene.ended(scene.jobs.start(aggregation="mace", seed=7)).version)
    for stage in STAGES:
        scene.jobs.stage = stage
        with scene.store._writing() as db:  # so that there is something to encode
            db.execute("DELETE FROM image_features")
            db.execute("DELETE FROM text_features")
        job = scene.jobs.start(aggregation="mace", seed=7)
        assert scene.jobs.workers.line() == "there"
        listed = {version.name for version in scene.registry.versions()}
        answering = scene.registry.current()
        seen = scene.jobs.latest()
        assert seen is not None and seen.state.active, "it is not dead yet"
        kill(seen.pid or 0)
        marked = scene.jobs.latest()
        assert marked is not None and (marked.id, marked.state) == (job.id, JobState.FAILED)
        assert "start it again" in marked.message
        if stage[0].isupper():
            assert f"It was at: {stage.partition(':')[0]}" in marked.message
        assert {version.name for version in scene.registry.versions()} == listed
        assert scene.registry.current() == answering
        scene.check()

        scene.jobs.stage = ""
        again = scene.jobs.again(job.id)
        assert again.options["resumes"] == job.id
        done = scene.ended(again)
        asked = {"aggregation": "mace", "votes": "blind", "seed": 7, "recipe": "best"}
        assert done.options == {**asked, "by": "admin", "resumes": job.id}
        assert scene.weights(done.version) == undisturbed, stage
        scene.check()


def test_killed_twenty_times_at_random_it_leaves_nothing_half_and_ends_well(scene: Scene) -> None:
    began = time.monotonic()
    undisturbed = scene.weights(scene.ended(scene.jobs.start()).version)
    lasts = time.monotonic() - began
    chance = random.Random(3)
    states = []
    for _ in range(KILLS):
        job = scene.jobs.start()
        time.sleep(chance.uniform(0, lasts))
        kill(job.pid or 0)
        ended = scene.jobs.latest()
        assert ended is not None and ended.id == job.id
        assert ended.state in (JobState.FAILED, JobState.FINISHED)
        states.append(ended.state)
        scene.check()
    assert states.count(JobState.FAILED) >= KILLS // 4
    latest = scene.jobs.latest()
    assert latest is not None
    job = scene.jobs.again(latest.id) if latest.state is JobState.FAILED else scene.jobs.start()
    assert scene.weights(scene.ended(job).version) == undisturbed


APP = """
import sys
from pathlib import Path
from memeapp.settings import Settings
from memeapp.wiring import build

data = Path(sys.argv[1])
job = build(Settings(data=data, models=data / "none")).jobs.start("embedded")
print(job.id, flush=True)
sys.stdin.read()
"""


def test_an_app_that_is_killed_leaves_its_training_at_work_and_the_next_one_sees_it_end(
    store: Store,
) -> None:
    scene = Scene(store)
    app = subprocess.Popen(
        [sys.executable, "-c", APP, str(store.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert app.stdout is not None
    number = int(app.stdout.readline())
    os.killpg(app.pid, signal.SIGKILL)
    app.communicate()
    seen = scene.jobs.latest()
    assert seen is not None and (seen.id, seen.state.active) == (number, True)
    done = until(store, seen, "ended")
    assert done.state is JobState.FINISHED, done.message
    assert done.version in {version.name for version in scene.registry.versions()}
    assert done.losses and done.started_at and done.result["paces"]
