import subprocess
import sys
import time

import pytest
from conftest import write_tiny_clip
from huggingface_hub import constants

from memeapp import processes
from memeapp.encoders import hub
from memeapp.errors import BadInput, BadSetting, Busy, NotFound, TooFewLabels, Unavailable
from memeapp.jobs import Jobs
from memeapp.learn.gate import Decision, Rule, Verdict
from memeapp.learn.loops import Progress
from memeapp.learn.metrics import measure
from memeapp.learn.recipe import BEST, PAPER
from memeapp.service.run import Trained
from memeapp.settings import Settings
from memeapp.types import JobKind, JobState, LossCurve, ModelVersion


class FakeTraining:
    """A training that reports three steps and then does what the test wants."""

    def __init__(self):
        self.enough = True
        self.ending = None
        self.in_between = lambda: None
        self.answering = "shipped-1"
        self.verdict = Verdict.PROMOTE

    def check(self):
        if not self.enough:
            raise TooFewLabels("3 labelled memes; 30 are needed.")

    def promote(self, name):
        self.answering = name

    def current(self):
        if not self.answering:
            raise NotFound("There is no model version.")
        return ModelVersion(self.answering, "now", "fake-1", ("a", "b"), None, "best", {})

    def usual_encoder(self):
        return "embedded"

    def train(
        self, report, *, encoder, seed, recipe, aggregation, votes, on_epoch=None, on_saved=None
    ):
        self.trained_on = encoder
        self.learnt = (aggregation, votes)
        for epoch, done in enumerate((0.0, 0.4, 0.8), 1):
            if on_epoch:
                on_epoch(Progress("At work", done, 1 / epoch, epoch, 3))
            report("at work", done)
            self.in_between()
        self.seed, self.recipe = seed, recipe
        if self.ending:
            raise self.ending
        version = ModelVersion("v0001", "now", "fake-1", ("a", "b"), None, "best", {})
        metrics = measure([[1, 0], [0, 1]], [[1, 0], [0, 1]], [[1, 0], [0, 1]], labels=("a", "b"))
        decision = self.verdict and Decision(self.verdict, "So it was found.", Rule(), 2)
        trained = Trained(version, metrics, None, decision, ("OCR fell back.",))
        if on_saved:
            on_saved(trained)
        return trained


@pytest.fixture
def training():
    return FakeTraining()


@pytest.fixture
def jobs(store, training, monkeypatch):
    monkeypatch.setattr(processes, "SECONDS_BETWEEN_NEWS", 0.0)
    return Jobs(store, training, Settings(data=store.folder))


def test_a_job_that_ends_well_names_its_version_and_what_the_gate_found(jobs, store):
    seen = []
    done = jobs.run(store.add_job().id, also=lambda stage, share: seen.append(share))
    assert (done.state, done.version, done.progress) == (JobState.FINISHED, "v0001", 1.0)
    assert done.message.startswith("v0001 answers now, on fake-1. So it was found.")
    assert "OCR fell back." in done.message
    assert jobs._training.answering == "v0001"
    assert seen == [0.0, 0.4, 0.8]
    assert [version.name for version in store.versions()] == ["v0001"]


@pytest.mark.parametrize("verdict", [Verdict.WAIT, Verdict.UNKNOWN])
def test_a_version_that_does_not_pass_the_gate_waits_for_the_admin(jobs, store, training, verdict):
    training.verdict = verdict
    done = jobs.run(store.add_job().id)
    assert (done.state, done.version) == (JobState.FINISHED, "v0001")
    assert training.answering == "shipped-1"
    assert "does not answer yet" in done.message and "So it was found." in done.message


def test_what_the_gate_lets_answer_is_noted_before_it_answers(jobs, store, training):
    noted = []
    training.promote = lambda name: noted.extend(store.audit(9))
    job = jobs.run(store.add_job().id)
    (deed,) = noted
    assert (deed.who, deed.what, deed.about, deed.before) == (
        "the gate",
        "version.promote",
        "v0001",
        "shipped-1",
    )
    assert deed.details == {"job": job.id}


def test_a_version_that_waits_is_not_noted(jobs, store, training):
    training.verdict = Verdict.WAIT
    jobs.run(store.add_job().id)
    assert store.audit(9) == []


def test_the_first_version_of_all_answers(jobs, store, training):
    training.verdict = None
    jobs.run(store.add_job().id)
    assert training.answering == "v0001"


def test_a_process_that_died_after_its_version_was_told_to_wait_has_finished(jobs, store):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    job = store.add_job()
    store.update_job(
        job.id, state=JobState.RUNNING, pid=gone.pid, version="v0001", result={"promoted": False}
    )
    assert jobs.latest().state is JobState.FINISHED


