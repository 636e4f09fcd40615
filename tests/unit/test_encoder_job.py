"""A training on another encoder as an admin starts it: real process, killed, resumed, compared."""

import os
import subprocess
import sys
import time

import pytest
from conftest import draw_picture, write_tiny_clip

from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.service.features import BATCH
from memeapp.service.zeroshot import NAME
from memeapp.settings import Settings
from memeapp.types import JobState, TextSource
from memeapp.wiring import build

COUNT = 96

KILLED_AFTER_THE_FIRST_BATCH = """
import os, signal, sys
from memeapp.cli import main
from memeapp.store import Store

keep = Store.put_image_features

def put_image_features(self, encoder, rows):
    keep(self, encoder, rows)
    os.kill(os.getpid(), signal.SIGKILL)

Store.put_image_features = put_image_features
main(["train", "--job", sys.argv[1]])
"""


@pytest.fixture
def clips(tmp_path):
    """Two tiny CLIPs of other weights, as an admin would name them."""
    folders = [tmp_path / name for name in ("first", "second")]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        write_tiny_clip(folder, seed=seed)
    return [f"local-dir:{folder}" for folder in folders]


@pytest.fixture
def settings(tmp_path, clips):
    return Settings(data=tmp_path / "data", models=tmp_path / "none", encoder=clips[0])


@pytest.fixture
def app(settings):
    """The real parts over 96 labelled memes whose words decide."""
    app = build(settings)
    annotator = app.store.named_annotator("corpus", "import")
    for number in range(COUNT):
        yes = number % 2 == 0
        meme = app.store.add_meme(
            decode(draw_picture(number)),
            text=f"{'kitchen' if yes else 'engine'} {'abcdefghijklmnop'[number % 16]}",
            text_source=TextSource.GIVEN,
            origin="test",
            holdout_share=0.25,
        )
        app.store.import_vote(
            annotator.id,
            meme.id,
            dict.fromkeys(MAMI.names, False) | {"misogynous": yes, "stereotype": yes},
            key=str(number),
        )
    yield app
    app.store.close()


def wait(app):
    deadline = time.monotonic() + 240
    while (job := app.jobs.latest()).state.active:
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    app.jobs._child.wait(60)
    assert job.state is JobState.FINISHED, job.message
    return job


def test_a_job_on_another_encoder_from_zero_shot_to_the_version_that_answers(app, clips, picture):
    first, second = clips
    # There is no version: CLIP's prompts give a first answer.
    answer = app.classifier.classify(picture, "kitchen", reasons=False)
    assert (answer.model, answer.encoder) == (NAME, app.engines.encoder().id)
    assert [score.label for score in answer.scores] == list(MAMI.names)

    # Killed in the middle, as by a power cut.
    killed = app.jobs.queue()
    assert killed.encoder == first
    process = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_THE_FIRST_BATCH, str(killed.id)],
        env={**os.environ, **app.settings.to_env()},
        check=False,
    )
    assert process.returncode == -9
    assert app.jobs.latest().state is JobState.FAILED
    assert "what was encoded is kept" in app.jobs.latest().message

    # What is there is marked, to see that nobody encodes it again.
    encoder = app.engines.encoder()
    ids = [meme.id for meme in app.store.memes()]
    there = app.store.image_features(encoder.id, ids)
    assert len(there) == BATCH
    marked = {id: row + 0.25 for id, row in there.items()}
    app.store.put_image_features(encoder.id, marked)

    # Started again, as the button does it: a process of its own goes on and trains.
    app.jobs.start()
    job = wait(app)
    after = app.store.image_features(encoder.id, ids)
    assert len(after) == COUNT
    assert all((after[id] == row).all() for id, row in marked.items())
    version = app.training.current()
    assert (version.name, version.encoder) == (job.version, encoder.id)
    assert version.metrics["rows"] > 0

    # The running app answers with it, without a restart.
    answer = app.classifier.classify(picture, "kitchen", reasons=False)
    assert (answer.model, answer.encoder, answer.notices) == (job.version, encoder.id, ())

    # An admin tries another one than the setting's: compared on the same memes, and let through
    # by hand, as the gate has too few labels to tell.
    app.jobs.start(second)
    job = wait(app)
    assert app.training.current() == version
    app.training.promote(job.version)
    tried = app.training.current()
    assert (tried.name, tried.parent) == (job.version, version.name)
    assert tried.encoder.startswith(f"{second}#")
    for figure in ("rows", "task_a", "task_b"):
        assert tried.metrics["parent"][figure] == version.metrics[figure]
    assert f"{version.name} goes on. {tried.metrics['gate']['reason']}" in job.message
    answer = app.classifier.classify(picture, "kitchen", reasons=False)
    assert (answer.model, answer.encoder, answer.notices) == (tried.name, tried.encoder, ())
    assert app.training.usual_encoder() == second
