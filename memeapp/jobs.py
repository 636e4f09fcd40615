"""The training process: which encoder, which votes, and what became of it."""

from __future__ import annotations

from memeapp.encoders import check_encoder
from memeapp.errors import BadSetting, MemeAppError
from memeapp.learn.gate import Verdict
from memeapp.learn.recipe import BEST, Recipe
from memeapp.processes import Processes
from memeapp.service.features import Report
from memeapp.service.said import check_choice
from memeapp.service.training import Trained, Training
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.types import Job, JobKind, JobState

LONGEST_NAME = 500
"""Characters of an encoder's name; `local-dir:` and a path are one."""


class Jobs(Processes):
    """Trainings."""

    kind = JobKind.TRAIN
    cancelled = "Cancelled by an admin; the running version stays."
    died = (
        "The training process ended before it was done; start it again, what was encoded is kept."
    )

    def __init__(self, store: Store, training: Training, settings: Settings) -> None:
        super().__init__(store, settings)
        self._training = training

    def start(
        self,
        encoder: str | None = None,
        *,
        aggregation: str = "majority",
        votes: str = "blind",
    ) -> Job:
        """Start a training in a new process and come back within 3 s; see `queue`."""
        job = self.queue(encoder, aggregation=aggregation, votes=votes)
        return self._spawn(job) if job.state.active else job

    def queue(
        self,
        encoder: str | None = None,
        *,
        aggregation: str = "majority",
        votes: str = "blind",
    ) -> Job:
        """Queue a job, which this or another process then runs.

        If the encoder cannot be had here, the job returned has failed and says why.

        Args:
            encoder: as `open_encoder` takes it; `Training.usual_encoder()` if empty.
            aggregation, votes: as `Training.train` takes them.

        Raises:
            BadSetting: if `encoder` cannot be a name; nothing is queued.
            BadInput: if there is no such aggregation or choice of votes; nothing is queued.
            TooFewLabels: if there is not enough to learn from; nothing is queued.
            Busy: if a job is queued or running.
        """
        name = _checked_name(encoder or "") or self._training.usual_encoder()
        check_choice(aggregation, votes)
        self._training.check()
        job = self._add(name, {"aggregation": aggregation, "votes": votes})
        try:
            check_encoder(name)
        except MemeAppError as error:
            return self._store.update_job(job.id, state=JobState.FAILED, message=str(error))
        return job

    def run(
        self,
        job_id: int,
        *,
        seed: int = 0,
        recipe: Recipe = BEST,
        also: Report | None = None,
    ) -> Job:
        """Do the work of a job in this process; the way it ends is in the job returned.

        Args:
            also: told of the progress too, besides the database.
        """

        def work(job: Job, report: Report) -> None:
            trained = self._training.train(
                report,
                encoder=job.encoder or None,
                seed=seed,
                recipe=recipe,
                aggregation=job.options.get("aggregation", "majority"),
                votes=job.options.get("votes", "blind"),
            )
            self._store.add_version(trained.version, job.id)
            # The name first: should this process die now, it can be told what became of the job.
            self._store.update_job(
                job.id,
                version=trained.version.name,
                message=_in_words(trained),
                result={"promoted": passed(trained)},
            )
            if passed(trained):
                self._training.promote(trained.version.name)

        return self._work(job_id, work, also)

    def _was_done(self, job: Job) -> bool:
        if not job.version:
            return False
        return not job.result.get("promoted", True) or self._training.current().name == job.version


def _checked_name(encoder: str) -> str:
    name = encoder.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise BadSetting(
            f"{name[:80]!r} … cannot be the name of an encoder: it may have {LONGEST_NAME} "
            "characters and no line breaks."
        )
    return name


def passed(trained: Trained) -> bool:
    """Whether a new version answers without anybody looking."""
    return trained.decision is None or trained.decision.verdict is Verdict.PROMOTE


def _in_words(trained: Trained) -> str:
    """How the new version compares, and whether it answers, in sentences for the admin."""
    version, decision = trained.version, trained.decision
    if decision is None:
        told = f"{version.name} answers now: there was no version before it."
    elif passed(trained):
        told = f"{version.name} answers now, on {version.encoder}. {decision.reason}"
    else:
        told = (
            f"{version.name} is ready, on {version.encoder}, and does not answer yet; "
            f"{version.parent} goes on. {decision.reason}"
        )
        if decision.verdict is Verdict.UNKNOWN:
            told += " Look at both under Versions, and decide."
    return " ".join([told, *trained.notices])
