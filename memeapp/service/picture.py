"""A picture of a session: where it stands, how fast it goes, what people say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import numpy as np

from memeapp.crowd.agreement import Agreement, label_agreement
from memeapp.crowd.intervals import Share, wilson
from memeapp.errors import NotFound
from memeapp.judging import QUEUES, SessionCounts, VoteKind
from memeapp.labels import LabelSchema
from memeapp.service.exposure import Exposure, exposures
from memeapp.service.recent import Recent
from memeapp.store import Store
from memeapp.store.connections import moment
from memeapp.store.tallies import Said

HOUR = 3600.0
SHORTEST = 300.0
"""Seconds; nobody's speed is worked out over less."""
WORK = 600.0
"""Seconds; the session was at work in those stretches of this length in which somebody judged."""
POINTS = 12
"""Of a line of label shares, at most."""
POINT_AT_LEAST = 20
"""Judgements that make a point of it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a session goes; memes with a known answer are left out."""

    last_hour: float | None
    """Judgements per hour since the first one of the last hour; None without one."""
    overall: float | None
    """Judgements per hour of work, over all stretches of `WORK` seconds with a judgement."""
    median_seconds: float | None
    """For one meme; None if no time is known."""
    minutes_left: float | None
    """At the speed of the last hour; None: nobody can tell."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Where the judged memes came from."""

    queue: str
    declared: float
    """The share that the plan gives it."""
    given: Share | None
    """Of the judgements whose queue is known; None if there is none."""


@dataclass(frozen=True, slots=True)
class SessionPicture:
    """What an admin sees of a session. People whose votes are left out count for the progress and
    the speed alone."""

    counts: SessionCounts
    pace: Pace
    shares: Mapping[str, Share | None]
    """Label → of the votes that stand, the share of yes; the intervals take them for independent
    and are somewhat narrow."""
    over_time: Mapping[str, Sequence[tuple[str, Share]]]
    """Label → (moment of the last one, share of yes) of votes in equal parts, in their order."""
    agreement: Mapping[str, Agreement]
    """On blind votes."""
    mix: Sequence[Mix]
    unseen: Share | None
    """Of the judgements, those made without uncovering the picture."""


