"""How far annotators agree on each label, with each other and with a model's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memeapp.crowd.counts import vote_counts
from memeapp.crowd.intervals import Estimate

Array = NDArray[np.float64]

UNDEFINED_AT_MOST = 0.05
"""Share of resamples that may lack a value; an interval over fewer of them would be too narrow."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far those who judged a label agree; None where a figure is not defined.

    All three are None with fewer than two memes that have two votes. `alpha` is also None if all
    votes on those memes are the same: then no disagreement was to be expected.
    """

    memes: int
    """Memes with at least two votes on the label."""
    pairs: int
    """Pairs of votes on the same meme."""
    observed: Estimate | None
    """The share of all pairs that agree, in [0, 1]; a meme with more votes weighs more."""
    alpha: Estimate | None
    """Krippendorff's alpha: 1 is perfect, 0 is chance. Collapses where a label is rare."""
    ac1: Estimate | None
    """Gwet's AC1: 1 is perfect, 0 is chance. Stays near the observed agreement with rare labels."""


def agreement(
    votes: pd.DataFrame, labels: Sequence[str], resamples: int = 1000, seed: int = 0
) -> dict[str, Agreement]:
    """The agreement on each label, with bootstrap 95 % intervals (percentiles over memes).

    Observed agreement takes all pairs of votes on one meme together. Alpha (nominal) follows
    Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability". AC1 follows Gwet (2008),
    "Computing inter-rater reliability and its variance in the presence of high agreement", with
    missing judgements: the memes with two votes weigh the same in its observed agreement, and
    memes with a single vote count for how common the label is.

    An interval has no ends if more than `UNDEFINED_AT_MOST` of the resamples lack a value. If
    nobody disagreed, the interval is the point 1: a bootstrap repeats only what was seen.

    Args:
        votes: a row for each judgement, as in `vote_counts`; rows of other labels are ignored.
        labels: which labels; one without votes gets figures of None.
        resamples: how many bootstrap resamples.
        seed: the same votes and seed give the same intervals, in whatever order the rows come.

    Raises:
        ValueError: as in `vote_counts`.
    """
    counts = vote_counts(votes)
    of_label = counts.index.get_level_values("label")
    return {
        label: label_agreement(counts[of_label == label].to_numpy(np.int64), resamples, seed)
        for label in labels
    }


def label_agreement(counts: NDArray[np.int64], resamples: int = 1000, seed: int = 0) -> Agreement:
    """`agreement` on one label, from (N, 2) counts of yes and no on each meme.

    Rows of zeros are left out: those memes were judged on other labels, or only decided on.
    """
    counts = counts[counts.sum(axis=1) > 0]
    votes = counts.sum(axis=1)
    memes = int((votes >= 2).sum())
    pairs = int((votes * (votes - 1) // 2).sum())
    if memes < 2:
        return Agreement(memes, pairs, None, None, None)
    # Votes are few, so many memes share their counts. Drawing memes with replacement is drawing
    # how often each pattern comes: the same distribution from a handful of numbers.
    patterns, frequency = np.unique(counts, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(counts), frequency / len(counts), size=resamples)
    values = _figures(patterns.astype(np.float64), frequency[None].astype(np.float64))[:, 0]
    resampled = _figures(patterns.astype(np.float64), drawn.astype(np.float64))
    observed, alpha, ac1 = (
        _estimate(value, row) for value, row in zip(values, resampled, strict=True)
    )
    return Agreement(memes, pairs, observed, alpha, ac1)


def _figures(patterns: Array, weights: Array) -> Array:
    """(3, R): observed agreement, alpha and AC1 of each row of weights; NaN where undefined.

    Args:
        patterns: (P, 2) counts of yes and no of a meme.
        weights: (R, P) how many memes have each pattern.
    """
    prevalence = _ratio(weights @ (patterns[:, 0] / patterns.sum(axis=1)), weights.sum(axis=1))

    several = patterns.sum(axis=1) >= 2
    yes, no = patterns[several].T
    weights = weights[:, several]
    votes = yes + no
    pairs = votes * (votes - 1)
    agreeing = yes * (yes - 1) + no * (no - 1)
    observed = _ratio(weights @ agreeing, weights @ pairs)

    # Krippendorff's coincidences: each meme's pairs count 1 / (votes - 1), both ways round.
    all_votes, disagreeing = weights @ votes, weights @ (2 * yes * no / (votes - 1))
    expected = 2 * (weights @ yes) * (weights @ no)
    alpha = 1 - _ratio((all_votes - 1) * disagreeing, expected)

    by_meme = _ratio(weights @ (agreeing / pairs), weights.sum(axis=1))
    chance = 2 * prevalence * (1 - prevalence)
    ac1 = (by_meme - chance) / (1 - chance)
    return np.stack([observed, alpha, ac1])


@dataclass(frozen=True, slots=True)
class WithModel:
    """How far votes agree with a model's answers to the same memes; None where not defined."""

    memes: int
    votes: int
    observed: Estimate | None
    """The share of votes that say what the model says, in [0, 1]."""
    kappa: Estimate | None
    """Cohen's kappa: 1 is perfect, 0 is chance. None if either side always says the same."""


def with_model(
    counts: NDArray[np.int64], answers: NDArray[np.bool_], resamples: int = 1000, seed: int = 0
) -> WithModel:
    """The agreement of votes on one label with a model, with bootstrap 95 % intervals over memes.

    Kappa follows Cohen (1960), "A coefficient of agreement for nominal scales": one side is
    whoever voted, the other the model, and every vote is a case.

    Args:
        counts: (N, 2) votes of yes and no on each meme; rows of zeros are left out.
        answers: (N,) whether the model says yes.
    """
    judged = counts.sum(axis=1) > 0
    memes, votes = int(judged.sum()), int(counts.sum())
    if not votes:
        return WithModel(0, 0, None, None)
    cases = np.column_stack([counts, answers.astype(np.int64)])[judged]
    patterns, frequency = np.unique(cases, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(
        memes, frequency / memes, size=resamples if memes > 1 else 0
    )
    weights = np.vstack([frequency, drawn]).astype(np.float64)
    yes, no, model = patterns.astype(np.float64).T
    total = weights @ (yes + no)
    observed = _ratio(weights @ np.where(model, yes, no), total)
    by_votes, by_model = (_ratio(weights @ part, total) for part in (yes, model * (yes + no)))
    chance = by_votes * by_model + (1 - by_votes) * (1 - by_model)
    kappa = _ratio(observed - chance, 1 - chance)
    varies = (by_votes * (1 - by_votes) > 0) & (by_model * (1 - by_model) > 0)
    figures = observed, np.where(varies, kappa, np.nan)
    return WithModel(memes, votes, *(_estimate(float(row[0]), row[1:]) for row in figures))


def _estimate(value: float, resampled: Array) -> Estimate | None:
    if np.isnan(value):
        return None
    undefined = np.isnan(resampled)
    if not len(resampled) or undefined.mean() > UNDEFINED_AT_MOST:
        return Estimate(float(value), None, None)
    low, high = np.quantile(resampled[~undefined], [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))


def _ratio(above: Array, below: Array) -> Array:
    """Above / below, NaN where below is 0."""
    ratio: Array = np.full(below.shape, np.nan)
    return np.divide(above, below, out=ratio, where=below != 0)
