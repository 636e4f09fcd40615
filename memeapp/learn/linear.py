"""`Linear`: PyTorch's, multiplied through oneDNN where that is there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def _find() -> Any:
    """oneDNN's product x · weightᵀ + bias as PyTorch's compiler calls it; None where it is not so.

    PyTorch itself multiplies single precision through MKL, which leaves half of what an AMD
    processor with AVX-512 can do unused. The call is not documented, so it is tried first.
    """
    try:
        product = torch.ops.mkldnn._linear_pointwise
        left, right, bias = torch.eye(2, 3), torch.ones(4, 3), torch.ones(4)
        answer = product(left, right, bias, "none", [], "")
        return product if torch.equal(answer, torch.full((2, 4), 2.0)) else None
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return None


_product = _find()


class _Product(torch.autograd.Function):
    """x · weightᵀ + bias and its derivatives, each one product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        answer: Tensor = _product(x, weight, bias, "none", [], "")
        return answer

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad[0]
        to_x = _product(grad, weight.t(), None, "none", [], "") if needed else None
        return to_x, _product(grad.t(), x.t(), None, "none", [], ""), grad.sum(dim=0)


class Linear(nn.Linear):
    """A linear layer with a bias: the same parameters, names and mathematics as `nn.Linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, width in) to (N, width out)."""
        plain = _product is None or x.device.type != "cpu" or x.dtype != torch.float32
        if plain or x.ndim != 2 or not len(x):
            return functional.linear(x, self.weight, self.bias)
        answer: Tensor = _Product.apply(x, self.weight, self.bias)
        return answer
