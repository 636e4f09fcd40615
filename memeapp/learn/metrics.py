"""Official MAMI metrics (SemEval-2022 task 5), AUC, calibration error, bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BINS = 10
"""Bins of the calibration error, each with the same number of rows."""
CHUNK = 100
"""Resamples that are counted at once; bounds the memory at CHUNK x N weights."""


def _ratio(numerator: Array, denominator: Array, empty: float = 0.0) -> Array:
    return np.divide(
        numerator, denominator, out=np.full_like(numerator, empty), where=denominator != 0
    )


def macro_f1(true_positive: Array, false_positive: Array, false_negative: Array, n: Array) -> Array:
    """Mean of the F1 of the positive and of the negative class, from counts; 0/0 counts as 0."""
    true_negative = n - true_positive - false_positive - false_negative
    wrong = false_positive + false_negative
    positive = _ratio(2 * true_positive, 2 * true_positive + wrong)
    negative = _ratio(2 * true_negative, 2 * true_negative + wrong)
    return (positive + negative) / 2


def _label_f1(truth: Array, decisions: Array, weights: Array) -> tuple[Array, Array]:
    """(R, C) macro F1 and positives a label, under R row weightings; NaN in truth is left out."""
    judged = ~np.isnan(truth)
    y = np.where(judged, truth, 0.0)
    d = np.where(judged, decisions, 0.0)
    positives = weights @ y
    hits = weights @ (y * d)
    f1 = macro_f1(hits, weights @ d - hits, positives - hits, weights @ judged.astype(np.float64))
    return f1, positives


def _weighted(f1: Array, positives: Array) -> Array:
    return _ratio((f1 * positives).sum(axis=-1), positives.sum(axis=-1))


def task_a(truth: ArrayLike, decisions: ArrayLike) -> float:
    """Official score of task A: (F1 of positives + F1 of negatives) / 2; both arguments (N,)."""
    y, d = (np.asarray(values, dtype=np.float64)[:, None] for values in (truth, decisions))
    return float(_label_f1(y, d, np.ones((1, len(y))))[0][0, 0])


def task_b(truth: ArrayLike, decisions: ArrayLike) -> float:
    """Official score of task B: the labels' `task_a`, weighted by their positives; (N, kinds)."""
    y, d = (np.asarray(values, dtype=np.float64) for values in (truth, decisions))
    return float(_weighted(*_label_f1(y, d, np.ones((1, len(y)))))[0])


def _auc(truth: Array, probability: Array, weights: Array) -> Array:
    """(R,) chance that a random positive scores above a random negative, ties half; or NaN."""
    _, group = np.unique(probability, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    weights, truth = weights[:, order], truth[order]
    positive = np.add.reduceat(weights * truth, starts, axis=1)
    negative = np.add.reduceat(weights * (1 - truth), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((positive * below).sum(axis=1), pairs, empty=nan)


def _calibration(truth: Array, probability: Array, weights: Array) -> Array:
    """(R,) mean over rows of |mean probability − mean truth| of the row's bin."""
    order = np.argsort(probability, kind="stable")
    starts = np.unique(np.linspace(0, len(order), BINS, endpoint=False).astype(int))
    gaps = np.add.reduceat((weights * (probability - truth))[:, order], starts, axis=1)
    return _ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1), empty=nan)


def label_auc(truth: ArrayLike, probability: ArrayLike) -> float:
    """Area under the ROC curve of one label, (N,) each; NaN unless both classes are there."""
    y, p = (np.asarray(values, dtype=np.float64) for values in (truth, probability))
    judged = ~np.isnan(y)
    if not judged.any():
        return nan
    return float(_auc(y[judged], p[judged], np.ones((1, int(judged.sum()))))[0])


