"""`Pool`: several heads' logits, each calibrated, averaged and calibrated once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from memeapp.learn.calibration import Platt, cross_entropy

Array = NDArray[np.float64]

STEPS = 10
"""Shares of the heads are multiples of 1 / STEPS."""
PULL = 0.02
"""How much out-of-fold loss the even shares may cost: a choice on few rows is noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Probabilities = σ(final(Σ_h share_h · platt_h(logits_h)))."""

    platts: tuple[Platt, ...]
    shares: tuple[float, ...]
    final: Platt

    @classmethod
    def identity(cls, heads: int, labels: int) -> Pool:
        """Plain averages, uncalibrated."""
        return cls((Platt.identity(labels),) * heads, (1 / heads,) * heads, Platt.identity(labels))

    @classmethod
    def fit(cls, heads: Sequence[Array], targets: Array, weights: Array) -> Pool:
        """Fit on each head's (N, C) out-of-fold logits; targets as `Platt.fit` takes them."""
        platts = tuple(Platt.fit(logits, targets, weights) for logits in heads)
        if len(heads) == 1:
            return cls(platts, (1.0,), Platt.identity(targets.shape[1]))
        odds = [platt.log_odds(z) for platt, z in zip(platts, heads, strict=True)]
        shares = min(
            _simplex(len(heads)),
            key=lambda shares: (
                cross_entropy(_mix(odds, shares), targets)
                + PULL * sum((share - 1 / len(heads)) ** 2 for share in shares)
            ),
        )
        return cls(platts, shares, Platt.fit(_mix(odds, shares), targets, weights))

    def __call__(self, heads: Sequence[Array]) -> Array:
        """(N, C) logits of each head to probabilities (N, C)."""
        odds = [platt.log_odds(z) for platt, z in zip(self.platts, heads, strict=True)]
        probabilities: Array = expit(self.final.log_odds(_mix(odds, self.shares)))
        return probabilities


def _mix(odds: Sequence[Array], shares: Sequence[float]) -> Array:
    mixed: Array = np.sum([share * z for share, z in zip(shares, odds, strict=True)], axis=0)
    return mixed


def _simplex(heads: int, left: int = STEPS) -> Iterator[tuple[float, ...]]:
    """All shares in steps that sum to 1."""
    if heads == 1:
        yield (left / STEPS,)
        return
    for first in range(left + 1):
        for rest in _simplex(heads - 1, left - first):
            yield (first / STEPS, *rest)
