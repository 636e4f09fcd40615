"""The learning curve tells a label that more rows would help from one that has learned enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from learning import QUICK, memes

from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.curve import (
    FEW_POSITIVES,
    Figure,
    Help,
    Point,
    Scored,
    Trend,
    _help,
    learning_curve,
    parts,
    what_helps,
)
from memeapp.learn.data import FeatureSet
from memeapp.learn.gate import FEWEST_MEMES
from memeapp.learn.loops import Progress
from memeapp.learn.train import fit

LABELS = ("easy", "hard")


def two_labels(rows: int, seed: int) -> FeatureSet:
    """The first follows from one loud number, the second from the mean of many faint ones."""
    rng = np.random.default_rng(seed)
    text = rng.normal(size=(rows, 40))
    hard = text[:, 1:].sum(axis=1) > 0
    easy = rng.random(rows) < 0.5
    text[:, 0] = np.where(easy, 12, -12)
    return FeatureSet(
        ids=tuple(f"{seed}-{row}" for row in range(rows)),
        image=rng.random((rows, 5)),
        text=text,
        targets=np.column_stack([easy, hard]).astype(float),
        labels=LABELS,
    )


RECIPE = replace(QUICK, parent_first=False, folds=2)


def trained(features: FeatureSet) -> Checkpoint:
    return fit(features, RECIPE, encoder="made-1", seed=1)


def test_what_only_more_rows_teach_is_rising_and_what_is_learned_is_level() -> None:
    learnt = two_labels(480, seed=0)
    curve = learning_curve(learnt, two_labels(300, seed=1), trained(learnt))
    easy, hard = curve.helps
    assert [point.rows for point in curve.points] == [120, 240, 480]
    assert curve.points[0].f1["easy"].value > 0.95  # type: ignore[union-attr]
    assert (easy.trend, hard.trend) == (Trend.LEVEL, Trend.RISING)
    assert not easy.starves and hard.starves
    assert hard.gain is not None and 0 < hard.gain.low < hard.gain.value < hard.gain.high
    assert (hard.rows, hard.few) == (480, False)


def test_the_last_point_is_the_version_itself() -> None:
    learnt, held_out = two_labels(160, seed=0), two_labels(120, seed=1)
    version = trained(learnt)
    last = learning_curve(learnt, held_out, version).points[-1]
    decided = version.decide(version.predict(held_out.image, held_out.text))
    right = (decided[:, 0] == held_out.targets[:, 0]).mean()
    assert last.rows == 160
    assert last.task_a is not None and last.task_a.value == pytest.approx(right, abs=0.02)
    assert last.positives["hard"] == int(learnt.targets[:, 1].sum())


def test_it_comes_out_the_same_twice_and_tells_of_its_epochs() -> None:
    learnt, held_out = two_labels(160, seed=0), two_labels(80, seed=1)
    version = trained(learnt)
    told: list[Progress] = []
    first = learning_curve(learnt, held_out, version, on_epoch=told.append)
    assert first == learning_curve(learnt, held_out, version)
    assert told
    before = version.weights_hash
    assert trained(learnt).weights_hash == before == version.weights_hash


def test_the_parts_are_nested_and_keep_near_duplicates_together() -> None:
    known = memes(400)
    known = replace(known, groups=np.arange(400) // 4)
    quarter, half = parts(known, seed=3)
    assert quarter.sum() == 100 and half.sum() == 200
    assert not (quarter & ~half).any()
    for mask in (quarter, half):
        assert all(len(set(mask[known.groups == group])) == 1 for group in range(100))


def test_the_parts_have_their_share_of_the_rarest_label() -> None:
    known = memes(400)
    targets = known.targets.copy()
    targets[:, 4] = np.arange(400) % 20 == 0
    quarter, half = parts(replace(known, targets=targets), seed=0)
    assert targets[quarter, 4].sum() == 5
    assert targets[half, 4].sum() == 10


def test_with_few_held_out_memes_nothing_is_claimed() -> None:
    learnt = two_labels(160, seed=0)
    curve = learning_curve(learnt, two_labels(FEWEST_MEMES - 1, seed=1), trained(learnt))
    assert curve.points == ()
    assert f"{FEWEST_MEMES - 1} labelled memes are held out" in curve.missing
    assert {one.trend for one in curve.helps} == {Trend.UNKNOWN}
    one_template = replace(two_labels(80, seed=1), groups=np.zeros(80, dtype=np.int64))
    assert "1 templates" in learning_curve(learnt, one_template, trained(learnt)).missing


def test_a_part_that_is_too_small_is_left_out() -> None:
    learnt = two_labels(160, seed=0)
    curve = learning_curve(learnt, two_labels(80, seed=1), trained(learnt))
    assert [point.rows for point in curve.points] == [80, 160]
    assert curve.helps[0].gain is not None


def test_half_of_few_labels_is_too_few() -> None:
    learnt = two_labels(40, seed=0)
    curve = learning_curve(learnt, two_labels(80, seed=1), trained(learnt))
    assert curve.points == ()
    assert "Half of 40 labelled memes" in curve.missing
    assert all(one.few for one in curve.helps)


def scored(rows: int, f1: float) -> Scored:
    point = Point(rows, {}, None, None, {}, {})
    return Scored(point, np.array([f1]), np.full((9, 1), f1))


def helped(positives: int, rows: int = 400, held_out: int = 20) -> Help:
    targets = np.zeros((rows, 1), np.float32)
    targets[:positives] = 1
    known = FeatureSet(
        tuple(map(str, range(rows))), np.zeros((rows, 1)), np.zeros((rows, 1)), targets, ("kind",)
    )
    truth = np.array([[float(row < held_out)] for row in range(100)])
    measured = [scored(100, 0.5), scored(200, 0.5), scored(400, 0.6)]
    (one,) = what_helps(measured, known, truth)
    return one


def test_the_gain_is_the_slope_over_the_logarithm_of_the_rows() -> None:
    one = helped(100)
    assert one.gain is not None
    assert one.gain.value == pytest.approx(0.05)  # (−1 · 0.5 + 0 · 0.5 + 1 · 0.6) / 2
    assert (one.trend, one.few, one.until_enough) == (Trend.RISING, False, None)


def test_a_label_with_few_memes_starves_and_says_how_many_more_bring_enough() -> None:
    one = helped(FEW_POSITIVES // 2)
    assert one.few and one.starves
    assert one.until_enough == 400
    assert helped(FEW_POSITIVES // 4 + 1).until_enough == 1139
    assert helped(FEW_POSITIVES // 5).until_enough is None  # five times today's labels
    assert helped(0).until_enough is None


def test_a_label_that_the_holdout_hardly_has_cannot_be_told() -> None:
    one = helped(100, held_out=9)
    assert (one.trend, one.gain) == (Trend.UNKNOWN, None)


@pytest.mark.parametrize(
    ("low", "high", "trend"),
    [
        (0.01, 0.2, Trend.RISING),
        (-0.01, 0.01, Trend.LEVEL),
        (-0.1, 0.2, Trend.UNKNOWN),  # too wide to say that labels would hardly show
    ],
)
def test_a_gain_is_none_only_where_the_interval_leaves_no_other(
    low: float, high: float, trend: Trend
) -> None:
    truth = np.array([0.0, 1.0] * 30)
    gain = Figure((low + high) / 2, low, high)
    assert _help("shaming", gain, 300, 100, truth).trend is trend
