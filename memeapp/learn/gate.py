"""The gate: may a candidate answer in place of the current version? A paired bootstrap decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memeapp.learn.metrics import resampled

Array = NDArray[np.float64]

RESAMPLES = 2000

FEWEST_MEMES = 50
"""Labelled held-out memes below which the gate does not pretend to know."""
FEWEST_GROUPS = 5
"""The same for groups of near-duplicates: they are what is drawn."""
FEWEST_EACH = 10
"""Held-out memes of each answer to the parent question that task A needs."""
FEWEST_POSITIVES = 5
"""Held-out memes of at least one kind that task B needs."""


class Verdict(StrEnum):
    """What the gate says of a candidate."""

    PROMOTE = "promote"
    """Not worse by more than the margin, as far as can be known."""
    WAIT = "wait"
    """It may be worse by more than the margin; somebody has to look."""
    UNKNOWN = "unknown"
    """There is too little to measure on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a candidate may answer without anybody looking."""

    margin: float = 0.02
    """So much worse (macro F1) is still as good."""
    confidence: float = 0.9
    """The least probability, for each task, that it is not worse than that."""


BY_DEFAULT = Rule()


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus current on the same memes: as measured, with its 95 % interval."""

    value: float
    low: float
    high: float
    not_worse: float
    """Share of the resamples in which the candidate is not worse by more than the margin."""
    better: float
    """Share of the resamples in which it is better."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate found; all differences are None where nothing could be compared."""

    verdict: Verdict
    reason: str
    """A sentence for the admin."""
    rule: Rule
    rows: int
    task_a: Difference | None = None
    task_b: Difference | None = None
    f1: Mapping[str, Difference] | None = None
    """Per label."""

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {**asdict(self), "verdict": self.verdict.value}


def judge(
    truth: ArrayLike,
    candidate: tuple[ArrayLike, ArrayLike],
    current: tuple[ArrayLike, ArrayLike],
    *,
    labels: Sequence[str],
    groups: ArrayLike | None = None,
    rule: Rule = BY_DEFAULT,
    seed: int = 0,
) -> Decision:
    """Compare two models on the same held-out memes, (N, C) each, the parent label first.

    Both are measured under the same bootstrap resamples, in which near-duplicates come and go
    together. The candidate passes if, for task A and for task B alike, it is not worse by more
    than `rule.margin` in at least the share `rule.confidence` of them.

    Args:
        truth: 0, 1 or NaN where nobody judged.
        candidate: probabilities and decisions.
        current: the same of the version that answers now.
        groups: (N,) near-duplicates have the same value.

    Raises:
        ValueError: arrays of different shapes.
    """
    y, p, d, q, e = (np.asarray(array, dtype=np.float64) for array in (truth, *candidate, *current))
    if not y.shape == p.shape == d.shape == q.shape == e.shape or y.shape[1:] != (len(labels),):
        raise ValueError(
            f"The shapes {y.shape}, {p.shape}, {d.shape}, {q.shape}, {e.shape} differ."
        )
    families = np.arange(len(y)) if groups is None else np.asarray(groups)
    if missing := _too_few(y, families, labels):
        return Decision(Verdict.UNKNOWN, missing, rule, len(y))
    now, spread = resampled(y, p, d, groups=families, resamples=RESAMPLES, seed=seed)
    before, other = resampled(y, q, e, groups=families, resamples=RESAMPLES, seed=seed)
    found = [
        _difference(float(now[column] - before[column]), spread[:, column] - other[:, column], rule)
        for column in (0, 1, *range(4, 4 + len(labels)))
    ]
    passed = min(found[0].not_worse, found[1].not_worse) >= rule.confidence
    return Decision(
        Verdict.PROMOTE if passed else Verdict.WAIT,
        _in_words(found[0], found[1], rule, len(y), passed=passed),
        rule,
        len(y),
        found[0],
        found[1],
        dict(zip(labels, found[2:], strict=True)),
    )


def _too_few(truth: Array, families: NDArray[Any], labels: Sequence[str]) -> str:
    """What is missing to compare, as a sentence; "" if nothing is."""
    for count, fewest, what in (
        (len(truth), FEWEST_MEMES, "labelled held-out memes"),
        (len(np.unique(families)), FEWEST_GROUPS, "templates among the labelled held-out memes"),
    ):
        if count < fewest:
            return f"{count} {what}; at least {fewest} are needed to tell two versions apart."
    yes, no = int((truth[:, 0] == 1).sum()), int((truth[:, 0] == 0).sum())
    if min(yes, no) < FEWEST_EACH:
        return (
            f"Of the labelled held-out memes {yes} are {labels[0]} and {no} are not; at least "
            f"{FEWEST_EACH} of each are needed to tell two versions apart."
        )
    positives = np.nansum(truth[:, 1:], axis=0)
    if len(labels) > 1 and positives.max() < FEWEST_POSITIVES:
        return (
            f"No kind holds for {FEWEST_POSITIVES} of the labelled held-out memes; task B cannot "
            "be measured."
        )
    return ""


def _difference(value: float, spread: Array, rule: Rule) -> Difference:
    low, high = np.percentile(spread, (2.5, 97.5)).tolist()
    return Difference(
        value,
        low,
        high,
        # A hair beside the margin, so that a loss of exactly the margin passes.
        not_worse=float((spread >= -rule.margin - 1e-12).mean()),
        better=float((spread > 0).mean()),
    )


def _in_words(a: Difference, b: Difference, rule: Rule, rows: int, *, passed: bool) -> str:
    told = " and ".join(
        f"{task} {one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        for task, one in (("A", a), ("B", b))
    )
    claim = (
        f"It is not worse by more than {rule.margin:g} with a probability of {_percent(a)} in A "
        f"and {_percent(b)} in B"
    )
    asked = f"{rule.confidence:.0%} is asked for"
    end = f"{asked}: it passed." if passed else f"{asked} in both: it waits for your decision."
    return f"On {rows} held-out memes: {told}. {claim}; {end}"


def _percent(one: Difference) -> str:
    """Never all or nothing: what so many resamples cannot tell."""
    return f"{min(max(one.not_worse, 0.001), 0.999):.1%}".replace(".0%", "%")
