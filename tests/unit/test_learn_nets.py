"""Shapes and wiring of the networks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from memeapp.learn.nets import CromAE, RawNCook, SemiMemes
from memeapp.learn.recipe import BEST, REFERENCE, Recipe


def test_an_autoencoder_maps_one_width_to_the_other() -> None:
    network = CromAE(3, 5, hidden=4)
    features = torch.randn(7, 3)
    assert network(features).shape == (7, 5)
    assert network.cook(features, activated=False).shape == (7, 4)


def test_cooked_features_are_taken_before_or_after_the_prelu() -> None:
    network = CromAE(3, 5, hidden=4)
    features = torch.randn(7, 3)
    before = features @ network.encoder.weight.T + network.encoder.bias
    torch.testing.assert_close(network.cook(features, activated=False), before)
    # PReLU starts with a slope of 1/4 below zero.
    after = torch.where(before > 0, before, before / 4)
    torch.testing.assert_close(network.cook(features, activated=True), after)


def test_the_classifier_joins_sources_of_any_width() -> None:
    network = RawNCook((3, 1, 6), labels=4, branch=2)
    assert network(tuple(torch.randn(5, width) for width in (3, 1, 6))).shape == (5, 4)
    assert network.output.in_features == 6


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    network = RawNCook((8,), labels=2, dropout=0.5)
    source = (torch.randn(3, 8),)
    assert not torch.equal(network(source), network(source))
    network.eval()
    assert torch.equal(network(source), network(source))


@pytest.mark.parametrize("recipe", [BEST, REFERENCE])
def test_the_whole_network_takes_raw_features_of_unequal_widths(recipe: Recipe) -> None:
    network = SemiMemes(3, 9, 5, recipe).eval()
    image, text = torch.randn(4, 3), torch.randn(4, 9)
    assert network(image, text).shape == (4, 5)
    assert [source.shape[1] for source in network.sources(image, text)][:2] == [3, 9]


def test_normalised_inputs_do_not_depend_on_the_encoders_scale() -> None:
    image, text = torch.randn(4, 3), torch.randn(4, 9)
    network = SemiMemes(3, 9, 5, BEST).eval()
    torch.testing.assert_close(network(7 * image, 0.1 * text), network(image, text))
    raw = SemiMemes(3, 9, 5, replace(BEST, normalise=False)).eval()
    assert not torch.allclose(raw(7 * image, 0.1 * text), raw(image, text))


@pytest.mark.parametrize("interaction", [False, True])
@pytest.mark.parametrize("members", [1, 2, 5])
def test_heads_that_become_one_answer_with_the_mean_of_their_logits(
    interaction: bool, members: int
) -> None:
    torch.manual_seed(0)
    widths = (3, 1, 6)
    heads = [RawNCook(widths, 4, 2, interaction=interaction).double() for _ in range(members)]
    merged = RawNCook(widths, 4, 2 * members, interaction=interaction).double()
    merged.become_average(heads)
    sources = tuple(torch.randn(5, width, dtype=torch.float64) for width in widths)
    for head in (merged, *heads):
        head.eval()
    expected = torch.stack([head(sources) for head in heads]).mean(dim=0)
    torch.testing.assert_close(merged(sources), expected, atol=1e-12, rtol=0)


def test_a_merged_head_does_not_follow_the_heads_it_came_from() -> None:
    torch.manual_seed(0)
    heads = [RawNCook((3,), 1, 2).eval() for _ in range(2)]
    merged = RawNCook((3,), 1, 4).eval()
    merged.become_average(heads)
    source = (torch.randn(5, 3),)
    before = merged(source)
    with torch.no_grad():
        for parameter in heads[0].parameters():
            parameter += 1
    assert torch.equal(merged(source), before)


def test_with_interaction_the_first_two_branches_are_also_multiplied() -> None:
    torch.manual_seed(0)
    network = RawNCook((3, 4, 2), labels=1, branch=2, interaction=True).eval()
    sources = tuple(torch.randn(6, width) for width in (3, 4, 2))
    outputs = [branch(source) for branch, source in zip(network.branches, sources, strict=True)]
    joined = torch.cat([*outputs, outputs[0] * outputs[1]], dim=1)
    expected = joined @ network.output.weight.T + network.output.bias
    torch.testing.assert_close(network(sources), expected)


def test_without_cooking_the_heads_see_the_prepared_features_alone() -> None:
    network = SemiMemes(3, 9, 5, replace(BEST, cook=False)).eval()
    image, text = torch.randn(4, 3), torch.randn(4, 9)
    sources = network.sources(image, text)
    assert [source.shape[1] for source in sources] == [3, 9]
    torch.testing.assert_close(sources[0], image / image.norm(dim=1, keepdim=True))
    assert network(image, text).shape == (4, 5)


def test_a_recipe_with_folds_has_a_head_as_wide_as_all_of_theirs() -> None:
    network = SemiMemes(3, 9, 5, replace(BEST, folds=4, branch=3))
    assert network.classifier.branches[0][0].out_features == 12
    assert network.head().branches[0][0].out_features == 3
    assert SemiMemes(3, 9, 5, replace(BEST, folds=0, branch=3)).classifier.output.in_features == 12


def test_a_rescaled_autoencoder_does_the_same_to_smaller_features():
    torch.manual_seed(0)
    autoencoder = CromAE(6, 9, hidden=5)
    x = torch.randn(4, 6)
    hidden, answer = autoencoder.cook(x, activated=True), autoencoder(x)
    autoencoder.rescale(given=2.0, wanted=3.0)
    assert torch.allclose(autoencoder.cook(x / 2, activated=True), hidden, atol=1e-6)
    assert torch.allclose(autoencoder(x / 2), answer / 3, atol=1e-6)
