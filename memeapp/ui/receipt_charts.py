"""Where the marks of a receipt's charts go: numbers for SVG, no markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from memeapp.learn.curve import Curve, Help, Point
from memeapp.learn.metrics import Figure
from memeapp.service.receipt_words import Raw, number

LEFT, RIGHT, TOP, BOTTOM = 34.0, 210.0, 8.0, 104.0
"""The frame of a learning curve in its units."""
LEAST_ROOM = 0.02
"""A chart of differences reaches at least so far to both sides."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A value at its place, with its interval."""

    x: float
    y: float
    low: float
    high: float
    rows: int
    told: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """One learning curve."""

    marks: tuple[Mark, ...]
    ahead: Mark | None
    """What twice the labels may give."""
    ticks: tuple[tuple[float, str], ...]
    """Places and words on the upright axis."""


def draw_curves(curve: Curve) -> dict[str, Drawn]:
    """Label, "task_a" or "task_b" → its curve; all have the same axes."""
    if not curve.points:
        return {}
    chosen: dict[str, Callable[[Point], Figure | None]] = {
        "task_a": lambda point: point.task_a,
        "task_b": lambda point: point.task_b,
    }
    for one in curve.helps:
        chosen[one.label] = lambda point, label=one.label: point.f1.get(label)  # type: ignore[misc]
    figures = {name: [pick(point) for point in curve.points] for name, pick in chosen.items()}
    helps = {one.label: one for one in curve.helps}
    ahead = {name: _ahead(row[-1], helps.get(name)) for name, row in figures.items()}
    every = [one for row in figures.values() for one in row if one] + [
        one for one in ahead.values() if one
    ]
    if not every:
        return {}
    low = max(0.0, floor(10 * min(one.low for one in every)) / 10)
    high = max(low + 0.1, min(1.0, ceil(10 * max(one.high for one in every)) / 10))
    rows = [max(1, point.rows) for point in curve.points]
    first, last = log2(rows[0]), log2(2 * rows[-1])

    def mark(one: Figure, count: int) -> Mark:
        x = LEFT + (RIGHT - LEFT) * (log2(count) - first) / max(last - first, 1e-9)
        y, below, above = (_place(value, low, high) for value in (one.value, one.low, one.high))
        told = f"{count} labelled: {one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
        return Mark(x, y, below, above, count, told)

    steps = round(10 * (high - low))
    ticks = tuple(
        (_place(low + tenth / 10, low, high), f"{low + tenth / 10:.1f}")
        for tenth in range(0, steps + 1, max(1, steps // 3))
    )
    return {
        name: Drawn(
            tuple(mark(one, count) for one, count in zip(row, rows, strict=True) if one),
            mark(later, 2 * rows[-1]) if (later := ahead[name]) else None,
            ticks,
        )
        for name, row in figures.items()
    }


def _ahead(now: Figure | None, one: Help | None) -> Figure | None:
    if now is None or one is None or one.gain is None:
        return None
    values = [now.value + gain for gain in (one.gain.value, one.gain.low, one.gain.high)]
    return Figure(*(min(1.0, max(0.0, value)) for value in values))


def _place(value: float, low: float, high: float) -> float:
    inside = min(max(value, low), high)
    return BOTTOM - (BOTTOM - TOP) * (inside - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Lean:
    """A difference on a bar whose middle is zero, in percent of its length."""

    at: float
    start: float
    width: float
    kind: str
    """"better", "worse" or "same": whether the interval keeps clear of zero."""


def lean(differences: Mapping[str, Raw] | Sequence[Raw]) -> list[Lean | None]:
    """Each difference on the same scale; None where there is none."""
    rows = list(differences.values() if isinstance(differences, Mapping) else differences)
    values = [[number(row, name) for name in ("value", "low", "high")] for row in rows]
    known = [abs(one) for row in values for one in row if one is not None]
    room = max([LEAST_ROOM, *known]) * 1.05

    def at(value: float) -> float:
        return 50 + 50 * value / room

    placed: list[Lean | None] = []
    for value, low, high in values:
        if value is None or low is None or high is None:
            placed.append(None)
            continue
        kind = "better" if low > 0 else "worse" if high < 0 else "same"
        placed.append(Lean(at(value), at(low), at(high) - at(low), kind))
    return placed
