"""What came in beside what was learned, a row for each feature, with a sentence on how they part.

The rows take what comes in for independent of one another. Somebody who brings a hundred memes of
one kind moves them all at once, and that is what a note then says.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from memeapp.crowd.intervals import Share, newcombe, wilson
from memeapp.labels import LabelSchema
from memeapp.service.language import language_name
from memeapp.service.reference import Reference
from memeapp.service.shift import (
    LARGE,
    LARGE_SHARE,
    LEAST,
    Counts,
    Shift,
    in_kinds,
    in_steps,
    in_tenths,
    shift,
)
from memeapp.types import Input

CHANCE = 0.01
"""How often chance alone may raise a note, over all rows taken together."""
RARE = 0.05
"""A language of a smaller share is counted among the others."""
OTHERS = "others"
TOLD = 3
"""Rows that a note names; it counts the others."""


class Verdict(StrEnum):
    ALIKE = "alike"
    APART = "apart"
    TOO_FEW = "too few"
    UNKNOWN = "nothing to compare with"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: its name, and the share of each side in [0, 1]."""

    name: str
    training: float
    recent: float


@dataclass(frozen=True, slots=True)
class Row:
    """One feature of what comes in."""

    name: str
    training: str
    """Its summary in words; empty where there is none."""
    recent: str
    verdict: Verdict
    sentence: str
    shift: Shift | None = None
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class _Scale:
    """How a feature of numbers is counted and told."""

    subject: str
    less: str
    more: str
    centre: str
    """"median" or "mean"."""
    unit: str
    """After a figure; with "%" the figures are shares of 1."""
    steps: tuple[float, float] | None = None
    """Counted in even steps between these; in tenths of the training if None. Where scores are next
    to nothing, tenths are so narrow that 0.1 % and 1 % would be worlds apart."""

    def figure(self, value: float) -> str:
        return f"{100 * value:.0f}" if self.unit == "%" else f"{value:.0f}"

    def middle(self, values: Sequence[float]) -> str:
        return self.figure(float(np.median(values) if self.centre == "median" else np.mean(values)))

    def summary(self, values: Sequence[float]) -> str:
        return f"{self.centre} {self.middle(values)} {self.unit}" if values else ""

    def sentence(self, training: Sequence[float], recent: Sequence[float]) -> str:
        before, now = self.middle(training), self.middle(recent)
        if before == now:
            halves = [np.quantile(values, (0.25, 0.75)) for values in (training, recent)]
            was, is_ = (f"{self.figure(low)} to {self.figure(high)}" for low, high in halves)
            return (
                f"{self.subject} as before in the middle, but half lie in {is_} {self.unit}, not "
                f"in {was} {self.unit}."
            )
        direction = self.more if float(now) > float(before) else self.less
        return f"{self.subject} {direction}: {self.centre} {before} → {now} {self.unit}."


def compare(
    reference: Reference, inputs: Sequence[Input], version: str, schema: LabelSchema
) -> tuple[Row, ...]:
    """A row for each feature.

    Args:
        inputs: scores, and what is unlike training, count only where `version` answered.
    """
    own = [one for one in inputs if one.version == version]
    chance = CHANCE / (5 + len(schema.labels))  # Bonferroni: any of the rows raises a note
    rows = [
        _numbers(
            "Length of texts",
            reference.text_length,
            [one.text_length for one in inputs],
            _Scale("Texts are", "shorter", "longer", "median", "characters"),
            "training memes",
            chance,
        ),
        _languages(reference, [one.language for one in inputs], chance),
        _numbers(
            "OCR's confidence",
            reference.ocr_confidence,
            [one.ocr_confidence for one in inputs if one.ocr_confidence is not None],
            _Scale("OCR is", "less sure", "surer", "median", "%", (0.5, 1.0)),
            "training memes whose text OCR read",
            chance,
        ),
        _share(
            "Pictures unlike training",
            reference.unlike_image,
            [one.unlike_image for one in own if one.unlike_image is not None],
            "pictures",
            chance,
        ),
        _share(
            "Texts unlike training",
            reference.unlike_text,
            [one.unlike_text for one in own if one.unlike_text is not None],
            "texts",
            chance,
        ),
    ]
    for label in schema.labels:
        rows.append(
            _numbers(
                f"Scores: {label.title}",
                reference.scores.get(label.name, ()),
                [one.scores[label.name] for one in own if label.name in one.scores],
                _Scale(f"{label.title} is scored", "lower", "higher", "mean", "%", (0.0, 1.0)),
                "scores from training",
                chance,
            )
        )
    return tuple(rows)


