"""Platt scaling and plug-in thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from memeapp.learn.calibration import Platt, expected_thresholds
from memeapp.learn.metrics import calibration_error, task_a

NAN = float("nan")


def test_platt_finds_the_slope_and_intercept_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(40_000, 2))
    truth = (rng.random((40_000, 2)) < expit(logits * (0.5, 3.0) + (1.0, -2.0))).astype(float)
    platt = Platt.fit(logits, truth)
    assert platt.slope == pytest.approx([0.5, 3.0], rel=0.05)
    assert platt.intercept == pytest.approx([1.0, -2.0], abs=0.08)
    assert calibration_error(truth[:, 1], platt(logits)[:, 1]) < 0.01


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-30, 30), st.one_of(st.floats(0, 1), st.just(NAN))),
        min_size=1,
        max_size=40,
    )
)
def test_calibration_keeps_the_order_of_any_logits(rows: list[tuple[float, float]]) -> None:
    table = np.array(rows)
    platt = Platt.fit(table[:, :1], table[:, 1:])
    probabilities = platt(np.sort(table[:, :1], axis=0))
    assert np.isfinite(probabilities).all() and platt.slope[0] > 0
    assert (np.diff(probabilities[:, 0]) >= 0).all()


def test_missing_targets_equal_dropped_rows() -> None:
    rng = np.random.default_rng(1)
    logits, truth = rng.normal(size=(80, 1)), (rng.random((80, 1)) < 0.4).astype(float)
    masked = truth.copy()
    masked[50:] = NAN
    whole, part = Platt.fit(logits, masked), Platt.fit(logits[:50], truth[:50])
    assert whole.slope == pytest.approx(part.slope)
    assert whole.loss(logits, masked) == pytest.approx(part.loss(logits[:50], truth[:50]))
    for parent_first in (False, True):
        assert expected_thresholds(
            expit(logits), masked, parent_first=parent_first
        ) == pytest.approx(
            expected_thresholds(expit(logits[:50]), truth[:50], parent_first=parent_first)
        )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.booleans())
def test_a_row_of_weight_two_counts_as_the_row_twice(seed: int, soft: bool) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(40, 2))
    targets = rng.random((40, 2)).round(1 if soft else 0)
    targets[rng.random((40, 2)) < 0.2] = NAN
    weights = rng.integers(1, 4, 40)
    weighted = Platt.fit(logits, targets, weights.astype(float))
    repeated = Platt.fit(np.repeat(logits, weights, axis=0), np.repeat(targets, weights, axis=0))
    np.testing.assert_allclose(weighted(logits), repeated(logits), atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_label_that_all_rows_share_is_calibrated_to_nearly_certain(value: float) -> None:
    logits = np.random.default_rng(8).normal(size=(60, 1))
    truth = np.full((60, 1), value)
    probabilities = Platt.fit(logits, truth)(logits)
    assert np.abs(probabilities - value).max() < 0.1
    assert expected_thresholds(probabilities, truth, parent_first=False) == [0.5]


def test_soft_targets_are_shares_of_repeated_rows() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(3000, 1))
    share = expit(2 * logits - 1)
    platt = Platt.fit(logits, share)
    assert platt.slope[0] == pytest.approx(2, rel=0.03)
    assert platt.intercept[0] == pytest.approx(-1, abs=0.05)


def test_a_label_without_positives_is_improbable_and_never_given() -> None:
    rng = np.random.default_rng(3)
    logits, truth = rng.normal(-3, 1, size=(40, 1)), np.zeros((40, 1))
    platt = Platt.fit(logits, truth)
    probabilities = platt(logits)
    assert probabilities.mean() == pytest.approx(1 / 42, abs=0.01)
    assert expected_thresholds(probabilities, truth, parent_first=False) == [0.5]
    assert not (probabilities >= 0.5).any()


def test_the_threshold_has_the_value_computed_by_hand() -> None:
    # p = .9 .6 .2 .1 (sum 1.8). Macro F1 of expected counts when calling k positive:
    # k=1: TP .9, FP .1, FN .9, TN 2.1 -> (1.8/2.8 + 4.2/5.2)/2 = .7253
    # k=2: TP 1.5, FP .5, FN .3, TN 1.7 -> (3/3.8 + 3.4/4.2)/2 = .7995
    # k=3: TP 1.7, FP 1.3, FN .1, TN .9 -> (3.4/4.8 + 1.8/3.2)/2 = .6354
    probabilities = np.tile([[0.9], [0.6], [0.2], [0.1]], (5, 1))
    truth = np.tile([[1.0], [1.0], [0.0], [0.0]], (5, 1))
    assert expected_thresholds(probabilities, truth, parent_first=False) == pytest.approx([0.4])


def test_under_a_parent_the_thresholds_have_the_values_computed_by_hand() -> None:
    # Parent .9 .8 .1 .05: calling two is best, (3.4/3.85 + 3.7/4.15)/2, so its threshold is .45
    # and the kinds are open to the first two rows alone.
    # First kind .9 .4 | .5 .1 (sum 1.9), calling k of the open rows:
    # k=1: TP .9, FP .1, FN 1.0, TN 2.0 -> (1.8/2.9 + 4/5.1)/2 = .7025, the best
    # k=2: TP 1.3, FP .7, FN .6, TN 1.4 -> (2.6/3.9 + 2.8/4.1)/2 = .6748
    # Of all rows, .9 and .5: TP 1.4, FP .6, FN .5, TN 1.5 -> (2.8/3.9 + 3/4.1)/2 = .7248.
    # Second kind .6 .5 | .1 0 (sum 1.2):
    # k=1: TP .6, FP .4, FN .6, TN 2.4 -> (1.2/2.2 + 4.8/5.8)/2 = .6865
    # k=2: TP 1.1, FP .9, FN .1, TN 1.9 -> (2.2/3.2 + 3.8/4.8)/2 = .7396, the best
    # On the open rows alone, as if there were no others, k=1 (.5489) would beat k=2 (.3548).
    rows = [[0.9, 0.9, 0.6], [0.8, 0.4, 0.5], [0.1, 0.5, 0.1], [0.05, 0.1, 0.0]]
    truth = [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    probabilities, targets = np.tile(rows, (5, 1)), np.tile(truth, (5, 1))
    gated = expected_thresholds(probabilities, targets, parent_first=True)
    assert gated == pytest.approx([0.45, 0.65, 0.25])
    alone = expected_thresholds(probabilities, targets, parent_first=False)
    assert alone == pytest.approx([0.45, 0.45, 0.3])


def test_a_kind_that_no_row_is_open_to_keeps_one_half() -> None:
    probabilities = np.tile([[0.2, 0.9], [0.3, 0.1]], (10, 1))
    targets = np.tile([[0.0, 1.0], [0.0, 0.0]], (10, 1))
    assert expected_thresholds(probabilities, targets, parent_first=True) == pytest.approx(
        [0.5, 0.5]
    )


def test_the_calibrated_loss_has_the_value_computed_by_hand() -> None:
    platt = Platt(np.array([2.0]), np.array([-1.0]))
    logits = np.array([[(1 + np.log(3)) / 2], [0.5], [7.0]])  # probabilities 3/4, 1/2 and unjudged
    assert platt.loss(logits, np.array([[1.0], [0.0], [NAN]])) == pytest.approx(
        (0.2876820724 + 0.6931471806) / 2  # ln 4/3 and ln 2
    )


@settings(deadline=None)
@given(st.floats(0.2, 5), st.floats(-4, 4))
def test_the_calibrated_loss_does_not_depend_on_the_logits_scale_or_shift(
    scale: float, shift: float
) -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(3000, 1))
    truth = (rng.random((3000, 1)) < expit(logits)).astype(float)
    moved = scale * logits + shift
    assert Platt.fit(moved, truth).loss(moved, truth) == pytest.approx(
        Platt.fit(logits, truth).loss(logits, truth), rel=1e-4
    )


def test_on_calibrated_rows_the_threshold_beats_one_half_and_nears_the_best() -> None:
    rng = np.random.default_rng(4)
    probabilities = expit(rng.normal(-2, 1.2, size=(20_000, 1)))
    truth = (rng.random((20_000, 1)) < probabilities).astype(float)
    scores = {
        threshold: task_a(truth[:, 0], probabilities[:, 0] >= threshold)
        for threshold in np.linspace(0.05, 0.6, 56)
    }
    threshold = expected_thresholds(probabilities, truth, parent_first=False)[0]
    chosen = task_a(truth[:, 0], probabilities[:, 0] >= threshold)
    assert chosen > scores[min(scores, key=lambda t: abs(t - 0.5))] + 0.02
    assert chosen > max(scores.values()) - 0.005


def test_a_rare_label_keeps_one_half() -> None:
    rng = np.random.default_rng(5)
    probabilities = rng.random((50, 2)) * 0.4
    truth = np.zeros((50, 2))
    truth[:4, 0], truth[:5, 1] = 1, 1
    rare, enough = expected_thresholds(probabilities, truth, parent_first=False)
    assert rare == 0.5
    assert enough < 0.4