def test_the_progress_is_in_the_database_while_it_runs(jobs, store, training):
    seen = []
    training.in_between = lambda: seen.append(jobs.latest())
    jobs.run(store.add_job().id)
    assert [(job.state, job.stage, job.progress) for job in seen] == [
        (JobState.RUNNING, "at work", share) for share in (0.0, 0.4, 0.8)
    ]


def test_a_cancelled_job_stops_at_its_next_report(jobs, store, training):
    job = store.add_job()
    steps = []

    def cancel():
        steps.append(1)
        jobs.cancel(job.id)

    training.in_between = cancel
    done = jobs.run(job.id)
    assert done.state is JobState.CANCELLED
    assert len(steps) == 1
    assert store.versions() == []


@pytest.mark.parametrize(
    ("ending", "words"),
    [(Unavailable("no weights"), "no weights"), (RuntimeError("a bug"), "RuntimeError: a bug")],
)
def test_a_job_that_fails_says_why(jobs, store, training, ending, words):
    training.ending = ending
    done = jobs.run(store.add_job().id)
    assert done.state is JobState.FAILED
    assert words in done.message


def test_a_job_that_is_interrupted_does_not_stay_active(jobs, store, training):
    training.ending = KeyboardInterrupt()
    job = store.add_job()
    with pytest.raises(KeyboardInterrupt):
        jobs.run(job.id)
    assert store.job(job.id).state is JobState.FAILED
    assert training.answering == "shipped-1"


def test_a_job_that_has_ended_is_not_run_again(jobs, store, training):
    job = jobs.run(store.add_job().id)
    training.ending = RuntimeError("it was run again")
    assert jobs.run(job.id) == job


def test_a_process_that_died_after_its_version_answered_has_finished(jobs, store, training):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    store.update_job(store.add_job().id, state=JobState.RUNNING, pid=gone.pid, version="v0007")
    training.answering = "v0007"
    assert jobs.latest().state is JobState.FINISHED


def test_a_new_job_can_be_queued_where_a_dead_one_stands(jobs, store):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    dead = store.add_job()
    store.update_job(dead.id, state=JobState.RUNNING, pid=gone.pid)
    assert jobs.queue().id != dead.id
    assert store.job(dead.id).state is JobState.FAILED


def test_too_few_labels_are_said_before_a_process_starts(jobs, store, training):
    training.enough = False
    with pytest.raises(TooFewLabels):
        jobs.start()
    assert store.latest_job() is None


def test_a_job_trains_on_the_encoder_it_was_queued_for(jobs, training, tmp_path):
    folder = write_tiny_clip(tmp_path, seed=0)
    job = jobs.queue(f" local-dir:{folder} ")
    assert job.encoder == f"local-dir:{folder}"
    assert jobs.run(job.id).encoder == training.trained_on == job.encoder


@pytest.mark.parametrize("name", [None, "", "  "])
def test_a_job_without_a_name_of_an_encoder_takes_the_usual_one(jobs, training, name):
    job = jobs.queue(name)
    assert job.encoder == "embedded"
    jobs.run(job.id)
    assert training.trained_on == "embedded"


@pytest.mark.parametrize("name", ["ViT-L-14/opnai", "/models/clip", "local-dir:/nowhere"])
def test_a_job_on_an_encoder_that_does_not_exist_fails_at_once_and_says_so(jobs, store, name):
    job = jobs.start(name)
    assert (job.state, job.encoder, job.pid) == (JobState.FAILED, name, None)
    assert name.removeprefix("local-dir:") in job.message
    assert store.latest_job() == job
    assert jobs.queue().state is JobState.QUEUED


def test_a_job_on_weights_out_of_reach_fails_within_three_seconds(jobs, tmp_path, monkeypatch):
    class Silent:
        def head(self, url, timeout):
            time.sleep(60)

    monkeypatch.setattr(hub, "get_session", Silent)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    began = time.perf_counter()
    job = jobs.start("ViT-L-14/openai")
    assert time.perf_counter() - began < 10  # 2.5 s of waiting
    assert job.state is JobState.FAILED
    assert "ViT-L-14/openai are not on this machine" in job.message


@pytest.mark.parametrize("aggregation", ["majority", "dawid-skene", "mace"])
@pytest.mark.parametrize("votes", ["blind", "all"])
def test_a_job_trains_on_the_votes_it_was_queued_for(jobs, training, aggregation, votes):
    jobs.run(jobs.queue(aggregation=aggregation, votes=votes).id)
    assert training.learnt == (aggregation, votes)


def test_a_job_of_before_trains_on_the_majority_of_blind_votes(jobs, store, training):
    jobs.run(store.add_job().id)
    assert training.learnt == ("majority", "blind")


@pytest.mark.parametrize("choice", [{"aggregation": "mean"}, {"votes": "mine"}, {"votes": ""}])
def test_a_choice_of_votes_that_does_not_exist_is_refused_and_not_written_down(jobs, store, choice):
    with pytest.raises(BadInput, match="there are"):
        jobs.start(**choice)
    assert store.latest_job() is None


