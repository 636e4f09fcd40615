"""The training process: which encoder, which votes, who asked, and what became of it."""

from __future__ import annotations

import contextlib
from functools import partial

from memeapp.encoders import check_encoder
from memeapp.errors import BadSetting, MemeAppError, NotFound
from memeapp.learn.gate import Verdict
from memeapp.learn.recipe import RECIPES, Recipe
from memeapp.processes import Processes
from memeapp.service.course import Course
from memeapp.service.features import Report
from memeapp.service.pace import Backlog, known_paces
from memeapp.service.run import Trained
from memeapp.service.said import check_choice
from memeapp.service.training import Training
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.store.audit import ADMIN, GATE
from memeapp.types import Job, JobKind, JobState

REMEMBERED = 20
"""Earlier trainings that the estimate of a new one looks at."""
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
        seed: int = 0,
        recipe: str = "best",
        by: str = ADMIN,
        resumes: int | None = None,
    ) -> Job:
        """Start a training in a new process and come back within 3 s; see `queue`."""
        job = self.queue(
            encoder,
            aggregation=aggregation,
            votes=votes,
            seed=seed,
            recipe=recipe,
            by=by,
            resumes=resumes,
        )
        return self._spawn(job) if job.state.active else job

    def again(self, job_id: int, by: str = ADMIN) -> Job:
        """Start a training that came to no end once more, on the same encoder, with the same
        choice of votes and the same seed; what it has read and encoded is not done again.

        Raises:
            NotFound: there is no such training, or it goes on or has finished.
            BadInput, TooFewLabels, Busy: as `queue`.
        """
        job = self.find(job_id)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise NotFound(f"Job {job_id} is {job.state.value}; there is nothing to start again.")
        asked = ("aggregation", "votes", "seed", "recipe")
        same = {name: job.options[name] for name in asked if name in job.options}
        return self.start(job.encoder, by=by, resumes=job_id, **same)

    def queue(
        self,
        encoder: str | None = None,
        *,
        aggregation: str = "majority",
        votes: str = "blind",
        seed: int = 0,
        recipe: str = "best",
        by: str = ADMIN,
        resumes: int | None = None,
    ) -> Job:
        """Queue a job, which this or another process then runs.

        If the encoder cannot be had here, the job returned has failed and says why.

        Args:
            encoder: as `open_encoder` takes it; `Training.usual_encoder()` if empty.
            aggregation, votes, seed: as `Training.train` takes them.
            recipe: one of `RECIPES`.
            by: who asked for it, in words.
            resumes: the number of the training that this one takes up again.

        Raises:
            BadSetting: if `encoder` cannot be a name; nothing is queued.
            BadInput: if there is no such aggregation or choice of votes; nothing is queued.
            TooFewLabels: if there is not enough to learn from; nothing is queued.
            Busy: if a job is queued or running.
        """
        name = checked_name(encoder or "") or self._training.usual_encoder()
        check_choice(aggregation, votes)
        self._training.check()
        options = {
            "aggregation": aggregation,
            "votes": votes,
            "seed": seed,
            "recipe": recipe,
            "by": by,
        }
        job = self._add(name, options if resumes is None else {**options, "resumes": resumes})
        try:
            check_encoder(name)
        except MemeAppError as error:
            return self._store.update_job(job.id, state=JobState.FAILED, message=str(error))
        return job

    def run(
        self,
        job_id: int,
        *,
        seed: int | None = None,
        recipe: Recipe | None = None,
        also: Report | None = None,
    ) -> Job:
        """Do the work of a job in this process; the way it ends is in the job returned.

        Args:
            seed, recipe: those that the job was queued with if None.
            also: told of the progress too, besides the database.
        """
        course = Course()

        def work(job: Job, report: Report) -> None:
            asked = job.options
            course.begin(*self._expected(job))
            try:
                trained = self._training.train(
                    report,
                    encoder=job.encoder or None,
                    seed=asked.get("seed", 0) if seed is None else seed,
                    recipe=recipe or RECIPES[asked.get("recipe", "best")],
                    aggregation=asked.get("aggregation", "majority"),
                    votes=asked.get("votes", "blind"),
                    on_epoch=course.curves.add,
                    on_saved=partial(self._saved, job),
                )
            finally:
                with contextlib.suppress(MemeAppError):  # nothing depends on them
                    self._store.update_job(job.id, losses=course.curves.drawn())
            self._store.update_job(
                job.id,
                message=_in_words(trained),
                result={"promoted": passed(trained), "paces": course.end()},
            )

        return self._work(job_id, work, also, course.tell)

    def _expected(self, job: Job) -> tuple[Backlog, dict[str, float]]:
        """What there is to do, and how long each meme took earlier."""
        backlog = Backlog.of(
            self._store, self._store.memes(), job.encoder, self._store.trained_here()
        )
        return backlog, known_paces(self._store.jobs(self.kind, limit=REMEMBERED), job.encoder)

    def _saved(self, job: Job, trained: Trained) -> None:
        """What has to be done once a version is there, whatever becomes of its receipt."""
        self._store.add_version(trained.version, job.id)
        # The name first: should this process die now, it can be told what became of the job.
        self._store.update_job(
            job.id,
            version=trained.version.name,
            message=_in_words(trained),
            result={"promoted": passed(trained)},
        )
        if passed(trained):
            self._promote(trained, job)

    def _promote(self, trained: Trained, job: Job) -> None:
        """Note it, then let the version answer: a kill in between leaves the line for what did not
        come to pass, which the job's state and the next line's `before` tell; none is lost."""
        name, before = trained.version.name, self._answering()
        self._store.note(GATE, "version.promote", name, before=before, details={"job": job.id})
        self._training.promote(name)

    def _was_done(self, job: Job) -> bool:
        if not job.version:
            return False
        return not job.result.get("promoted", True) or self._answering() == job.version

    def _answering(self) -> str:
        """The name of the version in use; empty if there is none."""
        try:
            return self._training.current().name
        except NotFound:
            return ""


def checked_name(encoder: str) -> str:
    """The name of an encoder without what surrounds it. Raises: BadSetting, if it can be none."""
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
