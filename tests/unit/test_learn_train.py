"""The training loop, end to end, on small made-up sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from memeapp.learn import losses, train
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet, TooFewRows
from memeapp.learn.metrics import label_auc
from memeapp.learn.recipe import Recipe, Schedule
from memeapp.learn.train import BEST, MINIMUM_ROWS, REFERENCE, Progress, deal_folds, fit

NAN = float("nan")
MAMI = ("misogynous", "shaming", "stereotype", "objectification", "violence")


def shortened(recipe: Recipe, epochs: int) -> Recipe:
    return replace(
        recipe,
        hidden=16,
        branch=16,
        autoencoder=replace(recipe.autoencoder, epochs=3),
        classifier=replace(recipe.classifier, epochs=epochs, rate=5e-3),
    )


QUICK = shortened(BEST, epochs=12)


def memes(
    rows: int, labels: tuple[str, ...] = MAMI, *, unlabelled: int = 0, seed: int = 0
) -> FeatureSet:
    """Labels follow from the text's direction; pictures are noise of another width and scale."""
    rng = np.random.default_rng(seed)
    total = rows + unlabelled
    text = rng.normal(size=(total, 12))
    direction = text / np.linalg.norm(text, axis=1, keepdims=True)
    targets = (direction[:, : len(labels)] > 0.1).astype(float)
    targets[rows:] = NAN
    return FeatureSet(
        ids=tuple(f"meme-{row}" for row in range(total)),
        image=30 * rng.random((total, 7)),
        text=text,
        targets=targets,
        labels=labels,
    )


def with_targets(features: FeatureSet, targets: NDArray[np.floating]) -> FeatureSet:
    return replace(features, targets=targets)


def test_the_loop_overfits_32_rows() -> None:
    features = memes(32)
    coin = np.random.default_rng(3).integers(0, 2, size=(32, 5))
    features = with_targets(features, coin.astype(float))
    recipe = replace(
        QUICK,
        folds=0,
        dropout=0.0,
        branch=64,
        classifier=Schedule(epochs=80, rate=1e-2, decay=1.0, batch=8),
    )
    probabilities = fit(features, recipe, encoder="made-up").predict(features.image, features.text)
    assert np.abs(probabilities - coin).max() < 0.1


def test_what_was_learned_holds_on_new_rows() -> None:
    model = fit(memes(400, unlabelled=100), QUICK, encoder="made-up")
    new = memes(400, seed=1)
    probabilities = model.predict(new.image, new.text)
    for column in range(5):
        assert label_auc(new.targets[:, column], probabilities[:, column]) > 0.9
    assert (model.labels, model.encoder, model.recipe) == (MAMI, "made-up", QUICK)
    assert 1 <= model.epochs <= 12


def test_the_same_seed_gives_the_same_weights_whatever_the_threads() -> None:
    features = memes(60, unlabelled=20)
    threads = torch.get_num_threads()
    first = fit(features, QUICK, encoder="made-up", seed=5)
    torch.set_num_threads(threads + 1)
    try:
        second = fit(features, QUICK, encoder="made-up", seed=5)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    other = fit(features, QUICK, encoder="made-up", seed=6)
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name])
    np.testing.assert_array_equal(first.thresholds, second.thresholds)
    assert not torch.equal(
        first.network.classifier.output.weight, other.network.classifier.output.weight
    )


def test_arrays_that_may_only_be_read_are_enough() -> None:
    features = memes(30)
    for array in (features.image, features.text, features.targets):
        array.setflags(write=False)
    model = fit(features, QUICK, encoder="made-up")
    assert len(model.predict(features.image, features.text)) == 30


def test_training_leaves_the_random_state_of_the_process_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    fit(memes(30), QUICK, encoder="made-up")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trained_model_survives_the_disk(tmp_path: Path) -> None:
    features = memes(40)
    model = fit(features, QUICK, encoder="made-up")
    model.save(tmp_path)
    np.testing.assert_array_equal(
        Checkpoint.load(tmp_path).predict(features.image, features.text),
        model.predict(features.image, features.text),
    )


def test_the_reference_recipe_trains_the_papers_four_labels() -> None:
    features = memes(80, MAMI[1:], unlabelled=40)
    model = fit(features, shortened(REFERENCE, epochs=20), encoder="made-up")
    assert model.labels == MAMI[1:]
    assert model.epochs == 20
    np.testing.assert_array_equal(model.thresholds, np.full(4, 0.5))
    assert model.predict(features.image, features.text).shape == (120, 4)


@pytest.mark.parametrize("loss", [losses.REFERENCE, losses.PAPER])
def test_balanced_losses_come_out_calibrated_too(loss: losses.Balance) -> None:
    features = memes(300)
    model = fit(features, replace(QUICK, loss=loss), encoder="made-up")
    probabilities = model.predict(features.image, features.text)
    assert probabilities.mean(axis=0) == pytest.approx(features.targets.mean(axis=0), abs=0.1)


