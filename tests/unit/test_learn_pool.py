"""How the heads' answers become one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import NAN
from numpy.typing import NDArray
from scipy.special import expit

from memeapp.learn.calibration import Platt
from memeapp.learn.metrics import calibration_error
from memeapp.learn.pool import Pool

Array = NDArray[np.float64]


def case(rows: int = 400, seed: int = 0) -> tuple[Array, Array]:
    """True log-odds, and labels that follow them."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(scale=2, size=(rows, 2))
    return odds, (rng.random((rows, 2)) < expit(odds)).astype(float)


def test_one_head_is_its_platt_scaling() -> None:
    odds, truth = case()
    weights = np.linspace(0.5, 1.5, len(odds))
    pool = Pool.fit([3 * odds - 1], truth, weights)
    expected = Platt.fit(3 * odds - 1, truth, weights)
    np.testing.assert_allclose(pool([odds]), expected(odds), rtol=1e-12)
    assert pool.shares == (1.0,)


def test_equal_heads_get_equal_shares_and_answer_as_one() -> None:
    odds, truth = case()
    pool = Pool.fit([odds, odds], truth, np.ones(len(odds)))
    assert pool.shares == (0.5, 0.5)
    alone = Pool.fit([odds], truth, np.ones(len(odds)))([odds])
    np.testing.assert_allclose(pool([odds, odds]), alone, atol=0.01)


@pytest.mark.parametrize("useless", [0, 1])
def test_a_head_that_knows_nothing_gets_a_small_share(useless: int) -> None:
    odds, truth = case()
    heads = [odds, odds]
    heads[useless] = np.random.default_rng(1).normal(size=odds.shape)
    pool = Pool.fit(heads, truth, np.ones(len(odds)))
    assert pool.shares[useless] <= 0.2


def test_two_heads_that_err_apart_are_better_together() -> None:
    odds, truth = case(2000)
    rng = np.random.default_rng(1)
    heads = [odds + rng.normal(scale=2, size=odds.shape) for _ in range(2)]
    weights = np.ones(len(odds))

    def loss(pool: Pool, answers: list[Array]) -> float:
        p = pool(answers)
        return float(-np.log(np.where(truth == 1, p, 1 - p)).mean())

    together = loss(Pool.fit(heads, truth, weights), heads)
    assert together < min(loss(Pool.fit([head], truth, weights), [head]) for head in heads) - 0.02


def test_the_average_of_heads_that_know_different_things_is_calibrated_once_more() -> None:
    # Each sees half of what there is and is calibrated alone; their average is not sure enough.
    rng = np.random.default_rng(2)
    halves = [rng.normal(scale=2, size=(4000, 1)) for _ in range(2)]
    truth = (rng.random((4000, 1)) < expit(halves[0] + halves[1])).astype(float)
    pool = Pool.fit(halves, truth, np.ones(4000))
    assert pool.final.slope[0] > 1.5
    assert calibration_error(truth[:, 0], pool(halves)[:, 0]) < 0.03


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans())
def test_shares_sum_to_one_and_answers_are_probabilities(
    seed: int, heads: int, missing: bool
) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size=(30, 2)).astype(float)
    if missing:
        truth[rng.random(truth.shape) < 0.5] = NAN
        truth[0] = 1
    answers = [rng.normal(scale=10 ** rng.uniform(-3, 3), size=(30, 2)) for _ in range(heads)]
    pool = Pool.fit(answers, truth, np.ones(30))
    assert sum(pool.shares) == pytest.approx(1) and min(pool.shares) >= 0
    probabilities = pool(answers)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_what_is_not_calibrated_is_averaged() -> None:
    first, second = np.array([[0.0, 2.0]]), np.array([[2.0, -2.0]])
    np.testing.assert_allclose(Pool.identity(2, 2)([first, second]), expit([[1.0, 0.0]]))


def test_a_head_that_is_missing_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="zip"):
        Pool.identity(2, 1)([np.zeros((1, 1))])
