"""Losses on logits against hard, soft or missing (NaN) targets.

The distribution-balanced loss is Wu et al., "Distribution-Balanced Loss for Multi-Label
Classification in Long-Tailed Datasets", ECCV 2020, equations 3 to 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Balance:
    """Constants of the distribution-balanced loss; the names are the paper's."""

    alpha: float
    beta: float
    mu: float
    lam: float
    """λ: how much steeper, and how much lighter, the negative side is."""
    kappa: float
    gamma: float = 0.0
    """Focusing exponent; 0 is the loss without the focal term."""


REFERENCE = Balance(alpha=10.0, beta=0.2, mu=0.1, lam=5.0, kappa=0.1)
"""What SemiMemes' public code ran: weights lie in [10.5, 11], so in effect only λ acts."""
PAPER = Balance(alpha=0.1, beta=10.0, mu=0.2, lam=5.0, kappa=0.05, gamma=2.0)
"""What the loss's own publication recommends, with the focal term."""

EVEN = Balance(alpha=0.5, beta=10.0, mu=0.2, lam=1.0, kappa=0.05)
"""Ours: the paper's re-balancing, softened by α, with both sides equally steep (λ = 1). σ(z) is
still no probability: weights depend on a row's labels, ν shifts logits. Calibration mends that."""


def masked_mean(values: Tensor, judged: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of `values` where `judged`; 0 when nothing is. Masking a row equals dropping it.

    `weights` (rows,) multiply the values; weights of mean 1 keep the scale.
    """
    if weights is not None:
        values = values * weights[:, None]
    return torch.where(judged, values, 0.0).sum() / judged.sum().clamp_min(1)


def bce(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of (N, C) logits, mean over the targets that are not NaN."""
    judged = ~targets.isnan()
    values = functional.binary_cross_entropy_with_logits(
        logits, torch.where(judged, targets, 0.0), reduction="none"
    )
    return masked_mean(values, judged, weights)


class DistributionBalancedLoss(nn.Module):
    """Distribution-balanced (focal) loss, for one training set.

    With n_i positives of label i among N_i judged rows, r̂_i = α + σ(β (r_i − μ)) where
    r_i = (1/n_i) / Σ_j (y_j/n_j), ν_i = κ ln(N_i/n_i − 1)/λ and u = z − ν, a row and label cost

        r̂_i [(1 − σ(u))^γ y ln(1 + e^−u) + (1/λ) σ(λu)^γ (1 − y) ln(1 + e^λu)].

    A row without positives has r_i = ∞ and so the largest weight, α + 1. Counts are kept half a row
    away from 0 and N_i, which leaves ν finite for a label that all rows have or none.
    """

    frequency: Tensor
    shift: Tensor

    def __init__(self, balance: Balance, targets: Tensor) -> None:
        """`targets` (N, C), NaN where not judged, is the set whose counts balance the loss."""
        super().__init__()
        self.balance = balance
        judged = (~targets.isnan()).sum(dim=0).clamp_min(1)
        positives = torch.minimum(targets.nansum(dim=0).clamp_min(0.5), judged - 0.5)
        self.register_buffer("frequency", 1 / positives)
        self.register_buffer("shift", balance.kappa * (judged / positives - 1).log() / balance.lam)

    def forward(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean over the targets that are not NaN; `logits` and `targets` (rows, C)."""
        b = self.balance
        judged = ~targets.isnan()
        y = torch.where(judged, targets, 0.0)
        row = (y * self.frequency).sum(dim=1, keepdim=True)
        rarity = self.frequency / row.clamp_min(torch.finfo(row.dtype).tiny ** 0.5)
        weight = b.alpha + torch.sigmoid(b.beta * (rarity - b.mu))
        u = logits - self.shift
        positive = torch.sigmoid(-u) ** b.gamma * y * functional.softplus(-u)
        negative = torch.sigmoid(b.lam * u) ** b.gamma * (1 - y) * functional.softplus(b.lam * u)
        return masked_mean(weight * (positive + negative / b.lam), judged, weights)


def two_sided_logit(logits: Tensor, lam: float) -> Tensor:
    """Log-odds of the probability p = σ(λz) / (σ(λz) + σ(−z)) that a loss with this λ aims at.

    With λ = 1 it is the logit itself. Undoes λ alone: re-balancing weights and ν are left to the
    calibration.
    """
    return functional.logsigmoid(lam * logits) - functional.logsigmoid(-logits)
