"""Losses against numbers worked out by hand and against independent float64 formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from memeapp.learn.losses import (
    EVEN,
    PAPER,
    REFERENCE,
    Balance,
    DistributionBalancedLoss,
    bce,
    two_sided_logit,
)

PLAIN = Balance(alpha=0.1, beta=10.0, mu=0.2, lam=5.0, kappa=0.05)
BALANCES = [PLAIN, REFERENCE, PAPER, EVEN]
NAN = float("nan")


def tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def numpy_loss(
    balance: Balance, z: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The formula entry by entry, for counts strictly between 0 and N; NaN where not judged."""
    cost = np.full(y.shape, np.nan)
    n = np.nansum(y, axis=0)
    rows = (~np.isnan(y)).sum(axis=0)
    classes = y.shape[1]
    for k in range(y.shape[0]):
        p_i = np.nansum(y[k] / n) / classes
        for i in range(classes):
            if np.isnan(y[k, i]):
                continue
            r = np.inf if p_i == 0 else 1 / (classes * n[i]) / p_i
            weight = balance.alpha + 1 / (1 + np.exp(-balance.beta * (r - balance.mu)))
            u = z[k, i] - balance.kappa * np.log(rows[i] / n[i] - 1) / balance.lam
            plus = 1 / (1 + np.exp(-u))
            minus = 1 / (1 + np.exp(-balance.lam * u))
            positive = (1 - plus) ** balance.gamma * y[k, i] * np.log(plus)
            negative = minus**balance.gamma * (1 - y[k, i]) * np.log(1 - minus)
            cost[k, i] = -weight * (positive + negative / balance.lam)
    return cost


def random_case(seed: int, soft: bool, missing: bool) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    y = rng.random((12, 4)) if soft else (rng.random((12, 4)) < 0.4).astype(float)
    y[0], y[1] = 1, 0
    if missing:
        y[2:][rng.random((10, 4)) < 0.3] = np.nan
    return tensor(rng.normal(size=(12, 4))), tensor(y)


def test_bce_has_the_values_computed_by_hand() -> None:
    log3 = float(np.log(3))  # sigmoid(log 3) = 3/4
    assert bce(tensor([[0.0]]), tensor([[1.0]])).item() == pytest.approx(0.6931471806)  # ln 2
    assert bce(tensor([[log3]]), tensor([[0.0]])).item() == pytest.approx(1.3862943611)  # ln 4
    assert bce(tensor([[log3]]), tensor([[0.5]])).item() == pytest.approx(0.8369882168)
    both = bce(tensor([[0.0, log3]]), tensor([[1.0, 0.0]])).item()
    assert both == pytest.approx((0.6931471806 + 1.3862943611) / 2)


def test_the_gradient_of_bce_is_sigmoid_minus_target_over_the_judged_count() -> None:
    z = tensor([[0.3, -1.2], [2.0, 0.0]]).requires_grad_()
    bce(z, tensor([[1.0, 0.25], [NAN, 0.0]])).backward()
    expected = tensor([[0.5744425168 - 1, 0.2314752165 - 0.25], [0.0, 0.5]]) / 3
    torch.testing.assert_close(z.grad, expected)