@pytest.mark.parametrize("name", ["x" * 501, "two\nlines", "nul\0"])
def test_what_cannot_be_a_name_is_refused_and_not_written_down(jobs, store, name):
    with pytest.raises(BadSetting, match="cannot be the name of an encoder"):
        jobs.start(name)
    assert store.latest_job() is None


def test_a_job_does_not_write_at_every_step_what_others_would_have_to_wait_for(
    jobs, store, training, monkeypatch
):
    monkeypatch.setattr(processes, "SECONDS_BETWEEN_NEWS", 3600.0)
    seen = []
    id = store.add_job().id
    training.in_between = lambda: seen.append(store.job(id).progress)
    assert jobs.run(id).state is JobState.FINISHED
    assert seen == [0.0, 0.0, 0.0]


def test_there_is_one_job_at_a_time(jobs, store):
    store.update_job(store.add_job().id, pid=None)
    with pytest.raises(Busy):
        jobs.start()


def test_a_job_whose_process_is_gone_is_marked_failed(jobs, store):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    store.update_job(store.add_job().id, state=JobState.RUNNING, pid=gone.pid)
    assert jobs.latest().state is JobState.FAILED
    assert "start it again" in jobs.latest().message


def test_a_first_training_killed_before_its_version_answered_does_not_block_the_next(
    jobs, store, training
):
    training.answering = ""
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    id = store.add_job().id
    store.update_job(id, version="v0001", result={"promoted": True}, pid=gone.pid)
    assert jobs.latest().state is JobState.FAILED
    assert jobs.queue().id != id


def test_a_process_that_is_not_ours_does_not_keep_a_job_alive(jobs, store):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        store.update_job(store.add_job().id, state=JobState.RUNNING, pid=other.pid)
        assert jobs.latest().state is JobState.FAILED
    finally:
        other.communicate(b"\n")


def test_a_job_that_has_ended_cannot_be_cancelled(jobs, store):
    job = jobs.run(store.add_job().id)
    with pytest.raises(NotFound):
        jobs.cancel(job.id)


def test_there_is_no_job_in_a_new_data_folder(jobs):
    assert jobs.latest() is None


def test_a_job_tells_who_asked_for_it_and_when_its_process_began(jobs, store):
    job = jobs.queue(by="daily at 03:30")
    assert (job.options["by"], job.started_at) == ("daily at 03:30", None)
    assert jobs.run(job.id).started_at >= job.created_at


def test_the_losses_are_in_the_database_while_it_runs_and_after_it(jobs, store, training):
    seen = []
    training.in_between = lambda: seen.append(jobs.latest().losses)
    done = jobs.run(store.add_job().id)
    assert seen[0] == (LossCurve("At work", 3, ((1, 1.0),)),)
    assert done.losses == (LossCurve("At work", 3, ((1, 1.0), (2, 0.5), (3, 1 / 3))),)


@pytest.mark.parametrize("ending", [Unavailable("no weights"), RuntimeError("a bug")])
def test_a_job_that_fails_keeps_its_losses(jobs, store, training, ending):
    training.ending = ending
    assert len(jobs.run(store.add_job().id).losses[0].points) == 3


def test_a_job_learns_with_the_seed_and_the_recipe_it_was_queued_with(jobs, training):
    jobs.run(jobs.queue(seed=5, recipe="paper").id)
    assert (training.seed, training.recipe) == (5, PAPER)
    jobs.run(jobs.queue().id)
    assert (training.seed, training.recipe) == (0, BEST)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_came_to_no_end_is_started_again_as_it_was_asked_for(
    jobs, store, monkeypatch, state
):
    monkeypatch.setattr(jobs, "_spawn", lambda job, *_: job)
    asked = {"aggregation": "mace", "votes": "all", "seed": 9, "recipe": "paper"}
    first = jobs.start("embedded", by="daily at 03:30", **asked)
    store.update_job(first.id, state=state)
    again = jobs.again(first.id, by="admin")
    assert again.encoder == "embedded"
    assert again.options == {**asked, "by": "admin", "resumes": first.id}


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.FINISHED])
def test_a_job_that_goes_on_or_has_finished_is_not_started_again(jobs, store, state):
    job = store.update_job(store.add_job().id, state=state)
    with pytest.raises(NotFound, match="nothing to start again"):
        jobs.again(job.id)


def test_a_job_of_another_kind_is_not_found(jobs, store):
    job = store.add_job(kind=JobKind.IMPORT)
    for look in (jobs.find, jobs.again):
        with pytest.raises(NotFound):
            look(job.id)


def test_a_dead_job_says_at_which_stage_it_died(jobs, store):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    job = store.add_job()
    store.update_job(job.id, state=JobState.RUNNING, stage="Encoding pictures", pid=gone.pid)
    assert "It was at: Encoding pictures." in jobs.find(job.id).message
