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
