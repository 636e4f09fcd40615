"""How long a training takes: from the pace of earlier ones, and from its own so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from memeapp.service.engines import plain
from memeapp.store import Store
from memeapp.types import Job, JobState, Meme, ModelVersion, TextSource

PREPARED = 0.6
"""Share of a training's progress at which all memes are encoded."""
LEARNED = 0.95
"""And at which it has learned: it measures then."""
SOON = 0.1
"""Share of a part of the work after which its own pace is worth more than that of earlier ones."""

Paces = Mapping[str, float]
"""Part of the work → seconds a meme."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a training's progress in which one kind of work is done."""

    name: str
    until: float
    """Share of the progress at which it ends."""
    even: bool
    """Whether the second half takes as long as the first: learning may stop early."""


PARTS = (
    Part("reading", 0.5 * PREPARED, True),
    Part("pictures", 0.9 * PREPARED, True),
    Part("texts", PREPARED, True),
    Part("learning", LEARNED, False),
    Part("measuring", 1.0, False),
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much a training has to do in each of its parts, in memes."""

    reading: int
    pictures: int
    texts: int
    learning: int
    measuring: int

    @classmethod
    def of(
        cls, store: Store, memes: Sequence[Meme], encoder: str, versions: Iterable[ModelVersion]
    ) -> Backlog:
        """What is not read and not encoded yet.

        Args:
            encoder: its name. What it has encoded is known by an id, which is only certain once it
                is open: that of the newest of the `versions` is taken, or of what is encoded.
        """
        ids = [one.encoder for one in versions if plain(one.encoder) == plain(encoder)]
        ids += [id for id in store.encoders() if plain(id) == plain(encoder)]
        id = (ids or [encoder])[0]
        unread = sum(meme.text_source is TextSource.NONE for meme in memes)
        texts = {meme.text for meme in memes if meme.text_source is not TextSource.NONE}
        held_out = sum(meme.held_out for meme in memes)
        return cls(
            reading=unread,
            pictures=len(store.without_image_features(id, [meme.id for meme in memes])),
            texts=len(store.without_text_features(id, list(texts))) + unread,
            learning=len(memes) - held_out,
            measuring=max(1, held_out),
        )

    def seconds(self, part: Part, paces: Paces) -> float | None:
        """What a part will take; None where its pace is not known."""
        memes: int = getattr(self, part.name)
        if not memes:
            return 0.0
        return memes * paces[part.name] if part.name in paces else None

    def total(self, paces: Paces) -> float | None:
        """Seconds for all of it; None where the pace of a part is not known."""
        return _sum(self.seconds(part, paces) for part in PARTS)


def known_paces(jobs: Iterable[Job], encoder: str) -> dict[str, float]:
    """What finished trainings tell of how long a meme takes; the newest counts.

    Args:
        jobs: newest first.
        encoder: name of the one that is asked about: another one's pace of encoding is no guide.
    """
    found: dict[str, float] = {}
    for job in jobs:
        if job.state is not JobState.FINISHED:
            continue
        for name, pace in job.result.get("paces", {}).items():
            if plain(job.encoder) == plain(encoder) or name not in ("pictures", "texts"):
                found.setdefault(name, pace)
    return found


@dataclass(slots=True)
class Estimate:
    """Follows a training's reports; says how much of the time is spent, and how much is left."""

    backlog: Backlog
    paces: Paces
    clock: Callable[[], float] = time.monotonic
    measured: dict[str, float] = field(default_factory=dict)
    """Seconds a meme in the parts that are over."""
    _began: float = field(init=False)
    _part: int = 0
    _since: float = field(init=False)
    """When the part began, and at which share of it."""
    _from: float = 0.0
    _share: float = 0.0

    def __post_init__(self) -> None:
        self._began = self._since = self.clock()

    def tell(self, done: float) -> tuple[float, float | None]:
        """The share of the time that is spent, which never falls, and the seconds that are left.

        Where there is no basis yet, the share is `done` and the seconds are None.

        Args:
            done: share of the progress, as the training reports it.
        """
        self._enter(done)
        left = _sum([self._rest(done), *(self._expected(part) for part in PARTS[self._part + 1 :])])
        spent = self.clock() - self._began
        share = done if left is None else spent / max(spent + left, 1e-9)
        self._share = max(self._share, min(share, 1.0))
        return self._share, left

    def end(self) -> None:
        """The last part is over."""
        self._leave()

    def _enter(self, done: float) -> None:
        now = next(
            (number for number, part in enumerate(PARTS) if done < part.until), len(PARTS) - 1
        )
        if now != self._part:
            self._leave()
            self._part, self._since = now, self.clock()
            self._from = self._within(done)

    def _leave(self) -> None:
        name = PARTS[self._part].name
        if memes := getattr(self.backlog, name):
            self.measured[name] = (self.clock() - self._since) / memes

    def _within(self, done: float) -> float:
        start = PARTS[self._part - 1].until if self._part else 0.0
        return min(1.0, max(0.0, (done - start) / (PARTS[self._part].until - start)))

    def _expected(self, part: Part) -> float | None:
        return self.backlog.seconds(part, self.paces)

    def _rest(self, done: float) -> float | None:
        """Seconds until the part that is at work has ended."""
        part, spent = PARTS[self._part], self.clock() - self._since
        expected = self._expected(part)
        share = (self._within(done) - self._from) / max(1 - self._from, 1e-9)
        own = spent * (1 - share) / share if share > 0 else None
        if expected is None or (part.even and share >= SOON) or spent > expected:
            return own if own is not None or expected is None else 0.0
        return expected - spent


def _sum(parts: Iterable[float | None]) -> float | None:
    """None if one of them is not known."""
    known = list(parts)
    return None if None in known else sum(one for one in known if one is not None)