def note(rows: Sequence[Row], version: str, days: int) -> str:
    """What to tell the admin; empty where nothing parts."""
    apart = [row.sentence for row in rows if row.verdict is Verdict.APART]
    if not apart:
        return ""
    more = f" And {len(apart) - TOLD} more." if len(apart) > TOLD else ""
    return (
        f"What came in during the last {days} days is not like what {version} learned from. "
        f"{' '.join(apart[:TOLD])}{more}"
    )


def _numbers(
    name: str,
    training: Sequence[float],
    recent: Sequence[float],
    scale: _Scale,
    source: str,
    chance: float,
) -> Row:
    summaries = scale.summary(training), scale.summary(recent)
    if missing := _missing(len(training), len(recent), source):
        return Row(name, *summaries, *missing)
    low, high = scale.steps or _range([*training, *recent])
    steps = in_steps(training, recent, low, high)
    found = shift(*(steps if scale.steps else in_tenths(training, recent)))
    edges = [scale.figure(edge) for edge in np.linspace(low, high, len(steps[0]) + 1)]
    names = [f"{start} to {end} {scale.unit}" for start, end in itertools.pairwise(edges)]
    apart = found.index > LARGE and found.chance < chance
    judged = _judged(apart, scale.sentence(training, recent))
    return Row(name, *summaries, *judged, found, _bars(names, *steps))


def _languages(reference: Reference, recent: Sequence[str], chance: float) -> Row:
    training, now = Counter(reference.language), Counter(recent)
    name, summaries = "Language of texts", (_most(training), _most(now))
    if missing := _missing(training.total(), now.total(), "training memes"):
        return Row(name, *summaries, *missing)
    kinds, *counts = in_kinds(training, now, RARE, OTHERS)
    found = shift(counts[0], counts[1])
    names = [kind if kind == OTHERS else language_name(kind) for kind in kinds]
    bars = _bars(names, counts[0], counts[1])
    most = max(bars, key=lambda bar: bar.recent - bar.training)
    sentence = (
        f"Languages differ, most of all {most.name}: {_percent(most.training)} → "
        f"{_percent(most.recent)} of texts."
    )
    apart = found.index > LARGE and found.chance < chance
    return Row(name, *summaries, *_judged(apart, sentence), found, bars)


def _share(
    name: str, training: Sequence[bool], recent: Sequence[bool], what: str, chance: float
) -> Row:
    before, now = wilson(sum(training), len(training)), wilson(sum(recent), len(recent))
    summaries = _rate(before), _rate(now)
    if missing := _missing(len(training), len(recent), "held-out memes"):
        return Row(name, *summaries, *missing)
    assert before and now  # neither side is empty
    difference = newcombe(now, before)
    counts = [np.array([len(side) - sum(side), sum(side)]) for side in (training, recent)]
    found = shift(counts[0], counts[1])
    sentence = (
        f"{'More' if difference.value > 0 else 'Fewer'} {what} are unlike training: "
        f"{_percent(before.value)} → {_percent(now.value)}, a difference of "
        f"{_points(difference.low)} to {_points(difference.high)} points."
    )
    apart = abs(difference.value) > LARGE_SHARE and found.chance < chance
    bars = (Bar(name, before.value, now.value),)
    return Row(name, *summaries, *_judged(apart, sentence), found, bars)


def _missing(training: int, recent: int, source: str) -> tuple[Verdict, str] | None:
    """What keeps two sides from being compared."""
    if training < LEAST:
        return Verdict.UNKNOWN, f"Nothing to compare with: there are fewer than {LEAST} {source}."
    if recent < LEAST:
        return (
            Verdict.TOO_FEW,
            f"{recent} came in, {LEAST} are needed: {LEAST - recent} more to come.",
        )
    return None


def _judged(apart: bool, sentence: str) -> tuple[Verdict, str]:
    return (Verdict.APART, sentence) if apart else (Verdict.ALIKE, "No difference worth a note.")


def _bars(names: Sequence[str], training: Counts, recent: Counts) -> tuple[Bar, ...]:
    return tuple(
        Bar(name, float(before), float(now))
        for name, before, now in zip(
            names, training / training.sum(), recent / recent.sum(), strict=True
        )
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the greatest but for one in a hundred at each end."""
    low, high = (float(end) for end in np.quantile(values, (0.01, 0.99)))
    return low, max(high, low + 1)


def _most(languages: Counter[str]) -> str:
    total = languages.total()
    return ", ".join(
        f"{language_name(kind)} {_percent(count / total)}"
        for kind, count in languages.most_common(2)
    )


def _rate(share: Share | None) -> str:
    return _percent(share.value) if share else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _points(difference: float | None) -> str:
    return f"{100 * (difference or 0.0):+.0f}"
