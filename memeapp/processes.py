"""Jobs in processes of their own: started, watched, cancelled, survived. Their state is in the
database."""

from __future__ import annotations

import errno
import logging
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

import psutil

from memeapp.errors import Cancelled, MemeAppError, NotFound
from memeapp.service.features import Report
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.store.connections import now
from memeapp.types import Job, JobKind, JobState

SECONDS_BETWEEN_NEWS = 0.5
"""A job writes down how far it is so often, and whenever it begins with something else."""
START_SECONDS = 60
"""A job that has no process after this long will never have one."""

log = logging.getLogger(__name__)


def _as_reported(done: float) -> Mapping[str, Any]:
    return {"progress": done}


class Processes:
    """The jobs of one kind: one at a time, in a process of its own at low priority."""

    kind: ClassVar[JobKind]
    """Also the word in the command line by which a process of ours is known."""
    cancelled: ClassVar[str]
    """A sentence for whoever looks at a job that was cancelled."""
    died: ClassVar[str]
    """The same for a job whose process was killed."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def latest(self) -> Job | None:
        """The newest job; one whose process is gone is marked failed first."""
        with self._lock:
            self._mark_dead()
        return self._store.latest_job(self.kind)

    def find(self, job_id: int) -> Job:
        """The job of this number and kind; marked failed first if its process is gone.

        Raises:
            NotFound: if there is none.
        """
        with self._lock:
            self._mark_dead()
        job = self._store.job(job_id)
        if job.kind is not self.kind:
            raise NotFound(f"Job {job_id} is no {self.kind.value}.")
        return job

    def cancel(self, job_id: int) -> None:
        """Ask a job to stop; it does so at its next report.

        Raises:
            NotFound: there is no such job of this kind, or it has ended.
        """
        job = self._store.job(job_id)
        if job.kind is not self.kind or not job.state.active:
            raise NotFound(f"Job {job_id} has ended; there is nothing to cancel.")
        self._store.request_cancel(job_id)

    def _add(self, encoder: str = "", options: Mapping[str, Any] | None = None) -> Job:
        """Queue a job. Raises: Busy, if one is queued or running."""
        with self._lock:
            self._mark_dead()
            return self._store.add_job(encoder, kind=self.kind, options=options)

    def _spawn(self, job: Job, *arguments: str) -> Job:
        """Start `memeapp <kind> <arguments> --job <number>` for a queued job."""
        with self._lock:
            log_file = self._log_file(job.id)
            log_file.parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "memeapp", self.kind.value, *arguments]
            with log_file.open("wb") as output:
                self._child = subprocess.Popen(
                    [*command, "--job", str(job.id)],
                    env={**os.environ, **self._settings.to_env()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            return self._store.update_job(job.id, pid=self._child.pid)

    def _work(
        self,
        job_id: int,
        work: Callable[[Job, Report], None],
        also: Report | None = None,
        tell: Callable[[float], Mapping[str, Any]] = _as_reported,
    ) -> Job:
        """Do the work of a job in this process; the way it ends is in the job returned.

        Args:
            work: is given a report that raises `Cancelled` once somebody has asked for that.
            also: told of the progress too, besides the database.
            tell: share done → columns of the job that tell of it, as `Store.update_job` has them.
        """

        written, doing, share = -math.inf, "", 0.0

        def report(stage: str, done: float) -> None:
            nonlocal written, doing, share
            if self._store.cancel_requested(job_id):
                raise Cancelled(self.cancelled)
            what, time = stage.partition(":")[0], monotonic()
            # Whoever writes keeps all others from it until the disk has it.
            if what != doing or time - written >= SECONDS_BETWEEN_NEWS:
                written, doing = time, what
                share = self._store.update_job(job_id, stage=stage, **tell(done)).progress
            if also:
                also(stage, share)

        def failed(message: str) -> None:
            self._store.update_job(job_id, state=JobState.FAILED, message=message)

        job = self._store.update_job(
            job_id, state=JobState.RUNNING, stage="Starting", pid=os.getpid(), started_at=now()
        )
        if not job.state.active:
            return job
        try:
            work(job, report)
        except Cancelled as error:
            self._store.update_job(job_id, state=JobState.CANCELLED, message=str(error))
        except MemeAppError as error:
            failed(str(error))
        except Exception as error:
            log.exception("Job %s failed", job_id)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                failed("The disk of the data folder is full; make room and start it again.")
            else:
                failed(f"{type(error).__name__}: {error}. The log of the job says where.")
        except BaseException as error:
            failed(f"Stopped by {type(error).__name__}.")
            raise
        else:
            self._store.update_job(job_id, state=JobState.FINISHED, stage="Done", progress=1.0)
        return self._store.job(job_id)

    def _mark_dead(self) -> None:
        if self._child is not None:
            self._child.poll()
        for job in self._store.active_jobs(self.kind):
            if not _abandoned(job):
                continue
            if self._was_done(job):
                self._store.update_job(job.id, state=JobState.FINISHED, stage="Done", progress=1.0)
            else:
                self._store.update_job(
                    job.id,
                    state=JobState.FAILED,
                    message=f"{self.died}{_last_stage(job)} "
                    f"Its log is {self._log_file(job.id).name} in the data folder's logs.",
                )

    def _was_done(self, job: Job) -> bool:
        """Whether a job whose process is gone had done all but say so."""
        return False

    def _log_file(self, job_id: int) -> Path:
        return self._settings.data / "logs" / f"job-{job_id}.log"


def _last_stage(job: Job) -> str:
    return f" It was at: {job.stage}." if job.stage else ""


def _abandoned(job: Job) -> bool:
    if job.pid is not None:
        return not _is_ours(job.pid, job.kind, since=datetime.fromisoformat(job.updated_at))
    # Whoever made the job died before it could start a process for it.
    age = datetime.now(UTC) - datetime.fromisoformat(job.created_at)
    return age.total_seconds() > START_SECONDS


def _is_ours(pid: int, kind: JobKind, since: datetime) -> bool:
    """Whether this process was there at that time and is one of ours that does such work.

    The system gives the numbers of processes that have ended to new ones.
    """
    try:
        process = psutil.Process(pid)
        if (
            process.status() == psutil.STATUS_ZOMBIE
            or process.create_time() > since.timestamp() + 1
        ):
            return False
        return pid == os.getpid() or kind.value in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