class Picture:
    """Figures of sessions for those who watch or work; the caller has checked who asks."""

    def __init__(
        self,
        store: Store,
        schema: LabelSchema,
        *,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._schema = schema
        self._now = today
        self._pictures = Recent(self._picture)
        self._strides = Recent(self._stride)

    def of(self, session_id: int) -> SessionPicture:
        """At most a minute old, of now where that is cheap. Raises: NotFound."""
        return self._pictures(session_id, self._store.session_mark(session_id))

    def for_annotators(self, annotator_id: str) -> dict[str, float | None]:
        """What somebody who labels may know: nothing of what the others say.

        Returns:
            `memes`, `done`, `at_work` of the session, its judgements `per_hour`, `minutes_left`
            (None: not known), and of this person `judged` and `own_per_hour`.

        Raises:
            NotFound: there is no such person, or they are in no session.
        """
        session_id = self._store.annotator(annotator_id).session_id
        if session_id is None:
            raise NotFound("You are in no session; ask for a link.")
        mark = self._store.session_mark(session_id)
        counts, per_hour = self._strides(session_id, mark)
        now = self._now()
        own = self._store.own_since(moment(now, HOUR), annotator_id)
        return {
            "memes": counts.memes,
            "done": counts.done,
            "at_work": counts.at_work,
            "per_hour": per_hour,
            "minutes_left": minutes_left(counts, per_hour),
            "judged": self._store.vote_count_of(annotator_id),
            "own_per_hour": speed(*own, now),
        }

    def exposure(self, session_id: int, midnight: datetime | None = None) -> list[Exposure]:
        """What each person of a session has looked at, who looked most today first.

        Args:
            midnight: when today began; in UTC if None.
        """
        midnight = midnight or self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        return exposures(
            self._store.annotators(session_id, kind="person"),
            self._store.looked(session_id),
            midnight,
        )

    def _stride(self, session_id: int) -> tuple[SessionCounts, float | None]:
        now = self._now()
        recent = self._store.judged_since(moment(now, HOUR), session_id)
        return self._store.session_counts(session_id), speed(*recent, now)

    def _picture(self, session_id: int) -> SessionPicture:
        plan = self._store.session(session_id).plan
        counts, per_hour = self._stride(session_id)
        said = self._store.said(session_id)
        standing = [one for one in said if one.stands and one.counted]
        votes = [one for one in standing if one.kind == VoteKind.VOTE]
        read = _Labels()
        parts = [(part[-1].created_at, self._shares(part, read)) for part in _parts(votes)]
        queues = [one.queue for one in standing if one.queue]
        return SessionPicture(
            counts=counts,
            pace=_pace([one for one in said if one.stands and not one.gold], counts, per_hour),
            shares=self._shares(votes, read),
            over_time={
                label: [(until, share) for until, shares in parts if (share := shares[label])]
                for label in self._schema.names
            },
            agreement=self._agreement(said, read),
            mix=[
                Mix(queue, plan.policy.get(queue, 0.0), wilson(queues.count(queue), len(queues)))
                for queue in QUEUES
                if queue in plan.policy or queue in queues
            ],
            unseen=wilson(sum(not one.revealed for one in standing), len(standing)),
        )

    def _shares(self, votes: Iterable[Said], read: _Labels) -> dict[str, Share | None]:
        yes = dict.fromkeys(self._schema.names, 0)
        judged = dict.fromkeys(self._schema.names, 0)
        for vote in votes:
            for label, said in read(vote.labels).items():
                if label in judged:
                    yes[label] += said
                    judged[label] += 1
        return {label: wilson(yes[label], judged[label]) for label in self._schema.names}

    def _agreement(self, said: Iterable[Said], read: _Labels) -> dict[str, Agreement]:
        by_label: dict[str, dict[str, list[int]]] = {label: {} for label in self._schema.names}
        for vote in said:
            if vote.blind:
                for label, yes in read(vote.labels).items():
                    if label in by_label:
                        by_label[label].setdefault(vote.meme_id, [0, 0])[0 if yes else 1] += 1
        return {
            label: label_agreement(np.array(list(counts.values()), np.int64).reshape(-1, 2))
            for label, counts in by_label.items()
        }


class _Labels:
    """Reads labels of votes; thousands of votes say one of a few things."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, bool]] = {}

    def __call__(self, labels: str) -> dict[str, bool]:
        found = self._known.get(labels)
        if found is None:
            found = self._known[labels] = json.loads(labels)
        return found


def speed(count: int, first: str | None, now: datetime) -> float | None:
    """Judgements per hour of `count` since the first of them, of the last hour; None without."""
    if first is None:
        return None
    span = (now - datetime.fromisoformat(first)).total_seconds()
    return count * HOUR / min(max(span, SHORTEST), HOUR)


def minutes_left(counts: SessionCounts, per_hour: float | None) -> float | None:
    """Until all votes are there that the session wants; None: nobody can tell."""
    left = counts.wanted - counts.votes
    if left <= 0:
        return 0.0
    return 60 * left / per_hour if per_hour else None


def _pace(judged: Sequence[Said], counts: SessionCounts, per_hour: float | None) -> Pace:
    times = [datetime.fromisoformat(one.created_at).timestamp() for one in judged]
    stretches = {time // WORK for time in times}
    seconds = [one.seconds for one in judged if one.seconds > 0]
    return Pace(
        last_hour=per_hour,
        overall=len(judged) * HOUR / (WORK * len(stretches)) if stretches else None,
        median_seconds=median(seconds) if seconds else None,
        minutes_left=minutes_left(counts, per_hour),
    )


def _parts(votes: Sequence[Said]) -> list[Sequence[Said]]:
    """At most `POINTS` equal parts of at least `POINT_AT_LEAST`; one if there are fewer."""
    count = min(POINTS, max(len(votes) // POINT_AT_LEAST, 1))
    ends = [len(votes) * part // count for part in range(count + 1)]
    return [votes[start:end] for start, end in zip(ends, ends[1:], strict=False) if end > start]
