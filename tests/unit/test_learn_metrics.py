"""Metrics against numbers worked out by hand and against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from memeapp.learn.metrics import calibration_error, label_auc, measure, task_a, task_b

NAN = float("nan")
LABELS = ("parent", "one", "two")


def sklearn_f1(truth: NDArray[np.float64], decisions: NDArray[np.float64]) -> float:
    scores = f1_score(truth, decisions, labels=[0, 1], average=None, zero_division=0)
    return float(scores.mean())


def case(rows: int, seed: int) -> tuple[NDArray[np.float64], ...]:
    rng = np.random.default_rng(seed)
    truth = (rng.random((rows, 3)) < (0.5, 0.3, 0.1)).astype(float)
    probabilities = np.clip(0.5 * truth + 0.6 * rng.random((rows, 3)), 0, 1).round(2)
    return truth, probabilities, (probabilities >= 0.5).astype(float)


def test_task_a_has_the_value_computed_by_hand() -> None:
    # TP 2, FP 1, FN 1, TN 1: F1 of positives 4/6, of negatives 2/4.
    assert task_a([1, 1, 1, 0, 0], [1, 1, 0, 0, 1]) == pytest.approx(7 / 12, abs=1e-15)


def test_task_b_weights_labels_by_their_positives() -> None:
    truth = [[1, 0], [1, 0], [1, 1], [0, 0]]
    decisions = [[1, 0], [1, 1], [0, 1], [0, 0]]
    # first: TP 2 FN 1 TN 1: (4/5 + 2/3)/2 = 11/15, 3 positives
    # second: TP 1 FP 1 TN 2: (2/3 + 4/5)/2 = 11/15, 1 positive
    assert task_b(truth, decisions) == pytest.approx(11 / 15, abs=1e-15)
    # with the second label always wrong its score is 0 and its weight 1 of 4
    wrong = [[1, 1], [1, 1], [0, 0], [0, 1]]
    assert task_b(truth, wrong) == pytest.approx(3 / 4 * 11 / 15, abs=1e-15)


def test_nothing_over_nothing_counts_as_zero() -> None:
    assert task_a([0, 0], [0, 0]) == 0.5
    assert task_a([1, 1], [0, 0]) == 0
    assert task_b([[0, 0], [0, 0]], [[1, 0], [0, 1]]) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.booleans()] * 6), min_size=1, max_size=30))
def test_the_official_scores_agree_with_scikit_learn(rows: list[tuple[bool, ...]]) -> None:
    table = np.array(rows, dtype=float)
    truth, decisions = table[:, :3], table[:, 3:]
    per_label = np.array([sklearn_f1(truth[:, i], decisions[:, i]) for i in range(3)])
    assert task_a(truth[:, 0], decisions[:, 0]) == pytest.approx(per_label[0], abs=1e-12)
    weight = truth.sum(axis=0)
    expected = (weight * per_label).sum() / weight.sum() if weight.any() else 0.0
    assert task_b(truth, decisions) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auc_agrees_with_scikit_learn_and_knows_ties(rows: list[tuple[bool, int]]) -> None:
    truth, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if truth.min() == truth.max():
        assert np.isnan(label_auc(truth, score))
    else:
        assert label_auc(truth, score) == pytest.approx(roc_auc_score(truth, score))


def test_auc_has_the_value_computed_by_hand() -> None:
    # pairs: .9>.8, .9>.1, .8=.8 (half), .8>.1 of 4
    assert label_auc([1, 1, 0, 0], [0.9, 0.8, 0.8, 0.1]) == pytest.approx(3.5 / 4)


def test_the_calibration_error_has_the_value_computed_by_hand() -> None:
    # Ten rows, ten bins of one: mean of |p - y|.
    truth = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    probabilities = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert calibration_error(truth, probabilities) == pytest.approx(0.25)
    # Twenty rows, bins of two: a bin of (0, 1) at 0.5 is perfectly calibrated.
    assert calibration_error([0, 1] * 10, np.full(20, 0.5)) == pytest.approx(0)


def test_rows_that_were_not_judged_do_not_count() -> None:
    assert task_a([1, NAN, 0], [1, 0, 1]) == task_a([1, 0], [1, 1])
    assert label_auc([1, NAN, 0], [0.3, 0.9, 0.6]) == label_auc([1, 0], [0.3, 0.6])
    assert calibration_error([1, NAN, 0], [0.3, 0.9, 0.6]) == calibration_error([1, 0], [0.3, 0.6])
    assert np.isnan(label_auc([NAN], [0.5])) and np.isnan(calibration_error([NAN], [0.5]))


def test_measure_agrees_with_the_single_functions() -> None:
    truth, probabilities, decisions = case(200, seed=1)
    truth[5:20, 2] = NAN
    metrics = measure(truth, probabilities, decisions, labels=LABELS, resamples=20)
    assert metrics.rows == 200
    assert metrics.task_a.value == pytest.approx(task_a(truth[:, 0], decisions[:, 0]))
    assert metrics.task_b.value == pytest.approx(task_b(truth[:, 1:], decisions[:, 1:]))
    aucs = [label_auc(truth[:, i], probabilities[:, i]) for i in range(3)]
    assert [metrics.auc[label].value for label in LABELS] == pytest.approx(aucs)
    assert metrics.mean_auc.value == pytest.approx(np.mean(aucs))
    assert metrics.calibration_error["two"].value == pytest.approx(
        calibration_error(truth[:, 2], probabilities[:, 2])
    )
    assert metrics.positives["one"] == truth[:, 1].sum()


def test_intervals_are_percentiles_over_repeated_rows() -> None:
    truth, probabilities, decisions = case(60, seed=2)
    metrics = measure(truth, probabilities, decisions, labels=LABELS, resamples=40, seed=7)
    counts = np.random.default_rng(7).multinomial(60, np.full(60, 1 / 60), size=40)
    draws = [np.repeat(np.arange(60), count) for count in counts]
    b = [task_b(truth[rows, 1:], decisions[rows, 1:]) for rows in draws]
    auc = [label_auc(truth[rows, 0], probabilities[rows, 0]) for rows in draws]
    assert (metrics.task_b.low, metrics.task_b.high) == pytest.approx(
        tuple(np.percentile(b, (2.5, 97.5)))
    )
    assert (metrics.auc["parent"].low, metrics.auc["parent"].high) == pytest.approx(
        tuple(np.percentile(auc, (2.5, 97.5)))
    )


def test_intervals_hold_the_value_and_shrink_with_more_rows() -> None:
    few, many = (
        measure(*case(rows, seed=3), labels=LABELS, resamples=300).task_a for rows in (100, 1600)
    )
    for figure in (few, many):
        assert figure.low < figure.value < figure.high
    assert (few.high - few.low) > 2.5 * (many.high - many.low)


@pytest.mark.parametrize("seed", range(6))
def test_the_interval_of_a_calibration_error_holds_its_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.random((150, 3))  # calibrated: all of the error is chance
    truth = (rng.random((150, 3)) < probabilities).astype(float)
    truth[100:, 2] = NAN
    found = measure(truth, probabilities, probabilities >= 0.5, labels=LABELS, resamples=300)
    for figure in (found.mean_calibration_error, *found.calibration_error.values()):
        assert 0 <= figure.low < figure.value < figure.high


def test_rows_of_one_group_are_drawn_together() -> None:
    single = case(60, seed=8)
    fourfold = [np.repeat(table, 4, axis=0) for table in single]
    together = np.repeat(np.arange(60), 4)
    kept, apart = (
        measure(*fourfold, labels=LABELS, groups=groups, resamples=300).task_a
        for groups in (together, None)
    )
    once = measure(*single, labels=LABELS, resamples=300).task_a
    assert (kept.low, kept.high) == pytest.approx((once.low, once.high))
    assert kept.high - kept.low > 1.5 * (apart.high - apart.low)


def test_permuting_the_kinds_permutes_their_figures() -> None:
    truth, probabilities, decisions = case(80, seed=4)
    order = [0, 2, 1]
    plain = measure(truth, probabilities, decisions, labels=LABELS, resamples=30)
    swapped = measure(
        *(table[:, order] for table in (truth, probabilities, decisions)),
        labels=[LABELS[i] for i in order],
        resamples=30,
    )
    assert swapped.task_b.value == pytest.approx(plain.task_b.value)
    assert swapped.f1 == plain.f1 and swapped.auc == plain.auc


def test_an_undefined_figure_is_null_in_json() -> None:
    truth, probabilities, decisions = case(40, seed=5)
    truth[:, 2] = 0
    truth[:, 1] = NAN
    metrics = measure(truth, probabilities, decisions, labels=LABELS, resamples=30)
    raw = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert raw["labels"]["two"]["auc"] == {"value": None, "low": None, "high": None}
    assert raw["labels"]["one"]["calibration_error"]["value"] is None
    assert raw["mean_auc"]["value"] == raw["labels"]["parent"]["auc"]["value"]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_truth_of_one_class_is_measured_as_scikit_learn_does_and_has_no_auc(value: float) -> None:
    _, probabilities, decisions = case(40, seed=7)
    truth = np.full((40, 3), value)
    metrics = measure(truth, probabilities, decisions, labels=LABELS, resamples=20)
    expected = [sklearn_f1(truth[:, column], decisions[:, column]) for column in range(3)]
    assert [metrics.f1[label].value for label in LABELS] == pytest.approx(expected)
    assert metrics.task_a.value == pytest.approx(expected[0])
    assert metrics.task_b.value == pytest.approx(np.mean(expected[1:]) if value else 0)
    assert np.isnan([metrics.auc["parent"].value, metrics.mean_auc.value]).all()
    gap = np.abs(probabilities.mean(axis=0) - value)  # All on one side, so the bins add up.
    errors = [metrics.calibration_error[label].value for label in LABELS]
    assert errors == pytest.approx(gap.tolist())
    assert metrics.positives["one"] == 40 * value


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=40))
def test_the_calibration_error_agrees_with_a_loop_over_its_bins(
    rows: list[tuple[bool, int]],
) -> None:
    truth, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    order = np.argsort(score / 8, kind="stable")
    edges = sorted({int(len(order) * part / 10) for part in range(10)})
    bins = np.split(order, edges[1:])
    gaps = [len(part) * abs(score[part].mean() / 8 - truth[part].mean()) for part in bins]
    assert calibration_error(truth, score / 8) == pytest.approx(sum(gaps) / len(order))


def test_tables_that_cannot_be_measured_are_refused() -> None:
    truth, probabilities, decisions = case(10, seed=6)
    with pytest.raises(ValueError, match="do not fit"):
        measure(truth, probabilities[:5], decisions, labels=LABELS)
    with pytest.raises(ValueError, match="at least one row"):
        measure(truth[:0], probabilities[:0], decisions[:0], labels=LABELS)
    with pytest.raises(ValueError, match="round shares"):
        measure(truth * 0.5, probabilities, decisions, labels=LABELS)