def test_a_label_without_a_positive_stays_near_its_base_rate_and_is_not_given() -> None:
    features = memes(MINIMUM_ROWS)
    targets = features.targets.copy()
    targets[:, 4] = 0
    targets[:, 3] = NAN
    model = fit(with_targets(features, targets), QUICK, encoder="made-up")
    probabilities = model.predict(features.image, features.text)
    assert np.isfinite(probabilities).all()
    assert probabilities[:, 4].mean() < 0.1
    assert not (probabilities[:, 4] >= model.thresholds[4]).any()


def test_soft_and_missing_targets_are_learned_from() -> None:
    features = memes(300)
    targets = np.where(features.targets == 1, 0.8, 0.1)
    targets[np.random.default_rng(0).random(targets.shape) < 0.3] = NAN
    model = fit(with_targets(features, targets), QUICK, encoder="made-up")
    probabilities = model.predict(features.image, features.text)
    assert label_auc(features.targets[:, 0], probabilities[:, 0]) > 0.9
    assert probabilities.mean() == pytest.approx(np.nanmean(targets), abs=0.05)


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1.0, -2.0), (0.3, 1.0)])
def test_the_number_of_epochs_does_not_depend_on_the_logits_scale_or_shift(
    monkeypatch: pytest.MonkeyPatch, scale: float, shift: float
) -> None:
    features = memes(300)
    wrong = np.random.default_rng(0).random(features.targets.shape) < 0.3  # soon learned by heart
    features = with_targets(features, np.where(wrong, 1 - features.targets, features.targets))
    schedule = replace(QUICK.classifier, rate=5e-2)
    recipe = replace(QUICK, branch=64, classifier=schedule)
    plain = fit(features, recipe, encoder="made-up")
    assert 1 < plain.epochs < schedule.epochs

    def moved(logits: torch.Tensor, lam: float) -> torch.Tensor:
        return scale * losses.two_sided_logit(logits, lam) + shift

    monkeypatch.setattr(train, "two_sided_logit", moved)
    other = fit(features, recipe, encoder="made-up")
    assert other.epochs == plain.epochs
    assert other.thresholds == pytest.approx(plain.thresholds, abs=0.05)


def test_too_few_rows_are_refused_with_both_counts() -> None:
    with pytest.raises(TooFewRows, match=f"29 memes are labelled.*at least {MINIMUM_ROWS}"):
        fit(memes(29, unlabelled=50), QUICK, encoder="made-up")


@pytest.mark.parametrize(("value", "yes", "no"), [(1.0, 40, 0), (0.0, 0, 40), (NAN, 0, 0)])
def test_a_parent_label_of_one_class_is_refused(value: float, yes: int, no: int) -> None:
    features = memes(40)
    targets = features.targets.copy()
    targets[:, 0] = value
    with pytest.raises(TooFewRows, match=f"{yes} are 'misogynous' and {no} are not"):
        fit(with_targets(features, targets), QUICK, encoder="made-up")


def test_a_recipe_that_cooks_on_unlabelled_rows_needs_some() -> None:
    with pytest.raises(TooFewRows, match="'reference'.*unlabelled"):
        fit(memes(40), shortened(REFERENCE, epochs=1), encoder="made-up")


def test_progress_rises_to_one_and_names_its_stages() -> None:
    seen: list[Progress] = []
    fit(memes(40), QUICK, encoder="made-up", on_epoch=seen.append)
    done = [progress.done for progress in seen]
    assert done == sorted(done) and done[-1] == 1
    assert len(dict.fromkeys(progress.stage for progress in seen)) == 3
    assert all(progress.loss is not None and np.isfinite(progress.loss) for progress in seen)


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_an_exception_from_the_callback_ends_the_run(at: float) -> None:
    class Stop(Exception):
        pass

    threads = torch.get_num_threads()
    seen: list[float] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.done)
        if progress.done > at:
            raise Stop

    with pytest.raises(Stop):
        fit(memes(40), QUICK, encoder="made-up", on_epoch=stop)
    assert all(done <= at for done in seen[:-1])
    assert torch.get_num_threads() == threads


def test_folds_share_out_the_positives_of_a_rare_label() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((203, 3)) < (0.5, 0.2, 0.06)).astype(np.float32)
    targets[:10, 1] = NAN
    folds = deal_folds(targets, 5, seed=0)
    assert np.ptp(np.bincount(folds)) <= 1
    rare = np.bincount(folds, weights=targets[:, 2], minlength=5)
    assert np.ptp(rare) <= 1
    np.testing.assert_array_equal(folds, deal_folds(targets, 5, seed=0))
    assert (folds != deal_folds(targets, 5, seed=1)).any()
