"""Starts trainings by themselves: looks every half minute whether one is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from memeapp.encoders import check_encoder
from memeapp.errors import Busy, MemeAppError
from memeapp.jobs import Jobs, checked_name
from memeapp.service.said import check_choice
from memeapp.service.triggers import Due, check_triggers, due, new_labels, paused_until
from memeapp.store import Store
from memeapp.store.connections import moment
from memeapp.store.triggers import Retraining
from memeapp.types import JobKind, JobState

SECONDS_BETWEEN_LOOKS = 30.0
TRAININGS = 20
"""So many of the last ones tell how often in a row it failed."""

log = logging.getLogger(__name__)


class Scheduler:
    """One for each app; several on one data folder start no training twice."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        zone: tzinfo | None = None,
    ) -> None:
        """
        Args:
            clock: gives times that are aware of their zone.
            zone: in which times of day are meant; this machine's if None.
        """
        self._store = store
        self._jobs = jobs
        self._clock = clock
        self._zone = zone

    async def keep_looking(self) -> None:
        """Look now and then, until cancelled. What fails is told once, and tried again."""
        failed = ""
        while True:
            try:
                await asyncio.to_thread(self.look)
                failed = ""
            except Exception as error:
                if str(error) != failed:
                    log.exception("No look at whether a training is due")
                failed = str(error)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    def change(
        self,
        *,
        after_labels: int | None,
        daily_at: str | None,
        encoder: str = "",
        aggregation: str = "majority",
        votes: str = "blind",
    ) -> Retraining:
        """Change when a training starts by itself, and how it learns; see `Retraining`.

        Raises:
            BadInput: a number, time, aggregation or choice of votes that cannot be.
            BadSetting, Mismatch, Unavailable: an encoder that cannot be had here.
        """
        check_triggers(after_labels, daily_at)
        check_choice(aggregation, votes)
        if name := checked_name(encoder):
            check_encoder(name)
        return self._store.set_retraining(
            after_labels=after_labels,
            daily_at=daily_at,
            encoder=name,
            aggregation=aggregation,
            votes=votes,
        )

    def look(self) -> None:
        """Mark a training whose process was killed, and start one if it is due."""
        latest = self._jobs.latest()
        wanted = self._store.retraining()
        if not wanted.on:
            return
        version, now = self._store.newest_version(), self._clock()
        if wanted.after_labels is None and due(wanted, now, 0, self._zone, latest) is None:
            return  # Nothing depends on what is new, which takes longer to find out.
        new = new_labels(self._store, wanted.votes)
        found = due(wanted, now, new, self._zone, latest)
        if found is None:
            return
        if latest is not None and latest.state.active:
            return self._tell("A training is at work; the next one waits for it.")
        until = paused_until(
            self._store.jobs(JobKind.TRAIN, limit=TRAININGS), since=wanted.changed_at
        )
        if until is not None and now < until:
            return self._tell(
                "The last training came to no end; nothing starts by itself before "
                f"{until.astimezone(self._zone):%Y-%m-%d %H:%M}."
            )
        if not self._store.claim_retraining(wanted, found.day, version):
            return None  # Another process was quicker, or the settings have changed.
        if not new:
            return self._tell("Nothing was judged anew since the last training: none was made.")
        return self._start(wanted, found)

    def _start(self, wanted: Retraining, found: Due) -> None:
        try:
            job = self._jobs.start(
                wanted.encoder, aggregation=wanted.aggregation, votes=wanted.votes, by=found.by
            )
        except Busy as error:
            return self._tell(str(error))
        except MemeAppError as error:
            return self._tell(f"No training could start. {error}")
        if job.state is JobState.FAILED:
            return self._tell(f"Job {job.id} failed at once. {job.message}")
        self._store.note(found.by, "train.start", f"job {job.id}")
        return self._tell(f"Job {job.id} was started, {found.by}.")

    def _tell(self, sentence: str) -> None:
        self._store.tell_retraining(sentence, moment(self._clock()))