@pytest.mark.parametrize(
    ("balance", "row", "expected"),
    [
        # n = (2, 1), N = 4: nu = (0, 0.05 ln 3 / 5); every u below is 0, so log terms are ln 2.
        # Row (1, 1): r = (1/3, 2/3), weights 0.1 + sigmoid(4/3), 0.1 + sigmoid(14/3).
        (PLAIN, 0, (0.8913914727 + 1.0906840407) * 0.6931471806 / 2),
        # Row (1, 0): r = (1, 2), weights 0.1 + sigmoid(8), 0.1 + sigmoid(18).
        (PLAIN, 1, (1.0996646499 * 0.6931471806 + 1.0999999848 * 0.1386294361) / 2),
        # Row (0, 0): no positive, so the largest weight, 1.1; negatives count 1/5.
        (PLAIN, 2, 1.1 * 0.1386294361),
        # The focal factor of an undecided entry is (1/2)^2.
        (PAPER, 0, (0.8913914727 + 1.0906840407) * 0.6931471806 / 2 / 4),
        (PAPER, 2, 1.1 * 0.1386294361 / 4),
        # The public code's constants: 10 + sigmoid(0.2 (r - 0.1)), nu_1 = 0.1 ln 3 / 5.
        (REFERENCE, 0, (10.5116645498 + 10.5283030451) * 0.6931471806 / 2),
        (REFERENCE, 2, 11 * 0.1386294361),
        # Ours: 0.5 + sigmoid(10 (r - 0.2)); with lambda = 1 negatives cost ln 2 as well.
        (EVEN, 0, (1.2913914727 + 1.4906840407) * 0.6931471806 / 2),
        (EVEN, 1, (1.4996646499 + 1.4999999848) * 0.6931471806 / 2),
        (EVEN, 2, 1.5 * 0.6931471806),
    ],
)
def test_the_balanced_loss_has_the_values_computed_by_hand(
    balance: Balance, row: int, expected: float
) -> None:
    targets = tensor([[1, 1], [1, 0], [0, 0], [0, 0]])
    loss = DistributionBalancedLoss(balance, targets)
    undecided = tensor([[0.0, balance.kappa * 1.0986122887 / balance.lam]])
    assert loss(undecided, targets[row : row + 1]).item() == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_the_balanced_loss_agrees_with_the_formula_in_numpy(
    balance: Balance, soft: bool, missing: bool
) -> None:
    z, y = random_case(1, soft, missing)
    expected = np.nanmean(numpy_loss(balance, z.numpy(), y.numpy()))
    assert DistributionBalancedLoss(balance, y)(z, y).item() == pytest.approx(expected)


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("soft", [False, True])
def test_the_gradient_agrees_with_differences_of_the_numpy_formula(
    balance: Balance, soft: bool
) -> None:
    z, y = random_case(2, soft, missing=True)
    z.requires_grad_()
    DistributionBalancedLoss(balance, y)(z, y).backward()
    assert z.grad is not None
    values = z.detach().numpy()
    for row, column in [(0, 0), (1, 3), (5, 2), (11, 1)]:
        step = np.zeros_like(values)
        step[row, column] = 1e-6
        ahead, behind = (
            np.nanmean(numpy_loss(balance, values + sign * step, y.numpy())) for sign in (1, -1)
        )
        assert z.grad[row, column].item() == pytest.approx((ahead - behind) / 2e-6, abs=1e-7)


@settings(deadline=None)
@given(st.floats(0.02, 0.98), st.sampled_from([1.0, 2.0, 5.0]))
def test_the_two_sided_probability_is_where_the_loss_is_flat(share: float, lam: float) -> None:
    z = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    p = torch.sigmoid(two_sided_logit(z, lam))
    best = z[(p - share).abs().argmin()].reshape(1, 1).clone().requires_grad_()
    balance = Balance(alpha=1.0, beta=0.0, mu=0.0, lam=lam, kappa=0.0)
    target = tensor([[share]])
    DistributionBalancedLoss(balance, target)(best, target).backward()
    assert best.grad is not None
    assert abs(best.grad.item()) < 5e-3


def test_the_even_loss_aims_below_the_share_of_positives() -> None:
    # One label, n = 2 of N = 4, so nu = 0; r = 1 for positives, infinite for negatives: weights
    # 0.5 + sigmoid(8) and 1.5. Half positives do not give 1/2: 1.4996646499 / 2.9996646499.
    targets = tensor([[1], [1], [0], [0]])
    constant = tensor([[np.log(1.4996646499 / 1.5)]]).requires_grad_()
    DistributionBalancedLoss(EVEN, targets)(constant.expand(4, 1), targets).backward()
    assert constant.grad is not None
    assert abs(constant.grad.item()) < 1e-9


def test_the_two_sided_probability_has_the_value_computed_by_hand() -> None:
    p = torch.sigmoid(two_sided_logit(tensor([1.0, 0.0]), 5.0))
    # sigmoid(5) / (sigmoid(5) + sigmoid(-1)) = 0.9933071491 / (0.9933071491 + 0.2689414214)
    torch.testing.assert_close(p, tensor([0.7869346596, 0.5]), atol=1e-9, rtol=0)
    z = tensor([-3.0, 0.2, 40.0])
    torch.testing.assert_close(two_sided_logit(z, 1.0), z)


