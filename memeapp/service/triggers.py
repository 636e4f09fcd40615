"""When a training is to start by itself: the rules, without a clock or a database of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from memeapp.errors import BadInput
from memeapp.store import Store
from memeapp.store.triggers import Retraining
from memeapp.types import Job, JobState, ModelVersion

LATE = timedelta(hours=1)
"""A daily training that was missed is made up for within this time."""
PAUSE = timedelta(minutes=10)
"""After a training that failed; twice as long after each further one."""
LONGEST_PAUSE = timedelta(days=1)
"""Also after one that somebody cancelled: it is not to come back at once."""
MOST_LABELS = 1_000_000
AFTER, DAILY = BY_ITSELF = ("after", "daily at")
"""How the words for who asked begin, where it was nobody."""

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True, slots=True)
class Due:
    """A training that is to start now."""

    by: str
    """Who asks for it, in words."""
    day: str | None
    """The local date of the daily training that this is."""


def check_triggers(after_labels: int | None, daily_at: str | None) -> None:
    """Raises: BadInput, if that is no number of labels, or no time of day."""
    if after_labels is not None and not 1 <= after_labels <= MOST_LABELS:
        raise BadInput(
            f"A training cannot start after {after_labels:,} new labels; say a number from 1 to "
            f"{MOST_LABELS:,}, or leave it empty."
        )
    if daily_at is not None and not _TIME.fullmatch(daily_at):
        raise BadInput(
            f"{daily_at[:20]!r} is no time of day; write it as HH:MM, such as 03:30, or leave it "
            "empty."
        )


def due(
    wanted: Retraining,
    now: datetime,
    new_labels: int,
    zone: tzinfo | None,
    last: Job | None = None,
) -> Due | None:
    """What is to start now; a daily training with nothing new to learn is due too.

    Args:
        now: aware of its time zone.
        zone: in which the time of day is meant; this machine's if None.
        last: the last training; a daily one for whose end it has to wait is still due then.
    """
    day = _day(wanted, now, zone, last)
    if wanted.after_labels is not None and new_labels >= wanted.after_labels:
        return Due(f"{AFTER} {new_labels:,} new labels", day)
    return Due(f"{DAILY} {wanted.daily_at}", day) if day else None


def _day(wanted: Retraining, now: datetime, zone: tzinfo | None, last: Job | None) -> str | None:
    """The day whose training is due, also if it is the one before.

    It begins at a moment, not at a reading of the clock: a time that the clock leaves out in spring
    comes an hour later, one that it shows twice in autumn the first time. Where the clock was put
    back, a day that had its training gets no other.
    """
    if wanted.daily_at is None:
        return None
    at = datetime.strptime(wanted.daily_at, "%H:%M").time()
    today: date = now.astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        moment = datetime.combine(day, at).replace(tzinfo=zone).astimezone(UTC)
        late = moment + LATE
        if last is not None and datetime.fromisoformat(last.created_at) < late:
            busy_until = now if last.state.active else datetime.fromisoformat(last.updated_at)
            late = max(late, busy_until + LATE) if busy_until >= moment else late
        if moment <= now < late and (wanted.last_day or "") < day.isoformat():
            return day.isoformat()
    return None


def by_itself(job: Job) -> bool:
    """Whether nobody asked for this training."""
    return str(job.options.get("by", "")).startswith(BY_ITSELF)


def paused_until(jobs: Iterable[Job], since: str) -> datetime | None:
    """Until when nothing starts by itself, after trainings by themselves that came to no end.

    Args:
        jobs: the last trainings, newest first; those that somebody asked for in vain do not count.
        since: what ended before the settings were changed does not count.
    """
    in_vain = []
    for job in jobs:
        if job.state not in (JobState.FAILED, JobState.CANCELLED) or job.created_at < since:
            break
        if by_itself(job):
            in_vain.append(job)
    if not in_vain:
        return None
    cancelled = in_vain[0].state is JobState.CANCELLED
    pause = LONGEST_PAUSE if cancelled else PAUSE * 2 ** min(len(in_vain) - 1, 10)
    return datetime.fromisoformat(in_vain[0].updated_at) + min(pause, LONGEST_PAUSE)


def learned_until(store: Store, version: ModelVersion | None) -> int:
    """The number of the newest vote that a version has learned from; 0 for one from elsewhere."""
    trained = {one.name: one for one in store.trained_here()}
    if version is None or version.name not in trained:
        return 0
    last = trained[version.name].data.get("last_vote")
    return int(last) if last is not None else store.last_vote_before(version.created_at)


def new_labels(store: Store, votes: str) -> int:
    """Memes that were judged for the first time or anew since the last training here took its
    votes; held-out ones do not count, nor judgements that a training would pass over."""
    last = next(iter(store.trained_here()), None)
    return store.new_labels(learned_until(store, last), votes)
