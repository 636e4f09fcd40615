"""The `reference` and `paper` recipes against the published formulas in float64 NumPy.

Nothing here calls our losses or networks to get an expected value. Gradients are those of the
NumPy formulas, by central differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from learning import NAN, make_checkpoint, memes, shortened
from numpy.typing import NDArray
from torch.nn import functional

from memeapp.learn.losses import DistributionBalancedLoss
from memeapp.learn.nets import SemiMemes
from memeapp.learn.pool import Pool
from memeapp.learn.recipe import PAPER, RAW_N_COOK, REFERENCE, Recipe
from memeapp.learn.train import fit

Array = NDArray[np.float64]
State = dict[str, Array]
ROWS, IMAGE, TEXT, LABELS = 10, 3, 5, 4
EXACT = 1e-6


@dataclass(frozen=True)
class Published:
    """Constants of the distribution-balanced (focal) loss."""

    alpha: float
    beta: float
    mu: float
    lam: float
    kappa: float
    gamma: float


CASES = [
    pytest.param(REFERENCE, Published(10, 0.2, 0.1, 5, 0.1, 0), id="reference"),
    pytest.param(PAPER, Published(0.1, 10, 0.2, 5, 0.05, 2), id="paper"),
]
SOFT = pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def linear(x: Array, state: State, name: str) -> Array:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def crom_ae(x: Array, state: State, name: str) -> Array:
    hidden = linear(x, state, f"{name}.encoder")
    activated = np.where(hidden > 0, hidden, state[f"{name}.activation.weight"] * hidden)
    return linear(activated, state, f"{name}.decoder")


def raw_n_cook(image: Array, text: Array, state: State) -> Array:
    sources = (
        image,
        text,
        linear(image, state, "image_to_text.encoder"),  # taken before the PReLU
        linear(text, state, "text_to_image.encoder"),
    )
    branches = [
        np.maximum(linear(source, state, f"classifier.branches.{number}.0"), 0)
        for number, source in enumerate(sources)
    ]
    return linear(np.concatenate(branches, axis=1), state, "classifier.output")


def db_loss(p: Published, z: Array, y: Array, whole: Array) -> float:
    """Mean over rows and classes; `whole` (N, C) is the training set that the n_i are of."""
    n, rows, classes = whole.sum(axis=0), len(whole), whole.shape[1]
    with np.errstate(divide="ignore"):  # A row without a positive has P_I = 0, so r = infinity.
        r = (1 / (classes * n)) / ((y / n).sum(axis=1, keepdims=True) / classes)
    weight = p.alpha + sigmoid(p.beta * (r - p.mu))
    nu = p.kappa * np.log(rows / n - 1) / p.lam
    plus, minus = sigmoid(z - nu), sigmoid(p.lam * (z - nu))
    positive = (1 - plus) ** p.gamma * y * np.log(plus)
    negative = minus**p.gamma * (1 - y) * np.log(1 - minus) / p.lam
    return float(-(weight * (positive + negative)).mean())


def slopes(function: Callable[[], float], values: Array) -> Array:
    """Central differences of `function` by every entry of `values`, which it reads."""
    found = np.empty_like(values)
    for at in np.ndindex(values.shape):
        before = values[at]
        values[at] = before + 1e-5
        ahead = function()
        values[at] = before - 1e-5
        found[at] = (ahead - function()) / 2e-5
        values[at] = before
    return found


def small(recipe: Recipe) -> tuple[SemiMemes, State, Array, Array]:
    torch.manual_seed(0)
    recipe = replace(recipe, hidden=6, branch=4)
    network = SemiMemes(IMAGE, TEXT, LABELS, recipe).double().eval()
    rng = np.random.default_rng(0)
    for name, value in network.named_parameters():
        if name.endswith("activation.weight"):  # Every channel its own slope.
            value.data = torch.tensor(rng.uniform(0.1, 0.9, value.shape))
    state = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    return network, state, rng.normal(size=(ROWS, IMAGE)), rng.normal(size=(ROWS, TEXT))


def targets(soft: bool) -> Array:
    rng = np.random.default_rng(1)
    y = rng.random((ROWS, LABELS)) if soft else (rng.random((ROWS, LABELS)) < 0.4).astype(float)
    y[0], y[1] = 1, 0  # All labels, none: the row without a positive gets the largest weight.
    return y


def test_the_autoencoders_reconstructions_agree() -> None:
    network, state, image, text = small(REFERENCE)
    for name, given in (("image_to_text", image), ("text_to_image", text)):
        ours = getattr(network, name)(torch.tensor(given)).detach().numpy()
        np.testing.assert_allclose(ours, crom_ae(given, state, name), atol=EXACT)


def test_the_autoencoders_loss_and_gradients_agree() -> None:
    network, state, image, text = small(REFERENCE)
    for name, given, wanted in (("image_to_text", image, text), ("text_to_image", text, image)):

        def loss(name: str = name, given: Array = given, wanted: Array = wanted) -> float:
            return float(((crom_ae(given, state, name) - wanted) ** 2).mean())

        ours = functional.mse_loss(
            getattr(network, name)(torch.tensor(given)), torch.tensor(wanted)
        )
        assert ours.item() == pytest.approx(loss(), abs=EXACT)
        ours.backward()
        for parameter, value in getattr(network, name).named_parameters():
            expected = slopes(loss, state[f"{name}.{parameter}"])
            np.testing.assert_allclose(value.grad, expected, atol=EXACT)


def test_the_classifiers_logits_agree() -> None:
    network, state, image, text = small(REFERENCE)
    ours = network(torch.tensor(image), torch.tensor(text)).detach().numpy()
    np.testing.assert_allclose(ours, raw_n_cook(image, text, state), atol=EXACT)


@SOFT
@pytest.mark.parametrize(("recipe", "published"), CASES)
def test_the_loss_and_its_gradients_agree(recipe: Recipe, published: Published, soft: bool) -> None:
    network, state, image, text = small(recipe)
    y = targets(soft)
    logits = network(torch.tensor(image), torch.tensor(text))
    logits.retain_grad()
    assert recipe.loss is not None
    ours = DistributionBalancedLoss(recipe.loss, torch.tensor(y))(logits, torch.tensor(y))
    z = raw_n_cook(image, text, state)
    assert ours.item() == pytest.approx(db_loss(published, z, y, y), abs=EXACT)
    ours.backward()
    expected = slopes(lambda: db_loss(published, z, y, y), z)
    np.testing.assert_allclose(logits.grad, expected, atol=EXACT)
    for name, value in network.classifier.named_parameters():
        expected = slopes(
            lambda: db_loss(published, raw_n_cook(image, text, state), y, y),
            state[f"classifier.{name}"],
        )
        np.testing.assert_allclose(value.grad, expected, atol=EXACT)


@SOFT
@pytest.mark.parametrize(("recipe", "published"), CASES)
def test_a_batch_is_balanced_by_the_counts_of_the_whole_set(
    recipe: Recipe, published: Published, soft: bool
) -> None:
    y = targets(soft)
    z = np.random.default_rng(2).normal(scale=2, size=(4, LABELS))
    assert recipe.loss is not None
    loss = DistributionBalancedLoss(recipe.loss, torch.tensor(y))
    ours = loss(torch.tensor(z), torch.tensor(y[3:7])).item()
    assert ours == pytest.approx(db_loss(published, z, y[3:7], y), abs=EXACT)


def test_the_references_weights_lie_in_the_narrow_range_that_is_published() -> None:
    # Without ν an undecided positive costs its weight times ln 2.
    y = targets(soft=False)
    assert REFERENCE.loss is not None
    loss = DistributionBalancedLoss(replace(REFERENCE.loss, kappa=0.0), torch.tensor(y))
    for row in y[y.any(axis=1)]:
        positives = torch.tensor(np.where(row == 1, 1, NAN)[None])
        weight = loss(torch.zeros(1, LABELS), positives).item() / np.log(2)
        assert 10.49 < weight < 11


@pytest.mark.parametrize(("recipe", "published"), CASES)
def test_probabilities_have_the_two_sided_form_and_yes_starts_at_logit_zero(
    recipe: Recipe, published: Published
) -> None:
    recipe = replace(recipe, hidden=6, branch=4)
    model = make_checkpoint(recipe=recipe, pool=Pool.identity(1, 2), thresholds=np.full(2, 0.5))
    rng = np.random.default_rng(3)
    image, text = rng.normal(size=(40, 3)), rng.normal(scale=5, size=(40, 7))
    state = {name: value.double().numpy() for name, value in model.network.state_dict().items()}
    z = raw_n_cook(image, text, state)
    p = model.predict(image, text)
    two_sided = sigmoid(published.lam * z) / (sigmoid(published.lam * z) + sigmoid(-z))
    np.testing.assert_allclose(p, two_sided, atol=EXACT)
    assert (z > 0).any() and (z < 0).any()
    np.testing.assert_array_equal(model.decide(p), z > 0)


@pytest.mark.parametrize("recipe", [REFERENCE, PAPER], ids=["reference", "paper"])
def test_what_is_trained_is_the_published_network_and_its_last_epoch(recipe: Recipe) -> None:
    features = memes(60, unlabelled=40)
    model = fit(features, shortened(recipe, epochs=5), encoder="made-up")
    assert model.epochs == 5 and model.recipe.heads == (RAW_N_COOK,)
    assert model.thresholds.tolist() == [0.5] * 5
    state = {name: value.double().numpy() for name, value in model.network.state_dict().items()}
    z = raw_n_cook(features.image.astype(float), features.text.astype(float), state)
    p = model.predict(features.image, features.text)
    np.testing.assert_allclose(p, sigmoid(5 * z) / (sigmoid(5 * z) + sigmoid(-z)), atol=1e-5)
    assert not model.unsure(p).any()


def test_the_schedule_is_adam_in_batches_of_40_with_a_rate_that_decays_every_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[float, float]] = []
    step = torch.optim.Adam.step

    def recorded(adam: torch.optim.Adam) -> None:
        group = adam.param_groups[0]
        assert (group["betas"], group["eps"]) == ((0.9, 0.999), 1e-8)
        seen.append((group["lr"], group["weight_decay"]))
        step(adam)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    recipe = replace(
        REFERENCE,
        hidden=4,
        branch=4,
        autoencoder=replace(REFERENCE.autoencoder, epochs=3),
        classifier=replace(REFERENCE.classifier, epochs=2),
    )
    fit(memes(320, unlabelled=330), recipe, encoder="made-up")
    autoencoders = [(2e-4 * 0.95**epoch, 1e-4) for epoch in range(3) for _ in range(2 * 9)]
    classifier = [(1e-4 * 0.93**epoch, 0.0) for epoch in range(2) for _ in range(8)]
    np.testing.assert_allclose(seen, autoencoders + classifier, rtol=1e-12)
