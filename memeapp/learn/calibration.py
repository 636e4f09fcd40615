"""From out-of-fold logits to probabilities (Platt) and from probabilities to decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from memeapp.learn.metrics import macro_f1

Array = NDArray[np.float64]

ENOUGH_POSITIVES = 5.0
"""With fewer, the best threshold is noise; the label keeps 0.5."""


@dataclass(frozen=True, slots=True, eq=False)
class Platt:
    """Per label p = σ(slope · logit + intercept); slopes are positive, so the order stays."""

    slope: Array
    intercept: Array

    @classmethod
    def identity(cls, labels: int) -> Platt:
        return cls(np.ones(labels), np.zeros(labels))

    @classmethod
    def fit(cls, logits: Array, targets: Array, weights: Array | None = None) -> Platt:
        """Fit on (N, C) out-of-fold logits; targets hard, soft or NaN; `weights` (N,) of mean 1.

        Platt's smoothed targets ((n⁺ + 1)/(n⁺ + 2) and 1/(n⁻ + 2); Platt 1999, Lin et al. 2007)
        and a standard normal prior on ln(slope): with few rows the network's own scale stands, with
        many the prior vanishes. A label without positives ends near 1/(n⁻ + 2).
        """
        w = np.ones(len(logits)) if weights is None else weights
        columns = [_fit_label(z, y, w) for z, y in zip(logits.T, targets.T, strict=True)]
        slope, intercept = np.array(columns).reshape(-1, 2).T
        return cls(slope, intercept)

    def __call__(self, logits: Array) -> Array:
        """(N, C) logits to probabilities."""
        probabilities: Array = expit(self.log_odds(logits))
        return probabilities

    def log_odds(self, logits: Array) -> Array:
        """(N, C) logits to calibrated log-odds."""
        log_odds: Array = self.slope * logits + self.intercept
        return log_odds

    def loss(self, logits: Array, targets: Array) -> float:
        """Mean cross-entropy of the probabilities over the targets that are not NaN."""
        return cross_entropy(self.log_odds(logits), targets)


def cross_entropy(log_odds: Array, targets: Array) -> float:
    """Mean over the targets that are not NaN; both (N, C)."""
    return float(np.nanmean((1 - targets) * log_odds - log_expit(log_odds)))


def _fit_label(logits: Array, targets: Array, weights: Array) -> tuple[float, float]:
    judged = ~np.isnan(targets)
    z, y, w = logits[judged], targets[judged], weights[judged]
    positives, negatives = (w * y).sum(), (w * (1 - y)).sum()
    smooth = y * (positives + 1) / (positives + 2) + (1 - y) / (negatives + 2)

    def loss(parameters: Array) -> tuple[float, Array]:
        slope = np.exp(parameters[0])
        u = slope * z + parameters[1]
        log_p = log_expit(u)
        value = (w * ((1 - smooth) * u - log_p)).sum()
        wrong = w * (np.exp(log_p) - smooth)
        gradient = np.array([(wrong * z).sum() * slope + parameters[0], wrong.sum()])
        return float(value + parameters[0] ** 2 / 2), gradient

    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-5, 5), (None, None)])
    return float(np.exp(best.x[0])), float(best.x[1])


def expected_thresholds(probabilities: Array, targets: Array, *, parent_first: bool) -> Array:
    """(C,) thresholds that maximise each label's official F1 in expectation.

    `probabilities` (N, C) are calibrated and out of fold. Calling the k likeliest rows positive is
    expected to hit Σ p of those k; the macro F1 of the expected counts is largest at some k. The
    labels themselves enter only through the calibration, which keeps the choice steady (plug-in
    rule; Koyejo et al., NeurIPS 2014), and through the guard for rare labels: one with fewer than
    `ENOUGH_POSITIVES` positives or negatives keeps 0.5.

    With `parent_first` the other labels can be given only to rows whose first label is, at its own
    threshold, as `Checkpoint.decide` does; the positives of the other rows count as missed.
    """
    thresholds = np.full(probabilities.shape[1], 0.5)
    open_rows = np.full(len(probabilities), True)
    for column in range(len(thresholds)):
        judged = ~np.isnan(targets[:, column])
        y = targets[judged, column]
        if min(y.sum(), (1 - y).sum()) >= ENOUGH_POSITIVES:
            thresholds[column] = _expected_threshold(
                probabilities[judged, column], open_rows[judged]
            )
        if parent_first and column == 0:
            open_rows = probabilities[:, 0] >= thresholds[0]
    return thresholds


def _expected_threshold(probability: Array, open_rows: NDArray[np.bool_]) -> float:
    p = np.sort(probability[open_rows])[::-1]
    k = np.arange(len(p) + 1.0)
    hits = np.concatenate([[0.0], np.cumsum(p)])
    positives, n = probability.sum(), np.full_like(k, len(probability))
    score = macro_f1(hits, k - hits, positives - hits, n)
    edges = np.concatenate([[1.0], p, [0.0]])
    between = edges[:-1] > edges[1:]  # equal probabilities get equal decisions
    best = int(np.argmax(np.where(between, score, -1.0)))
    return float((edges[best] + edges[best + 1]) / 2)


@dataclass(frozen=True, slots=True)
class Band:
    """Where a label's answer is "unsure": probabilities in [low, high). Measured out of fold."""

    low: float
    high: float
    share: float
    """Of the memes, how many lie inside."""
    error: float
    """Share of wrong decisions among the memes outside."""
    error_all: float
    """Share of wrong decisions among all memes: what the error would be without the band."""


