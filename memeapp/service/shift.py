"""Whether two samples are of one kind: the population stability index, and what chance can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST = 50
"""A sample of fewer is not compared."""
LARGE = 0.2
"""An index above this is a difference worth a note; credit scoring has it between 0.1 and 0.25."""
LARGE_SHARE = 0.05
"""The same for a single share, where the index says little: 1 % to 8 % has one of 0.15."""
BINS = 10
DRAWS = 9_999

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a sample is from the reference."""

    index: float
    chance: float
    """How often two samples of one kind are as far from each other, in (0, 1]."""


def stability_index(reference: ArrayLike, recent: ArrayLike) -> NDArray[np.float64]:
    """The population stability index of counts (..., bins), over the last axis: 0 or above.

    Sum over the bins of (q - p) ln(q / p), p and q the shares of the reference and of the sample:
    Siddiqi (2006), "Credit Risk Scorecards". Half a case is added to each bin, so that an empty one
    has a share too.
    """
    p, q = (_shares(np.asarray(counts, np.float64)) for counts in (reference, recent))
    index: NDArray[np.float64] = ((q - p) * np.log(q / p)).sum(axis=-1)
    return index


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True)
    return shares


def shift(reference: Counts, recent: Counts) -> Shift:
    """Compare two samples, counted in the same bins (bins,).

    The chance is that of a permutation test: all cases are dealt anew into two samples of these
    sizes, `DRAWS` times. It holds at any counts, where the usual limit of the index wants large
    ones. It takes the cases for independent of one another. A bin that nothing is in is left out.
    """
    filled = reference + recent > 0
    reference, recent = reference[filled], recent[filled]
    index = float(stability_index(reference, recent))
    both = reference + recent
    dealt = np.random.default_rng(0).multivariate_hypergeometric(both, recent.sum(), size=DRAWS)
    as_far = stability_index(both - dealt, dealt) >= index - 1e-12
    return Shift(index, float(1 + as_far.sum()) / (DRAWS + 1))


def in_tenths(reference: Sequence[float], recent: Sequence[float]) -> tuple[Counts, Counts]:
    """Both samples counted between the reference's deciles; equal deciles are one."""
    edges = np.unique(np.quantile(np.asarray(reference), np.arange(1, BINS) / BINS))
    return _counted(reference, edges), _counted(recent, edges)


def in_steps(
    reference: Sequence[float], recent: Sequence[float], low: float, high: float
) -> tuple[Counts, Counts]:
    """Both samples counted in `BINS` steps of one width; what lies outside is in the outer ones."""
    edges = np.linspace(low, high, BINS + 1)[1:-1]
    return _counted(reference, edges), _counted(recent, edges)


def _counted(values: Sequence[float], edges: NDArray[np.float64]) -> Counts:
    places = np.searchsorted(edges, np.asarray(values), side="left")
    counts: Counts = np.bincount(places, minlength=len(edges) + 1).astype(np.int64)
    return counts


def in_kinds(
    reference: Mapping[str, int], recent: Mapping[str, int], rare: float, other: str
) -> tuple[list[str], Counts, Counts]:
    """Both samples counted by kind, the most frequent first; those with a share below `rare` of
    both samples taken together are one kind, `other`, which comes last."""
    both = Counter(reference) + Counter(recent)
    kinds = [kind for kind, count in both.most_common() if count >= rare * both.total()]
    if len(kinds) < len(both):
        kinds.append(other)
    sides = []
    for sample in (reference, recent):
        merged = Counter({kind: count for kind, count in sample.items() if kind in kinds})
        merged[other] += sum(sample.values()) - merged.total()
        sides.append(np.array([merged[kind] for kind in kinds], np.int64))
    return kinds, sides[0], sides[1]
