"""Wilson's and Newcombe's intervals match the figures of Newcombe's papers."""

from __future__ import annotations

import pytest

from memeapp.crowd.intervals import Share, newcombe, wilson


def share(count: int, n: int) -> Share:
    result = wilson(count, n)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(
    count: int, n: int, low: float, high: float
) -> None:
    result = share(count, n)
    assert result.value == count / n
    assert (result.low, result.high) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_none_or_all_ends_exactly_at_the_border() -> None:
    assert share(0, 7).low == 0
    assert share(7, 7).high == 1
    assert share(7, 7).low == pytest.approx(1 - share(0, 7).high)


def test_no_cases_have_no_share() -> None:
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_a_count_outside_its_cases_is_refused(count: int, n: int) -> None:
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(count, n)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    # Newcombe (1998), "Interval estimation for the difference", table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_newcombe_intervals_are_the_published_ones(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    result = newcombe(share(*first), share(*second))
    assert result.value == pytest.approx(first[0] / first[1] - second[0] / second[1])
    assert (result.low, result.high) == pytest.approx((low, high), abs=5e-5)