WIDEST_BAND = 0.3
"""A model that is unsure of more memes than this is of no use; the error outside stays larger."""
TIE = 1e-6
"""Memes whose log-odds are this close enter a band together."""


def abstain_bands(
    probabilities: Array, decisions: NDArray[np.bool_], thresholds: Array, targets: Array
) -> tuple[Band, ...]:
    """For each label the smallest band around its threshold outside of which errors are halved.

    All arguments out of fold; (N, C), thresholds (C,). Memes enter the band in the order of their
    distance from the threshold in log-odds (the reject option with ambiguity ranked by the score;
    Chow 1970), up to `WIDEST_BAND` of them; where that does not halve the errors, the band with the
    fewest. Soft targets count as their majority.
    """
    bands = []
    for p, d, threshold, y in zip(probabilities.T, decisions.T, thresholds, targets.T, strict=True):
        judged = ~np.isnan(y)
        bands.append(_band(p[judged], d[judged] != (y[judged] > 0.5), float(threshold)))
    return tuple(bands)


def _band(p: Array, wrong: NDArray[np.bool_], threshold: float) -> Band:
    rows = len(p)
    error_all = float(wrong.mean()) if rows else 0.0
    distance = np.abs(logit(p) - logit(threshold))
    order = np.argsort(distance, kind="stable")
    inside = np.arange(int(rows * WIDEST_BAND) + 1)
    far = np.append(distance[order], np.inf)
    inside = inside[(inside == 0) | (far[inside] > far[inside - 1] + TIE)]
    outside_wrong = wrong.sum() - np.concatenate([[0], np.cumsum(wrong[order])])[inside]
    errors = outside_wrong / np.maximum(rows - inside, 1)
    halved = np.flatnonzero(errors <= error_all / 2)
    count = int(inside[halved[0] if len(halved) else np.argmin(errors)])
    if not count:
        return Band(threshold, threshold, 0.0, error_all, error_all)
    reach = float(far[count - 1]) + TIE / 2
    low, high = (float(expit(logit(threshold) + side * reach)) for side in (-1, 1))
    within = (p >= low) & (p < high)
    error = float(wrong[~within].mean()) if not within.all() else 0.0
    return Band(low, high, float(within.mean()), error, error_all)


def reliability(
    probabilities: Array, targets: Array, bins: int = 10
) -> tuple[tuple[tuple[float, float, int], ...], ...]:
    """Per label up to `bins` points of equal count: (mean probability, share of yes, rows)."""
    tables = []
    for p, y in zip(probabilities.T, targets.T, strict=True):
        judged = np.flatnonzero(~np.isnan(y))
        parts = np.array_split(judged[np.argsort(p[judged], kind="stable")], bins)
        tables.append(
            tuple(
                (float(p[part].mean()), float(y[part].mean()), len(part))
                for part in parts
                if len(part)
            )
        )
    return tuple(tables)


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln p / (1 - p), of the same shape; of certainty 1e-6 is taken away, so that it is finite."""
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p) - np.log1p(-p))
