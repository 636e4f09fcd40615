"""The training process: started, watched, cancelled, survived. Its state is in the database."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import psutil

from memeapp.encoders import check_encoder
from memeapp.errors import BadSetting, Cancelled, MemeAppError, NotFound
from memeapp.learn.recipe import BEST, Recipe
from memeapp.service.features import Report
from memeapp.service.training import Trained, Training
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.types import JobState, TrainingJob

START_SECONDS = 60
"""A job that has no process after this long will never have one."""

LONGEST_NAME = 500
"""Characters of an encoder's name; `local-dir:` and a path are one."""

log = logging.getLogger(__name__)


class Jobs:
    """One training job at a time, in a process of its own at low priority."""

    def __init__(self, store: Store, training: Training, settings: Settings) -> None:
        self._store = store
        self._training = training
        self._settings = settings
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, encoder: str | None = None) -> TrainingJob:
        """Start a training in a new process and come back within 3 s; see `queue`."""
        job = self.queue(encoder)
        if not job.state.active:
            return job
        with self._lock:
            log_file = self._log_file(job.id)
            log_file.parent.mkdir(parents=True, exist_ok=True)
            with log_file.open("wb") as output:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "memeapp", "train", "--job", str(job.id)],
                    env={**os.environ, **self._settings.to_env()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._store.update_job(job.id, pid=self._child.pid)
        return self._store.job(job.id)

    def queue(self, encoder: str | None = None) -> TrainingJob:
        """Queue a job, which this or another process then runs.

        If the encoder cannot be had here, the job returned has failed and says why.

        Args:
            encoder: as `open_encoder` takes it; `Training.usual_encoder()` if empty.

        Raises:
            BadSetting: if `encoder` cannot be a name; nothing is queued.
            TooFewLabels: if there is not enough to learn from; nothing is queued.
            Busy: if a job is queued or running.
        """
        name = _checked_name(encoder or "") or self._training.usual_encoder()
        self._training.check()
        with self._lock:
            self._mark_dead()
            job = self._store.add_job(name)
        try:
            check_encoder(name)
        except MemeAppError as error:
            return self._store.update_job(job.id, state=JobState.FAILED, message=str(error))
        return job

    def latest(self) -> TrainingJob | None:
        """The newest job; one whose process is gone is marked failed first."""
        with self._lock:
            self._mark_dead()
        return self._store.latest_job()

    def cancel(self, job_id: int) -> None:
        """Ask a job to stop; it does so at its next report. Raises: NotFound."""
        if not self._store.job(job_id).state.active:
            raise NotFound(f"Job {job_id} has ended; there is nothing to cancel.")
        self._store.request_cancel(job_id)

    def run(
        self,
        job_id: int,
        *,
        seed: int = 0,
        recipe: Recipe = BEST,
        also: Report | None = None,
    ) -> TrainingJob:
        """Do the work of a job in this process; the way it ends is in the job returned.

        Args:
            also: told of the progress too, besides the database.
        """

        def report(stage: str, done: float) -> None:
            if self._store.cancel_requested(job_id):
                raise Cancelled("Cancelled by an admin; the running version stays.")
            self._store.update_job(job_id, stage=stage, progress=done)
            if also:
                also(stage, done)

        job = self._store.update_job(
            job_id, state=JobState.RUNNING, stage="Starting", pid=os.getpid()
        )
        if not job.state.active:
            return job
        try:
            trained = self._training.train(
                report, encoder=job.encoder or None, seed=seed, recipe=recipe
            )
        except Cancelled as error:
            self._store.update_job(job_id, state=JobState.CANCELLED, message=str(error))
        except MemeAppError as error:
            self._store.update_job(job_id, state=JobState.FAILED, message=str(error))
        except Exception as error:
            log.exception("Job %s failed", job_id)
            self._store.update_job(
                job_id,
                state=JobState.FAILED,
                message=f"{type(error).__name__}: {error}. The log of the job says where.",
            )
        except BaseException as error:
            self._store.update_job(
                job_id, state=JobState.FAILED, message=f"Stopped by {type(error).__name__}."
            )
            raise
        else:
            self._store.add_version(trained.version, job_id)
            # The name first: should this process die now, it can be told what became of the job.
            self._store.update_job(job_id, version=trained.version.name, message=_in_words(trained))
            self._training.promote(trained.version.name)
            self._store.update_job(job_id, state=JobState.FINISHED, stage="Done", progress=1.0)
        return self._store.job(job_id)

    def _mark_dead(self) -> None:
        if self._child is not None:
            self._child.poll()
        for job in self._store.active_jobs():
            if not _abandoned(job):
                continue
            if job.version and self._training.current().name == job.version:
                self._store.update_job(job.id, state=JobState.FINISHED, stage="Done", progress=1.0)
            else:
                self._store.update_job(
                    job.id,
                    state=JobState.FAILED,
                    message="The training process ended before it was done; start it again, "
                    "what was encoded is kept. "
                    f"Its log is {self._log_file(job.id).name} in the data folder's logs.",
                )

    def _log_file(self, job_id: int) -> Path:
        return self._settings.data / "logs" / f"job-{job_id}.log"


def _checked_name(encoder: str) -> str:
    name = encoder.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise BadSetting(
            f"{name[:80]!r} … cannot be the name of an encoder: it may have {LONGEST_NAME} "
            "characters and no line breaks."
        )
    return name


def _abandoned(job: TrainingJob) -> bool:
    if job.pid is not None:
        return not _is_training(job.pid, since=datetime.fromisoformat(job.updated_at))
    # Whoever made the job died before it could start a process for it.
    age = datetime.now(UTC) - datetime.fromisoformat(job.created_at)
    return age.total_seconds() > START_SECONDS


def _is_training(pid: int, since: datetime) -> bool:
    """Whether this process was there at that time and is one of ours that trains.

    The system gives the numbers of processes that have ended to new ones.
    """
    try:
        process = psutil.Process(pid)
        if (
            process.status() == psutil.STATUS_ZOMBIE
            or process.create_time() > since.timestamp() + 1
        ):
            return False
        return pid == os.getpid() or "train" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _in_words(trained: Trained) -> str:
    """How the new version compares, in sentences for the admin."""
    version, after, before = trained.version, trained.metrics, trained.before
    if after is None:
        told = "No held-out meme has a label yet, so nobody knows how good it is."
    else:
        scores = (
            ("A", after.task_a, before and before.task_a),
            ("B", after.task_b, before and before.task_b),
        )
        parts = [
            f"{task} {now.value:.3f}" + (f" ({version.parent}: {then.value:.3f})" if then else "")
            for task, now, then in scores
        ]
        told = f"On {after.rows} held-out memes: {', '.join(parts)}."
    return " ".join([f"{version.name} answers now, on {version.encoder}.", told, *trained.notices])
