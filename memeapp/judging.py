"""The frozen records of labelling: sessions, who judges, what they say. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from memeapp.types import Meme

QUEUES = ("uncertain", "far", "random", "relabel", "gold")
"""Why a meme comes up: the model is unsure; it is far from all that is labelled; by chance; votes
and model disagree; its answer is known."""


NUDITY = "nudity"
"""What people may opt out of besides the kinds of the schema; the detector finds it."""


class VoteKind(StrEnum):
    """What an entry of the table of votes is. `VOTE` and `UNSURE` hold a place in the session."""

    VOTE = "vote"
    UNSURE = "unsure"
    """Looked at, and could not say."""
    SKIP = "skip"
    UNDO = "undo"
    SURPLUS = "surplus"
    """A judgement that came when the meme had all the votes it wants, or the session had ended:
    kept, and not counted."""
    DECISION = "decision"
    """An adjudication."""


class SkipReason(StrEnum):
    """Why somebody passes a meme on."""

    UNREADABLE = "unreadable"
    NOT_A_MEME = "not a meme"
    LANGUAGE = "language"
    RATHER_NOT = "prefer not to"


class Harm(StrEnum):
    """Where the harm lies."""

    UNSAID = ""
    TEXT = "text"
    PICTURE = "picture"
    TOGETHER = "together"
    """In neither alone."""


class Seen(StrEnum):
    """What somebody had seen of the model's answer when they judged."""

    NONE = "none"
    BEFORE = "before"
    """It stood beside the meme."""
    AFTER = "after"
    """They had judged blindly, saw it then, and changed their judgement."""


class Suggestions(StrEnum):
    """When a session shows the model's answer."""

    NONE = "none"
    AFTER = "after"
    """Once somebody has judged; they may change their mind."""
    MIXED = "mixed"
    """Beforehand for half of the memes, drawn by chance; afterwards for the others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an admin decides about a session."""

    name: str
    guidelines: str = ""
    """Markdown."""
    votes_per_meme: int = 3
    policy: Mapping[str, float] = field(default_factory=lambda: {"random": 1.0})
    """Queue → share of the memes that come from it; the shares add up to 1."""
    suggestions: Suggestions = Suggestions.AFTER
    lease_seconds: float = 300.0
    """How long a meme is kept for somebody whose page has gone silent."""
    break_minutes: float = 25.0
    break_exposure: float = 600.0
    """Seconds of looking at uncovered pictures, each weighed by its severity."""
    leaderboard: bool = False
    open_until: str | None = None
    """UTC, ISO 8601; None: until it is closed."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which memes a session is opened on; never what visitors brought."""

    unlabelled: bool = False
    """Only those that nobody has judged yet."""
    data_set: str = ""
    """Only those of this data set, an origin up to its first "/"; "": of all."""
    most: int | None = None
    """So many of them at most, drawn by chance."""


@dataclass(frozen=True, slots=True)
class Session:
    """A plan that people work on."""

    id: int
    plan: Plan
    created_at: str
    closed_at: str | None

    def is_open(self, now: str) -> bool:
        until = self.plan.open_until
        return self.closed_at is None and (until is None or now < until)


@dataclass(frozen=True, slots=True)
class Invite:
    """A way into a session; whoever knows the token may join while it is not revoked."""

    token: str
    session_id: int
    created_at: str
    revoked_at: str | None


@dataclass(frozen=True, slots=True)
class Annotator:
    """Somebody who votes.

    `kind` is "person" (a member of one session), "import" (labels that came with a data set) or
    "decision" (adjudications).
    """

    id: str
    name: str
    kind: str
    created_at: str
    session_id: int | None = None
    preferences: Mapping[str, object] = field(default_factory=dict)
    revoked_at: str | None = None
    """Since then this person may not come back."""
    excluded_at: str | None = None
    """Since then this person's votes are left out of every sum; they are kept."""
    warning: str = ""
    """What the admin wants to tell this person; "": nothing."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What somebody says about a meme.

    `labels` maps each judged label to True or False; an absent label was not judged. A judgement
    of kind `UNSURE` or `SKIP` has none.
    """

    labels: Mapping[str, bool] = field(default_factory=dict)
    kind: VoteKind = VoteKind.VOTE
    reason: str = ""
    """Of a skip, a `SkipReason`; of a surplus vote, why it did not count."""
    note: str = ""
    text: str | None = None
    """A corrected transcription; None: the text is right."""
    harm: Harm = Harm.UNSAID
    seconds: float = 0.0
    """From the moment the meme was shown to the moment it was judged."""
    revealed: bool = False
    """Whether the picture was uncovered."""
    revealed_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Vote:
    """A judgement as it is kept. Append-only: a change is a new vote that names the old one."""

    id: int
    meme_id: str
    annotator_id: str
    judgement: Judgement
    key: str
    """Chosen by the sender; the same key twice is the same vote."""
    created_at: str
    session_id: int | None = None
    seen: Seen = Seen.NONE
    suggestion: Mapping[str, object] | None = None
    """What was seen of the model; see `Card.suggestion`."""
    queue: str = ""
    replaces: int | None = None

    @property
    def labels(self) -> Mapping[str, bool]:
        return self.judgement.labels

    @property
    def kind(self) -> VoteKind:
        return self.judgement.kind


@dataclass(frozen=True, slots=True)
class Card:
    """A meme that is kept for somebody to judge."""

    meme: Meme
    queue: str
    assisted: bool
    """Whether `suggestion` may be shown before they judge."""
    suggestion: Mapping[str, object] | None
    """The model's answer: {"model": name, "chances": {label: probability}, "says": {label: bool}};
    None without a model."""
    severity: float
    """In [0, 1]."""
    expires_at: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a meme stands in the queues of a session, the smallest first, and what is in it."""

    uncertain: float | None = None
    """None: not in that queue."""
    far: float | None = None
    relabel: float | None = None
    severity: float = 0.0
    """In [0, 1]."""
    kinds: int = 0
    """A bit for each kind of content that people may opt out of."""
    suggestion: Mapping[str, object] | None = None
    """See `Card.suggestion`."""


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """Where a session stands."""

    memes: int
    """Without gold."""
    done: int
    """Memes that have all their votes."""
    wanted: int
    """Votes that all memes together want, without gold."""
    votes: int
    """Of those, how many there are."""
    gold: int
    people: int
    at_work: int
    """People for whom a meme is kept now."""