def calibration_error(truth: ArrayLike, probability: ArrayLike) -> float:
    """Expected calibration error of one label over 10 bins of equal count; NaN without rows."""
    y, p = (np.asarray(values, dtype=np.float64) for values in (truth, probability))
    judged = ~np.isnan(y)
    if not judged.any():
        return nan
    return float(_calibration(y[judged], p[judged], np.ones((1, int(judged.sum()))))[0])


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its bootstrap 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """JSON has no NaN: an undefined number is null."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(x) else float(x) for name, x in numbers.items()}


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a model is worth on held-out rows. `f1`, `auc` and `calibration` are per label."""

    rows: int
    task_a: Figure
    task_b: Figure
    mean_auc: Figure
    mean_calibration_error: Figure
    f1: Mapping[str, Figure]
    """(F1 of positives + F1 of negatives) / 2."""
    auc: Mapping[str, Figure]
    calibration_error: Mapping[str, Figure]
    positives: Mapping[str, int]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready: a figure is {"value", "low", "high"}."""
        return {
            "rows": self.rows,
            "task_a": self.task_a.to_dict(),
            "task_b": self.task_b.to_dict(),
            "mean_auc": self.mean_auc.to_dict(),
            "mean_calibration_error": self.mean_calibration_error.to_dict(),
            "labels": {
                label: {
                    "f1": self.f1[label].to_dict(),
                    "auc": self.auc[label].to_dict(),
                    "calibration_error": self.calibration_error[label].to_dict(),
                    "positives": self.positives[label],
                }
                for label in self.f1
            },
        }


def _statistics(truth: Array, probabilities: Array, decisions: Array, weights: Array) -> Array:
    """(R, 4 + 3 C): A, B, mean AUC, mean calibration error, then per label F1, AUC, error."""
    f1, positives = _label_f1(truth, decisions, weights)
    judged = ~np.isnan(truth)
    per_label = [
        [
            function(truth[rows, column], probabilities[rows, column], weights[:, rows])
            if rows.any()
            else np.full(len(weights), np.nan)
            for column, rows in enumerate(judged.T)
        ]
        for function in (_auc, _calibration)
    ]
    auc, error = (np.stack(columns, axis=1) for columns in per_label)
    means = [_ratio(np.nansum(x, axis=1), (~np.isnan(x)).sum(axis=1), np.nan) for x in (auc, error)]
    task_b_score = _weighted(f1[:, 1:], positives[:, 1:])
    return np.column_stack([f1[:, 0], task_b_score, *means, f1, auc, error])


def _weightings(groups: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Array]:
    """Bootstrap resamples of whole groups as row counts, in chunks of shape (at most CHUNK, N)."""
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=size)
        yield drawn[:, groups].astype(np.float64)


def resampled(
    truth: Array,
    probabilities: Array,
    decisions: Array,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """A, B, mean AUC and calibration error, then per label F1, AUC and calibration error.

    (4 + 3 C,) as measured and (resamples, 4 + 3 C) under bootstrap resamples of whole rows. The
    same seed and groups give the same resamples, so that two models can be paired.

    Args:
        groups: (N,) rows of the same value are drawn together; each for itself if None.
    """
    together = (
        np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    )
    spread = [
        _statistics(truth, probabilities, decisions, weights)
        for weights in _weightings(together, resamples, seed)
    ]
    point = _statistics(truth, probabilities, decisions, np.ones((1, len(truth))))[0]
    return point, np.concatenate(spread)


def measure(
    truth: ArrayLike,
    probabilities: ArrayLike,
    decisions: ArrayLike,
    *,
    labels: Sequence[str],
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Metrics:
    """Measure a model; all arrays (N, C), the parent label first, `truth` 0, 1 or NaN.

    Intervals are percentiles over bootstrap resamples of whole rows. Those of the calibration
    errors are moved down by the bootstrap's bias, the mean of the resamples less the value, and end
    at 0 (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 10): chance gaps
    count as error, and a resample has its own besides those of the rows.

    Args:
        groups: as `resampled` takes them.

    Raises:
        ValueError: without rows, with arrays of different shapes, or with a truth that is not
            0, 1 or NaN.
    """
    y, p, d = (np.asarray(x, dtype=np.float64) for x in (truth, probabilities, decisions))
    if not (y.shape == p.shape == d.shape == (len(y), len(labels)) and len(y)):
        raise ValueError(
            f"Shapes {y.shape}, {p.shape} and {d.shape} do not fit; all three need at least one "
            f"row and one column for each of {', '.join(labels)}."
        )
    if not np.isin(y[~np.isnan(y)], (0, 1)).all():
        raise ValueError("The truth holds values other than 0, 1 and NaN; round shares first.")
    point, spread = resampled(y, p, d, groups=groups, resamples=resamples, seed=seed)
    count = len(labels)
    errors = {3, *range(4 + 2 * count, 4 + 3 * count)}
    figures = [
        _figure(value, column[~np.isnan(column)], error=place in errors)
        for place, (value, column) in enumerate(zip(point.tolist(), spread.T, strict=True))
    ]
    f1, auc, error = (
        dict(zip(labels, figures[4 + i * count : 4 + (i + 1) * count], strict=True))
        for i in range(3)
    )
    positives = dict(zip(labels, np.nansum(y, axis=0).astype(int).tolist(), strict=True))
    return Metrics(
        len(y), figures[0], figures[1], figures[2], figures[3], f1, auc, error, positives
    )


def _figure(value: float, spread: Array, *, error: bool) -> Figure:
    """With the percentiles of its resamples; of an `error`, less the bias that they have."""
    if not len(spread):
        return Figure(value, nan, nan)
    low, high = np.percentile(spread, (2.5, 97.5)).tolist()
    if not error:
        return Figure(value, low, high)
    bias = float(spread.mean()) - value
    return Figure(value, max(0.0, low - bias), max(0.0, high - bias))
