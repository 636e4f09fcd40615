"""The memes about which two versions decide differently, from features that are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from memeapp.judging import Vote
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet
from memeapp.service.features import numbered, stack
from memeapp.store import Store
from memeapp.types import Meme

KEPT = 200
"""Memes that are named, those with the largest change; the others are only counted."""
CHUNK = 4096
"""Memes whose features are in memory at once."""

MemeId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Targets = Mapping[str, NDArray[np.float32]]
Answer = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Probabilities and decisions (C,) of one version on one meme."""


@dataclass(frozen=True, slots=True)
class Change:
    """What two versions say of one label of a meme, and how people voted on it."""

    label: str
    before: float
    """Probability, as the version before gives it."""
    after: float
    said: bool
    """Whether the version before gave the label."""
    says: bool
    yes: int = 0
    """Blind votes."""
    no: int = 0

    @property
    def flipped(self) -> bool:
        return self.said != self.says


@dataclass(frozen=True, slots=True)
class Flip:
    """A meme with at least one label whose decision flipped."""

    meme: MemeId
    held_out: bool
    labels: tuple[Change, ...]
    """All labels, in the order of the schema."""

    @property
    def size(self) -> float:
        """The largest change of the probability of a label that flipped."""
        return max(abs(one.after - one.before) for one in self.labels if one.flipped)


@dataclass(frozen=True, slots=True)
class Turned:
    """How often one label flipped."""

    label: str
    to_yes: int
    to_no: int
    towards: int
    """On labelled held-out memes: to what most people said."""
    away: int
    """On the same: away from it."""


@dataclass(frozen=True, slots=True)
class Flips:
    """All flips, counted; the largest ones by name."""

    compared: int
    """Memes that both versions were asked about."""
    memes: int
    """Of them, how many have a label that flipped."""
    labels: tuple[Turned, ...]
    largest: tuple[Flip, ...]


def encoded(
    store: Store, memes: Sequence[Meme], encoder: str, labels: Sequence[str], targets: Targets
) -> FeatureSet:
    """Those of the memes whose features this encoder has left in the store, in their order.

    Args:
        encoder: its id; it is not opened.
        targets: meme id → (C,) shares of yes; a meme may be absent.
    """
    images = store.image_features(encoder, [meme.id for meme in memes])
    texts = store.text_features(encoder, {meme.text for meme in memes})
    there = [meme for meme in memes if meme.id in images and meme.text in texts]
    unjudged = np.full(len(labels), np.nan, dtype=np.float32)
    return FeatureSet(
        ids=tuple(meme.id for meme in there),
        image=stack([images[meme.id] for meme in there], 1),
        text=stack([texts[meme.text] for meme in there], 1),
        targets=stack([targets.get(meme.id, unjudged) for meme in there], len(labels)),
        labels=tuple(labels),
        groups=numbered([meme.template for meme in there]),
    )


def find_flips(
    store: Store,
    memes: Sequence[Meme],
    before: Checkpoint,
    after: Checkpoint,
    targets: Targets,
) -> Flips:
    """Ask two versions of the same labels about all memes that both their encoders have encoded.

    Args:
        targets: meme id → (C,) shares of yes among blind votes, for the labelled held-out ones.
    """
    labels = after.labels
    compared, found = 0, list[Flip]()
    turned = {label: [0, 0, 0, 0] for label in labels}
    for start in range(0, len(memes), CHUNK):
        chunk = {meme.id: meme for meme in memes[start : start + CHUNK]}
        sides = [_answers(store, chunk, version) for version in (before, after)]
        both = [id for id in sides[0] if id in sides[1]]
        compared += len(both)
        for id in both:
            changes = _changes(labels, sides[0][id], sides[1][id])
            if any(change.flipped for change in changes):
                found.append(Flip(id, chunk[id].held_out, changes))
                _count(found[-1], targets.get(id), turned)
    largest = sorted(found, key=lambda flip: (-flip.size, flip.meme))[:KEPT]
    votes = store.standing_votes([flip.meme for flip in largest], blind=True)
    return Flips(
        compared,
        len(found),
        tuple(Turned(label, *counts) for label, counts in turned.items()),
        with_votes(largest, votes),
    )


def with_votes(flips: Sequence[Flip], votes: Sequence[Vote]) -> tuple[Flip, ...]:
    """The flips with how people voted."""
    said: dict[tuple[str, str], list[int]] = {}
    for vote in votes:
        for label, yes in vote.labels.items():
            said.setdefault((vote.meme_id, label), [0, 0])[0 if yes else 1] += 1
    return tuple(
        replace(
            flip,
            labels=tuple(
                _voted(one, *said.get((flip.meme, one.label), (0, 0))) for one in flip.labels
            ),
        )
        for flip in flips
    )


def _voted(change: Change, yes: int, no: int) -> Change:
    return replace(change, yes=yes, no=no)


def _changes(labels: Sequence[str], before: Answer, after: Answer) -> tuple[Change, ...]:
    (p, said), (q, says) = before, after
    return tuple(
        Change(label, float(p[column]), float(q[column]), bool(said[column]), bool(says[column]))
        for column, label in enumerate(labels)
    )


def _answers(store: Store, memes: Mapping[str, Meme], version: Checkpoint) -> dict[str, Answer]:
    """By meme id."""
    rows = encoded(store, list(memes.values()), version.encoder, version.labels, {})
    if not len(rows):
        return {}
    probabilities = version.predict(rows.image, rows.text)
    decisions = version.decide(probabilities)
    return dict(zip(rows.ids, zip(probabilities, decisions, strict=True), strict=True))


def _count(flip: Flip, target: NDArray[np.float32] | None, turned: Mapping[str, list[int]]) -> None:
    for column, one in enumerate(flip.labels):
        if not one.flipped:
            continue
        counts = turned[one.label]
        counts[0 if one.says else 1] += 1
        if flip.held_out and target is not None and not np.isnan(target[column]):
            counts[2 if one.says == bool(target[column] > 0.5) else 3] += 1