def loss_of(balance: Balance | None, z: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    if balance is None:
        return bce(z, y, weights)
    loss: Tensor = DistributionBalancedLoss(balance, y)(z, y, weights)
    return loss


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([None, *BALANCES]),
    st.permutations(range(4)),
    st.permutations(range(12)),
    st.booleans(),
    st.integers(0, 100),
)
def test_permuting_classes_or_rows_changes_nothing(
    balance: Balance | None, classes: list[int], rows: list[int], soft: bool, seed: int
) -> None:
    z, y = random_case(seed, soft, missing=True)
    weights = torch.linspace(0.5, 1.5, 12, dtype=torch.float64)
    plain = loss_of(balance, z.requires_grad_(), y, weights)
    plain.backward()
    moved_z = z.detach()[rows][:, classes].requires_grad_()
    moved = loss_of(balance, moved_z, y[rows][:, classes], weights[rows])
    moved.backward()
    torch.testing.assert_close(moved, plain)
    assert z.grad is not None
    torch.testing.assert_close(moved_z.grad, z.grad[rows][:, classes])


@pytest.mark.parametrize("balance", [None, *BALANCES])
@pytest.mark.parametrize("soft", [False, True])
def test_a_row_of_weight_two_counts_as_the_row_twice(balance: Balance | None, soft: bool) -> None:
    z, y = random_case(6, soft, missing=False)
    times = torch.tensor([1, 2] * 6)
    repeated = [row for row, count in enumerate(times.tolist()) for _ in range(count)]
    weights = times / times.double().mean()
    # The same counts balance both: those of `y`.
    loss = bce if balance is None else DistributionBalancedLoss(balance, y)
    torch.testing.assert_close(loss(z, y, weights), loss(z[repeated], y[repeated]))
    torch.testing.assert_close(loss(z, y, torch.ones(12)), loss(z, y))


@pytest.mark.parametrize("balance", [None, *BALANCES])
def test_a_masked_target_stays_without_influence_whatever_the_weights(
    balance: Balance | None,
) -> None:
    z, y = random_case(7, soft=True, missing=True)
    z.requires_grad_()
    loss_of(balance, z, y, torch.linspace(0.1, 9, 12, dtype=torch.float64)).backward()
    assert z.grad is not None
    assert (z.grad[y.isnan()] == 0).all() and (z.grad[~y.isnan()] != 0).any()


@pytest.mark.parametrize("balance", [None, *BALANCES])
def test_masking_rows_equals_dropping_them(balance: Balance | None) -> None:
    z, y = random_case(4, soft=True, missing=False)
    masked = y.clone()
    masked[8:] = NAN
    if balance is None:
        torch.testing.assert_close(bce(z, masked), bce(z[:8], y[:8]))
    else:
        dropped = DistributionBalancedLoss(balance, y[:8])(z[:8], y[:8])
        torch.testing.assert_close(DistributionBalancedLoss(balance, masked)(z, masked), dropped)


@pytest.mark.parametrize("balance", BALANCES)
def test_labels_that_nobody_everybody_or_no_judge_has_stay_finite(balance: Balance) -> None:
    targets = torch.tensor([[0.0, 1.0, NAN, 1.0], [0.0, 1.0, NAN, 0.0], [0.0, 1.0, NAN, NAN]])
    logits = torch.tensor([[-200.0, 200.0, 0.0, 90.0]] * 3, requires_grad=True)
    loss = DistributionBalancedLoss(balance, targets)(logits, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    assert (logits.grad[:, 2] == 0).all()


@pytest.mark.parametrize("balance", BALANCES)
def test_the_loss_leaves_its_inputs_as_they_were(balance: Balance) -> None:
    z, y = random_case(5, soft=False, missing=True)
    before_z, before_y = z.clone(), y.clone()
    loss = DistributionBalancedLoss(balance, y)
    first, second = loss(z, y), loss(z, y)
    assert torch.equal(first, second)
    assert torch.equal(z, before_z)
    assert torch.equal(y.nan_to_num(9), before_y.nan_to_num(9))


def test_nothing_judged_costs_nothing() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    loss = bce(z, torch.full((2, 3), NAN))
    loss.backward()
    assert loss.item() == 0
