import pytest
import torch
from torch import nn

from memeapp.learn import linear
from memeapp.learn.linear import Linear


def both(width_in=7, width_out=5):
    torch.manual_seed(0)
    ours, plain = Linear(width_in, width_out), nn.Linear(width_in, width_out)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_answers_and_gradients_are_those_of_the_plain_layer(rows):
    ours, plain = both()
    x = torch.randn(rows, 7)
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    for layer, given in zip((ours, plain), inputs, strict=True):
        layer(given).square().sum().backward()
    for mine, theirs in [
        (ours(inputs[0]), plain(inputs[1])),
        (inputs[0].grad, inputs[1].grad),
        (ours.weight.grad, plain.weight.grad),
        (ours.bias.grad, plain.bias.grad),
    ]:
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_an_input_without_a_gradient_gets_none():
    ours, _ = both()
    x = torch.randn(4, 7)
    ours(x).sum().backward()
    assert x.grad is None
    assert ours.weight.grad is not None


@pytest.mark.parametrize("x", [torch.randn(2, 7).double(), torch.randn(2, 3, 7), torch.empty(0, 7)])
def test_other_inputs_go_the_plain_way(x):
    ours, plain = both()
    ours, plain = ours.to(x.dtype), plain.to(x.dtype)
    assert torch.equal(ours(x), plain(x))


def test_without_onednn_the_plain_way_is_taken(monkeypatch):
    monkeypatch.setattr(linear, "_product", None)
    ours, plain = both()
    x = torch.randn(4, 7)
    assert torch.equal(ours(x), plain(x))


def test_an_operator_that_computes_something_else_is_not_used(monkeypatch):
    monkeypatch.setattr(
        torch.ops.mkldnn, "_linear_pointwise", lambda *_: torch.zeros(2, 4), raising=False
    )
    assert linear._find() is None
