"""From out-of-fold logits to probabilities (Platt) and from probabilities to decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

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
    def fit(cls, logits: Array, targets: Array) -> Platt:
        """Fit on (N, C) out-of-fold logits; targets hard, soft or NaN.

        Platt's smoothed targets ((n⁺ + 1)/(n⁺ + 2) and 1/(n⁻ + 2); Platt 1999, Lin et al. 2007)
        and a standard normal prior on ln(slope): with few rows the network's own scale stands, with
        many the prior vanishes. A label without positives ends near 1/(n⁻ + 2).
        """
        columns = [_fit_label(z, y) for z, y in zip(logits.T, targets.T, strict=True)]
        slope, intercept = np.array(columns).reshape(-1, 2).T
        return cls(slope, intercept)

    def __call__(self, logits: Array) -> Array:
        """(N, C) logits to probabilities."""
        probabilities: Array = expit(self.slope * logits + self.intercept)
        return probabilities

    def loss(self, logits: Array, targets: Array) -> float:
        """Mean cross-entropy of the probabilities over the targets that are not NaN."""
        u = self.slope * logits + self.intercept
        return float(np.nanmean((1 - targets) * u - log_expit(u)))


def _fit_label(logits: Array, targets: Array) -> tuple[float, float]:
    judged = ~np.isnan(targets)
    z, y = logits[judged], targets[judged]
    positives, negatives = y.sum(), (1 - y).sum()
    smooth = y * (positives + 1) / (positives + 2) + (1 - y) / (negatives + 2)

    def loss(parameters: Array) -> tuple[float, Array]:
        slope = np.exp(parameters[0])
        u = slope * z + parameters[1]
        log_p = log_expit(u)
        value = ((1 - smooth) * u - log_p).sum()
        wrong = np.exp(log_p) - smooth
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
