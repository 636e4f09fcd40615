"""What the scripts of the admin's sessions send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field

from memeapp.errors import BadInput
from memeapp.judging import Plan, Selection, Suggestions
from memeapp.store.connections import moment
from memeapp.ui.label_routes import Key, Name

Portion = Annotated[float, Field(ge=0, le=100)]


class Planned(BaseModel):
    """A plan as the form sends it; the queues' shares in any unit."""

    name: Annotated[str, Field(max_length=1000)]
    guidelines: Annotated[str, Field(max_length=100_000)] = ""
    votes_per_meme: Annotated[int, Field(ge=-1000, le=1000)] = 3
    policy: dict[Name, Portion] = {"random": 1.0}
    suggestions: Suggestions = Suggestions.AFTER
    lease_seconds: float = 300.0
    break_minutes: float = 25.0
    break_exposure: float = 600.0
    leaderboard: bool = False
    open_until: Annotated[str, Field(max_length=40)] = ""

    def plan(self) -> Plan:
        total = sum(self.policy.values())
        if not total:
            raise BadInput("Every queue has the share 0; give at least one of them some.")
        return Plan(
            name=self.name,
            guidelines=self.guidelines,
            votes_per_meme=self.votes_per_meme,
            policy={queue: share / total for queue, share in self.policy.items() if share},
            suggestions=self.suggestions,
            lease_seconds=self.lease_seconds,
            break_minutes=self.break_minutes,
            break_exposure=self.break_exposure,
            leaderboard=self.leaderboard,
            open_until=_in_utc(self.open_until) if self.open_until else None,
        )


class Selected(BaseModel):
    """Which memes, as the form says it."""

    unlabelled: bool = False
    data_set: Annotated[str, Field(max_length=1000)] = ""
    most: Annotated[int, Field(ge=1, le=10**9)] | None = None

    def selection(self) -> Selection:
        return Selection(self.unlabelled, self.data_set, self.most)


class Opened(Planned, Selected):
    """A new session."""


class Decided(BaseModel):
    """An adjudication as the page sends it."""

    meme: Annotated[str, Field(max_length=64)]
    labels: dict[Name, bool]
    note: Annotated[str, Field(max_length=2000)] = ""
    unclear: bool = False
    key: Key


class Known(BaseModel):
    memes: Annotated[int, Field(ge=0, le=1000)]


class Warned(BaseModel):
    text: Annotated[str, Field(max_length=2000)]


class Flag(BaseModel):
    on: bool


def _in_utc(said: str) -> str:
    """As the store writes times, to compare with them; without a zone it is UTC already."""
    try:
        read = datetime.fromisoformat(said)
        return moment(read if read.tzinfo else read.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise BadInput("The time until which the session is open is no date.") from error
