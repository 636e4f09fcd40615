"""Abstain bands and reliability tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import NAN
from numpy.typing import NDArray
from scipy.special import expit, logit

from memeapp.learn.calibration import WIDEST_BAND, Band, abstain_bands, reliability

Array = NDArray[np.float64]
CHANCES = st.integers(1, 99).map(lambda percent: percent / 100)


def band_of(p: Array, y: Array, threshold: float = 0.5) -> Band:
    (band,) = abstain_bands(p[:, None], p[:, None] >= threshold, np.array([threshold]), y[:, None])
    return band


def test_the_band_has_the_values_computed_by_hand() -> None:
    # Wrong are .55 and .44, the two nearest to one half, of ten: errors .2 without a band, 1/9
    # without the nearest meme, 0 of 8 without both. Log-odds of .44 and .56 are opposite.
    p = np.array([0.9, 0.8, 0.7, 0.62, 0.55, 0.44, 0.35, 0.2, 0.1, 0.05])
    y = np.array([1.0, 1, 1, 1, 0, 1, 0, 0, 0, 0])
    band = band_of(p, y)
    assert (band.low, band.high) == pytest.approx((0.44, 0.56), abs=1e-6)
    assert (band.share, band.error, band.error_all) == pytest.approx((0.2, 0.0, 0.2))


def test_away_from_one_half_the_band_is_even_in_log_odds() -> None:
    # Around .2, odds 1/4, up to .3, odds 3/7, 12/7 times as much: down to odds 7/48, that is 7/55.
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.05, 0.04, 0.03, 0.02, 0.01])
    y = np.array([1.0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    band = band_of(p, y, threshold=0.2)
    assert (band.low, band.high) == pytest.approx((7 / 55, 0.3), abs=1e-6)
    assert (band.share, band.error, band.error_all) == pytest.approx((0.1, 0.0, 0.1))


def test_no_more_memes_are_unsure_than_halving_the_errors_takes() -> None:
    # Wrong are the nearest three, the fifth and one far away, 5 of 20: without the nearest three
    # 2 of 17 are, less than half of 1/4, though without five it would be 1 of 15.
    p = np.linspace(0.51, 0.99, 20)
    y = np.ones(20)
    y[[0, 1, 2, 4, 18]] = 0
    band = band_of(p, y)
    assert (band.share, band.error, band.error_all) == pytest.approx((3 / 20, 2 / 17, 1 / 4))


def test_memes_of_equal_probability_are_unsure_together_or_not_at_all() -> None:
    p, y = np.repeat([0.9, 0.55], [8, 2]), np.repeat([1.0, 0.0], [8, 2])
    assert band_of(p, y).share == pytest.approx(0.2)
    p, y = np.repeat([0.9, 0.55], [6, 4]), np.repeat([1.0, 0.0], [6, 4])
    assert band_of(p, y) == Band(0.5, 0.5, 0.0, 0.4, 0.4)


def test_a_model_that_errs_only_where_it_is_certain_has_no_band() -> None:
    p, y = np.array([0.99, 0.9, 0.8, 0.7, 0.6]), np.array([0.0, 1, 1, 1, 1])
    assert band_of(p, y) == Band(0.5, 0.5, 0.0, pytest.approx(0.2), pytest.approx(0.2))


def test_where_the_errors_cannot_be_halved_the_band_leaves_the_fewest() -> None:
    # Of ten, wrong are the nearest and the two most certain; 3/10 -> 2/9, then no better.
    p = np.array([0.51, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99])
    y = np.array([0.0, 1, 1, 1, 1, 1, 1, 1, 0, 0])
    band = band_of(p, y)
    assert (band.share, band.error, band.error_all) == pytest.approx((0.1, 2 / 9, 0.3))


def test_without_errors_or_rows_there_is_nothing_to_be_unsure_of() -> None:
    assert band_of(np.array([0.7, 0.2]), np.array([1.0, 0.0])) == Band(0.5, 0.5, 0.0, 0.0, 0.0)
    assert band_of(np.array([0.7]), np.array([NAN])) == Band(0.5, 0.5, 0.0, 0.0, 0.0)
    assert abstain_bands(
        np.empty((0, 1)), np.empty((0, 1), bool), np.array([0.3]), np.empty((0, 1))
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(CHANCES, st.sampled_from([0.0, 0.0, 0.0, 0.4, 0.6, NAN])), max_size=40),
    CHANCES,
)
def test_the_band_is_the_smallest_that_halves_the_errors(
    rows: list[tuple[float, float]], threshold: float
) -> None:
    p, y = np.array(rows).reshape(-1, 2).T
    y = np.abs((p >= threshold) - y)  # Most decisions are right: 0.6 is a wrong one.
    band = band_of(p, y, threshold)
    p, y = p[~np.isnan(y)], y[~np.isnan(y)]
    assert band.low <= threshold <= band.high
    wrong = (p >= threshold) != (y > 0.5)
    inside = (p >= band.low) & (p < band.high)
    assert band.share == (inside.mean() if len(p) else 0)
    assert band.error_all == (wrong.mean() if len(p) else 0)
    assert band.error == pytest.approx(wrong[~inside].mean() if len(p) else 0)
    assert band.share <= WIDEST_BAND and band.error <= band.error_all
    # Every band that is even in log-odds, smallest first.
    distance = np.abs(logit(p) - logit(threshold))
    for reach in [-1.0, *np.unique(distance)]:
        within = distance <= reach + 1e-9
        if within.sum() > WIDEST_BAND * len(p) or within.sum() >= inside.sum():
            break
        assert wrong[~within].mean() > max(band.error_all / 2, band.error) - 1e-12
    if band.error > band.error_all / 2:
        assert all(
            wrong[distance > reach].mean() >= band.error
            for reach in np.unique(distance)
            if (distance <= reach).sum() <= WIDEST_BAND * len(p)
        )


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 3))
def test_a_model_that_is_surer_of_all_memes_is_unsure_of_the_same(seed: int, times: float) -> None:
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=60)
    y = (rng.random(60) < expit(2 * odds)).astype(float)
    plain, surer = band_of(expit(odds), y), band_of(expit(times * odds), y)
    assert (surer.share, surer.error) == pytest.approx((plain.share, plain.error))


def test_on_a_calibrated_model_the_band_halves_the_errors() -> None:
    rng = np.random.default_rng(0)
    p = expit(rng.normal(scale=3, size=5000))
    y = (rng.random(5000) < p).astype(float)
    band = band_of(p, y)
    assert 0.1 < band.share <= WIDEST_BAND
    assert band.error <= band.error_all / 2
    new = expit(rng.normal(scale=3, size=5000))
    outside = (new < band.low) | (new >= band.high)
    wrong = (new >= 0.5) != (rng.random(5000) < new)
    assert wrong[outside].mean() == pytest.approx(band.error, abs=0.02)


def test_each_label_has_a_band_of_its_own_decisions() -> None:
    # A kind is refused where its parent is, so its errors are those of the gated decisions.
    p = np.array([[0.2, 0.9], [0.3, 0.55], [0.9, 0.9], [0.8, 0.2]])
    y = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    gated = p >= 0.5
    gated[:, 1] &= gated[:, 0]
    bands = abstain_bands(p, gated, np.array([0.5, 0.5]), y)
    assert [band.error_all for band in bands] == [0, 0]
    assert abstain_bands(p, p >= 0.5, np.array([0.5, 0.5]), y)[1].error_all == 0.5


def test_reliability_bins_have_the_values_computed_by_hand() -> None:
    p = np.array([0.4, 0.1, 0.3, 0.2, 0.9])[:, None]
    y = np.array([1.0, 0.0, 0.5, 0.5, NAN])[:, None]
    assert reliability(p, y, bins=2) == (
        ((pytest.approx(0.15), 0.25, 2), (pytest.approx(0.35), 0.75, 2)),
    )


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 1000))
def test_reliability_bins_are_equally_full_and_hold_every_judged_row(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.random((rows, 2)), rng.random((rows, 2)).round(1)
    y[rng.random((rows, 2)) < 0.2] = NAN
    for table, chances, shares in zip(reliability(p, y), p.T, y.T, strict=True):
        judged = ~np.isnan(shares)
        means, observed, counts = np.array(table).reshape(-1, 3).T
        assert counts.sum() == judged.sum() and len(table) == min(10, judged.sum())
        assert not len(table) or np.ptp(counts) <= 1
        assert (np.diff(means) >= 0).all()
        assert (means * counts).sum() == pytest.approx(chances[judged].sum())
        assert (observed * counts).sum() == pytest.approx(shares[judged].sum())


def test_reliability_of_a_calibrated_model_lies_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((20_000, 1))
    (table,) = reliability(p, (rng.random(p.shape) < p).astype(float))
    assert [observed for _, observed, _ in table] == pytest.approx(
        [mean for mean, _, _ in table], abs=0.03
    )
