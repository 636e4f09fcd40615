"""Values with 95 % intervals: shares (Wilson) and differences of shares (Newcombe)."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

Z95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value with its 95 % interval; `low` and `high` are both None without one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `n` cases, n > 0, with the 95 % Wilson interval of the share in [0, 1]."""

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.n


def wilson(count: int, n: int) -> Share | None:
    """The share of `count` among `n` cases; None without cases.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", without
    continuity correction. It takes the cases for independent of one another.

    Raises:
        ValueError: the count is below 0 or above n.
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is no share; the count must lie between 0 and n.")
    if n == 0:
        return None
    p, spread = count / n, Z95 * Z95 / n
    centre = p + spread / 2
    half = sqrt(spread * (p * (1 - p) + spread / 4))
    # The interval ends at the very border there; in floating point it would just miss it.
    low = 0.0 if count == 0 else (centre - half) / (1 + spread)
    high = 1.0 if count == n else (centre + half) / (1 + spread)
    return Share(count, n, low, high)


def newcombe(first: Share, second: Share) -> Estimate:
    """The difference first - second of two independent shares, in [-1, 1].

    Newcombe (1998), "Interval estimation for the difference between independent proportions:
    comparison of eleven methods", method 10: from the two Wilson intervals.
    """
    difference = first.value - second.value
    below = hypot(first.value - first.low, second.high - second.value)
    above = hypot(first.high - first.value, second.value - second.low)
    return Estimate(difference, difference - below, difference + above)
