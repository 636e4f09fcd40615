"""The learning curve: what fewer labels would have taught, and what more of them may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil

import numpy as np
from numpy.typing import NDArray

from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet, TooFewRows
from memeapp.learn.gate import FEWEST_EACH, FEWEST_GROUPS, FEWEST_MEMES
from memeapp.learn.loops import OnEpoch, deal_folds
from memeapp.learn.metrics import Figure, resampled
from memeapp.learn.train import Autoencoders, fit

Array = NDArray[np.float64]

HANDS = 4
"""The labelled rows are dealt into so many hands, alike in their labels."""
TAKEN = (1, 2)
"""Hands that the versions before the whole one learn from."""
LEAST_ROWS = 75
"""A part with fewer is left out: what five folds of 15 teach is mostly chance, and it takes as long
to train on as many more do."""
FEW_POSITIVES = 50
"""With fewer memes of a label to learn from it starves: each of five folds has not even 10 to
calibrate on, and a share of them is only known to 14 points (1.96 · 0.5 / √50)."""
MOST = 4
"""Nothing is said of more than so many times the labels that are there."""
SMALL_GAIN = 0.02
"""Of F1: what the gate takes for as good, too."""
RESAMPLES = 500


class Trend(StrEnum):
    """What more labels would do for a label."""

    RISING = "rising"
    """They help: the interval of the gain lies above 0."""
    LEVEL = "level"
    """They hardly show: the interval of the gain lies below `SMALL_GAIN`."""
    UNKNOWN = "unknown"
    """There is too little to measure on to say either."""


@dataclass(frozen=True, slots=True)
class Point:
    """A version that learned from a part of the labelled rows, on the held-out ones."""

    rows: int
    positives: Mapping[str, int]
    """Label → rows to learn from in which it holds."""
    task_a: Figure | None
    task_b: Figure | None
    f1: Mapping[str, Figure | None]
    auc: Mapping[str, Figure | None]


@dataclass(frozen=True, slots=True)
class Help:
    """What twice the labels would do for one label, and whether it has too few."""

    label: str
    trend: Trend
    gain: Figure | None
    """Of its F1; None where it cannot be told."""
    rows: int
    """Labelled memes now, and so many more: this is what twice the labels means."""
    positives: int
    """Those of them with the label, now and more to come."""
    few: bool
    """Fewer positives than `FEW_POSITIVES`."""
    until_enough: int | None
    """Labelled memes until it has those, at today's share of positives; None where it has them, or
    where that would be more than `MOST` times the labels that are there."""

    @property
    def starves(self) -> bool:
        return self.few or self.trend is Trend.RISING


@dataclass(frozen=True, slots=True)
class Curve:
    """Points from the fewest labels to all of them, and what follows for each label."""

    points: tuple[Point, ...]
    held_out: int
    """Memes that it was measured on."""
    missing: str
    """Why there is no curve, as a sentence; empty where there is one."""
    helps: tuple[Help, ...]


def learning_curve(
    learnt: FeatureSet,
    held_out: FeatureSet,
    version: Checkpoint,
    *,
    on_epoch: OnEpoch | None = None,
) -> Curve:
    """Train on a quarter and on half of the labels, as `version` was on all, and measure.

    The parts are nested, near-duplicates stay together, and the rarest labels are dealt evenly.
    All share the autoencoders of the version, which need no label. Every point is measured on the
    labelled held-out rows, always: out-of-fold answers would be those of other rows at each point.

    Args:
        learnt: what the version was trained on.
        held_out: labelled rows that it has not seen.
        version: trained by `fit`; its recipe and seed are taken again.
        on_epoch: called after every epoch; what it raises ends the run.
    """
    known = learnt.labelled()
    truth = np.where(np.isnan(held_out.targets), np.nan, held_out.targets > 0.5)
    missing = _too_few(truth, held_out.groups)
    models = [] if missing else [*_smaller(known, version, on_epoch), (known, version)]
    measured = [_measure(part, model, held_out, truth) for part, model in models]
    if len(measured) == 1:
        measured, missing = [], f"Half of {len(known)} labelled memes is too few to learn from."
    return Curve(
        tuple(scored.point for scored in measured),
        len(held_out),
        missing,
        what_helps(measured, known, truth),
    )


def parts(known: FeatureSet, seed: int) -> list[NDArray[np.bool_]]:
    """(N,) masks of the smaller parts of the rows, each within the next."""
    hand = deal_folds(known.targets, known.groups, HANDS, seed)
    return [hand < count for count in TAKEN]


def _smaller(
    known: FeatureSet, version: Checkpoint, on_epoch: OnEpoch | None
) -> list[tuple[FeatureSet, Checkpoint]]:
    """What less of the rows teaches; a part that is too small to learn from is left out."""
    recipe = replace(version.recipe, cook_on_all=True)  # the autoencoders are there already
    shared: Autoencoders = {
        name: value
        for name, value in version.network.state_dict().items()
        if not name.startswith("classifier.")
    }
    learned = []
    for mask in parts(known, version.seed):
        part = known.take(mask)
        if len(part) < LEAST_ROWS:
            continue
        try:
            model = fit(
                part,
                recipe,
                encoder=version.encoder,
                seed=version.seed,
                on_epoch=on_epoch,
                autoencoders=shared,
            )
        except TooFewRows:
            continue
        learned.append((part, model))
    return learned


def _too_few(truth: Array, groups: NDArray[np.int64]) -> str:
    if len(truth) < FEWEST_MEMES:
        return f"{len(truth)} labelled memes are held out; at least {FEWEST_MEMES} are needed."
    if (count := len(np.unique(groups))) < FEWEST_GROUPS:
        return f"{count} templates are held out; at least {FEWEST_GROUPS} are needed."
    return ""


def what_helps(measured: Sequence[Scored], known: FeatureSet, truth: Array) -> tuple[Help, ...]:
    """For each label what twice the labelled rows would give.

    A line through F1 = a + b log2(rows), by least squares: b is the gain of a doubling. Learning
    curves are near a power law with a small exponent in this range (Viering & Loog, "The Shape of
    Learning Curves: a Review", 2022), of which this is the first term. A curve that bends gains
    less, so that b is rather too much than too little. Its 95 % interval comes from resamples of
    the held-out rows, the same at all points and near-duplicates together; which rows the smaller
    parts got by chance is not in it.

    Args:
        measured: at least two points, or none.
        known: the labelled rows of the last point.
        truth: (N, C) of the held-out rows.
    """
    labels = len(known.labels)
    gains: list[Figure | None] = [None] * labels
    if measured:
        x = np.log2([scored.point.rows for scored in measured])
        pull = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        now = np.tensordot(pull, [scored.f1 for scored in measured], 1)
        spread = np.tensordot(pull, [scored.spread for scored in measured], 1)
        gains = [_figure(float(now[column]), spread[:, column]) for column in range(labels)]
    positives = _positives(known.targets).tolist()
    return tuple(
        _help(label, gain, len(known), count, column)
        for label, gain, count, column in zip(known.labels, gains, positives, truth.T, strict=True)
    )


def _help(label: str, gain: Figure | None, rows: int, positives: int, truth: Array) -> Help:
    if min((truth == 1).sum(), (truth == 0).sum()) < FEWEST_EACH:
        gain = None
    trend = Trend.UNKNOWN
    if gain is not None and gain.low > 0:
        trend = Trend.RISING
    elif gain is not None and gain.high < SMALL_GAIN:
        trend = Trend.LEVEL
    few = positives < FEW_POSITIVES
    until = ceil(rows * (FEW_POSITIVES / positives - 1)) if few and positives else None
    if until is not None and until > (MOST - 1) * rows:
        until = None
    return Help(label, trend, gain, rows, positives, few, until)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A point with what its intervals come from."""

    point: Point
    f1: Array
    """(C,)"""
    spread: Array
    """(RESAMPLES, C) of the same."""


def _measure(part: FeatureSet, model: Checkpoint, held_out: FeatureSet, truth: Array) -> Scored:
    probabilities = model.predict(held_out.image, held_out.text)
    now, spread = resampled(
        truth,
        probabilities,
        model.decide(probabilities).astype(np.float64),
        groups=held_out.groups,
        resamples=RESAMPLES,
    )
    figures = [_figure(value, column) for value, column in zip(now.tolist(), spread.T, strict=True)]
    count = len(part.labels)
    f1, auc = slice(4, 4 + count), slice(4 + count, 4 + 2 * count)
    point = Point(
        len(part),
        dict(zip(part.labels, _positives(part.targets).tolist(), strict=True)),
        figures[0],
        figures[1],
        dict(zip(part.labels, figures[f1], strict=True)),
        dict(zip(part.labels, figures[auc], strict=True)),
    )
    return Scored(point, now[f1], spread[:, f1])


def _positives(targets: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray((targets > 0.5).sum(axis=0))


def _figure(value: float, spread: Array) -> Figure | None:
    known = spread[~np.isnan(spread)]
    if np.isnan(value) or not len(known):
        return None
    low, high = np.percentile(known, (2.5, 97.5)).tolist()
    return Figure(value, low, high)
