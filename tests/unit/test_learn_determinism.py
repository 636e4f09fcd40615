"""The same data, recipe and seed give the same model; how rows are dealt into folds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import NAN, QUICK, memes, shortened
from threadpoolctl import threadpool_info, threadpool_limits

from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet
from memeapp.learn.loops import deal_folds
from memeapp.learn.metrics import label_auc
from memeapp.learn.recipe import Recipe
from memeapp.learn.train import REFERENCE, fit, learn, pretrain


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def assert_same(first: Checkpoint, second: Checkpoint, features: FeatureSet) -> None:
    mine, theirs = first.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    assert (first.kernel is None) == (second.kernel is None)
    if first.kernel is not None and second.kernel is not None:
        assert first.kernel.shape == second.kernel.shape
        assert first.kernel.reach == second.kernel.reach
        np.testing.assert_array_equal(first.kernel.weights, second.kernel.weights)
        for own, their in zip(first.kernel.landmarks, second.kernel.landmarks, strict=True):
            np.testing.assert_array_equal(own, their)
    assert (first.epochs, first.pool.shares) == (second.epochs, second.pool.shares)
    assert first.evidence == second.evidence
    np.testing.assert_array_equal(first.thresholds, second.thresholds)
    np.testing.assert_array_equal(
        first.predict(features.image, features.text), second.predict(features.image, features.text)
    )


def wide(rows: int) -> FeatureSet:
    """Wide enough for libraries to share out the work of one product over several threads."""
    features, rng = memes(rows, unlabelled=60), np.random.default_rng(9)
    text = np.hstack([features.text, rng.normal(scale=0.1, size=(len(features), 150))])
    return replace(features, text=text, image=rng.normal(size=(len(features), 130)))


def test_one_and_two_threads_give_the_same_model() -> None:
    features = wide(300)
    recipe = replace(shortened(QUICK, epochs=4), hidden=128, branch=64)
    with threads(1):
        first = fit(features, recipe, encoder="made-up", seed=5)
        alone = first.predict(features.image, features.text)
    with threads(2):
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}
        second = fit(features, recipe, encoder="made-up", seed=5)
        assert torch.get_num_threads() == 2
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}
        together = second.predict(features.image, features.text)
    assert_same(first, second, features)
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize("recipe", [QUICK, shortened(REFERENCE, epochs=3)], ids=["best", "ref"])
def test_the_seed_alone_decides(recipe: Recipe) -> None:
    features = memes(50, unlabelled=20)
    recipe = replace(recipe, classifier=replace(recipe.classifier, epochs=4))
    first, second, other = (
        fit(features, recipe, encoder="made-up", seed=seed) for seed in (5, 5, 6)
    )
    assert_same(first, second, features)
    weights = first.network.classifier.output.weight, other.network.classifier.output.weight
    assert not torch.equal(*weights)


@pytest.mark.parametrize("recipe", [QUICK, shortened(REFERENCE, epochs=3)], ids=["best", "ref"])
def test_autoencoders_trained_beforehand_give_the_model_of_one_run(recipe: Recipe) -> None:
    features = memes(50, unlabelled=20)
    recipe = replace(recipe, classifier=replace(recipe.classifier, epochs=4))
    autoencoders = pretrain(features, recipe, seed=3)
    kept = {name: value.clone() for name, value in autoencoders.items()}
    apart = fit(features, recipe, encoder="made-up", seed=3, autoencoders=autoencoders)
    assert_same(apart, fit(features, recipe, encoder="made-up", seed=3), features)
    # They may be shared: what is fitted on them leaves them as they were.
    assert all(torch.equal(value, kept[name]) for name, value in autoencoders.items())
    assert not any(name.startswith("classifier") for name in autoencoders)


def test_the_autoencoders_are_those_that_were_handed_over() -> None:
    features = memes(40)
    other = pretrain(features, QUICK, seed=8)
    model = fit(features, QUICK, encoder="made-up", seed=3, autoencoders=other)
    state = model.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in other.items())


def test_training_leaves_the_random_state_of_the_process_alone() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before, numbers = torch.get_rng_state(), np.random.get_state()[1]
    fit(memes(30), shortened(QUICK, epochs=1), encoder="made-up")
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)


def test_out_of_fold_no_head_has_seen_a_memes_family() -> None:
    # Coin flips, each of them on three memes that are nearly the same.
    rng = np.random.default_rng(0)
    features = memes(120)
    flips = np.tile(rng.integers(0, 2, size=(40, 5)), (3, 1))
    noise = rng.normal(scale=0.01, size=features.text.shape)
    text = np.tile(features.text[:40], (3, 1)) + noise
    strangers = replace(features, text=text, targets=flips)
    families = replace(strangers, groups=np.tile(np.arange(40), 3))
    for rows, told in ((families, True), (strangers, False)):
        learned = learn(rows, replace(QUICK, cook=False))
        for logits in learned.heads:
            aucs = [label_auc(flips[:, column], logits[:, column]) for column in range(5)]
            assert (np.mean(aucs) < 0.6) if told else (np.mean(aucs) > 0.7)


SAID = st.sampled_from([0.0, 1.0, 0.3, NAN])


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(SAID, SAID), min_size=1, max_size=4), min_size=1),
    st.integers(2, 6),
    st.integers(0, 5),
)
def test_a_family_stays_in_one_fold_and_folds_are_alike(
    families: list[list[tuple[float, float]]], folds: int, seed: int
) -> None:
    sizes = [len(rows) for rows in families]
    targets = np.array([said for rows in families for said in rows], dtype=np.float32)
    # Numbered in any order, and their rows scattered.
    rng = np.random.default_rng(seed)
    groups = np.repeat(rng.permutation(10 * len(families))[: len(families)], sizes)
    order = rng.permutation(len(groups))
    targets, groups = targets[order], groups[order]
    dealt = deal_folds(targets, groups, folds, seed)
    assert dealt.shape == groups.shape and set(dealt.tolist()) <= set(range(folds))
    numbers, first = np.unique(groups, return_index=True)
    for number in numbers:
        assert len(set(dealt[groups == number].tolist())) == 1
    assert np.ptp(np.bincount(dealt[first], minlength=folds)) <= 1
    positive = np.nan_to_num(targets[:, int(np.argmin(np.nansum(targets, axis=0)))]) > 0.5
    largest = max(int(positive[groups == number].sum()) for number in numbers)
    assert np.ptp(np.bincount(dealt[positive], minlength=folds)) <= largest
    np.testing.assert_array_equal(dealt, deal_folds(targets, groups, folds, seed))


def test_folds_share_out_the_positives_of_a_rare_label() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((203, 3)) < (0.5, 0.2, 0.06)).astype(np.float32)
    targets[:10, 1] = NAN
    folds = deal_folds(targets, np.arange(203), 5, seed=0)
    assert np.ptp(np.bincount(folds)) <= 1
    rare = np.bincount(folds, weights=targets[:, 2], minlength=5)
    assert np.ptp(rare) <= 1
    assert (folds != deal_folds(targets, np.arange(203), 5, seed=1)).any()
