"""How much each person of a session has looked at, and for how long at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from memeapp.crowd.intervals import Share, wilson
from memeapp.judging import Annotator, SkipReason, VoteKind
from memeapp.store.connections import moment
from memeapp.store.tallies import Looked

PAUSE = 300.0
"""Seconds without work that make a pause."""
DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one person has looked at."""

    annotator: Annotator
    today: float
    """Seconds of looking at uncovered pictures, each weighed by its severity."""
    week: float
    """The same of the last seven days, today among them."""
    all: float
    revealed_seconds: float
    """Not weighed."""
    unseen: Share | None
    """Of their judgements, those made without uncovering the picture."""
    longest_minutes: float
    """Without a pause of `PAUSE` seconds."""
    avoids: int
    """Kinds of content that they opted out of."""
    passed_on: int
    """Memes that they would rather not judge."""


def exposures(
    people: Iterable[Annotator], looked: Iterable[Looked], midnight: datetime
) -> list[Exposure]:
    """What each of these people has looked at, who looked most today first.

    Args:
        looked: in the order they came; of other people, too.
        midnight: when today began.
    """
    by_person: dict[str, list[Looked]] = {}
    for entry in looked:
        by_person.setdefault(entry.annotator_id, []).append(entry)
    found = [_exposure(one, by_person.get(one.id, []), midnight) for one in people]
    return sorted(found, key=lambda one: (-one.today, -one.week, -one.all))


def _exposure(one: Annotator, looked: Sequence[Looked], midnight: datetime) -> Exposure:
    def since(begin: str) -> float:
        return sum(e.severity * e.revealed_seconds for e in looked if e.created_at >= begin)

    judged = [entry for entry in looked if entry.kind in (VoteKind.VOTE, VoteKind.UNSURE)]
    avoid = one.preferences.get("avoid")
    return Exposure(
        annotator=one,
        today=since(moment(midnight)),
        week=since(moment(midnight, 6 * DAY)),
        all=since(""),
        revealed_seconds=sum(entry.revealed_seconds for entry in looked),
        unseen=wilson(sum(not entry.revealed for entry in judged), len(judged)),
        longest_minutes=longest_stretch(looked) / 60,
        avoids=len(avoid) if isinstance(avoid, list | tuple) else 0,
        passed_on=sum(entry.reason == SkipReason.RATHER_NOT for entry in looked),
    )


def longest_stretch(looked: Iterable[Looked]) -> float:
    """Seconds from the first look to the last answer of the longest run of work without a pause.

    A pause lies between an answer and the moment when the next meme was shown.
    """
    longest = begun = until = 0.0
    for entry in looked:
        end = datetime.fromisoformat(entry.created_at).timestamp()
        start = max(end - entry.seconds, until)
        if not until or start - until >= PAUSE:
            begun = start
        longest, until = max(longest, end - begun), end
    return longest
