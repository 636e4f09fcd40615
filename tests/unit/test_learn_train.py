"""The training loop, end to end, on small made-up sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning import MAMI, NAN, QUICK, memes, shortened
from numpy.typing import NDArray

from memeapp.learn import loops, losses, train
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet, TooFewRows
from memeapp.learn.metrics import label_auc
from memeapp.learn.recipe import KERNEL, RAW_N_COOK, Schedule
from memeapp.learn.train import MINIMUM_ROWS, RECIPES, REFERENCE, Progress, fit, pretrain

NETWORK = replace(QUICK, heads=(RAW_N_COOK,))


def with_targets(features: FeatureSet, targets: NDArray[np.floating]) -> FeatureSet:
    return replace(features, targets=targets)


def test_the_loop_overfits_32_rows() -> None:
    features = memes(32)
    coin = np.random.default_rng(3).integers(0, 2, size=(32, 5))
    features = with_targets(features, coin.astype(float))
    recipe = replace(
        NETWORK,
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


def test_arrays_that_may_only_be_read_are_enough() -> None:
    features = memes(30)
    for array in (features.image, features.text, features.targets):
        array.setflags(write=False)
    model = fit(features, QUICK, encoder="made-up")
    assert len(model.predict(features.image, features.text)) == 30


@pytest.mark.parametrize(
    "heads", [(RAW_N_COOK,), (KERNEL,), (RAW_N_COOK, KERNEL), (KERNEL, RAW_N_COOK)]
)
@pytest.mark.parametrize("cook", [True, False])
def test_any_heads_learn_and_survive_the_disk(
    tmp_path: Path, heads: tuple[str, ...], cook: bool
) -> None:
    features, new = memes(120), memes(200, seed=1)
    model = fit(features, replace(QUICK, heads=heads, cook=cook), encoder="made-up")
    assert (model.kernel is not None) == (KERNEL in heads)
    probabilities = model.predict(new.image, new.text)
    assert label_auc(new.targets[:, 0], probabilities[:, 0]) > 0.85
    model.save(tmp_path)
    loaded = Checkpoint.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(new.image, new.text), probabilities)
    np.testing.assert_array_equal(
        loaded.unlike(new.image, new.text), model.unlike(new.image, new.text)
    )
    assert loaded.evidence == model.evidence


def test_a_model_remembers_the_mean_of_all_the_rows_it_saw() -> None:
    features = memes(30, unlabelled=10)
    image, text = fit(features, NETWORK, encoder="made-up").means
    np.testing.assert_allclose(image, features.image.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(text, features.text.mean(axis=0), atol=1e-5)


def test_a_picture_or_text_from_elsewhere_is_unlike_what_was_learned_from() -> None:
    features = memes(60)
    model = fit(
        replace(features, text=np.abs(features.text)), replace(QUICK, heads=(KERNEL,)), encoder="e"
    )
    image, text = features.image, np.abs(features.text)
    assert not model.unlike(image, text).any()
    assert model.unlike(image, -text).tolist() == [[False, True]] * 60
    assert model.unlike(-image, text).tolist() == [[True, False]] * 60


def test_what_is_measured_out_of_fold_is_what_the_model_says_of_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[NDArray[np.floating], ...]] = []
    measured = train.abstain_bands

    def recorded(*arguments: NDArray[np.floating]) -> object:
        seen.append(arguments)
        return measured(*arguments)

    monkeypatch.setattr(train, "abstain_bands", recorded)
    features = memes(150)
    wrong = np.random.default_rng(0).random(features.targets.shape) < 0.15
    features = with_targets(features, np.where(wrong, 1 - features.targets, features.targets))
    model = fit(features, QUICK, encoder="made-up")
    ((p, decisions, thresholds, truth),) = seen
    np.testing.assert_array_equal(model.decide(p), decisions)
    np.testing.assert_array_equal(model.thresholds, thresholds)
    np.testing.assert_array_equal(truth, features.targets)
    unsure = model.unsure(p)
    assert [band.share for band in model.bands] == unsure.mean(axis=0).tolist()
    assert unsure.any()
    for column, band in enumerate(model.bands):
        wrong = decisions[:, column] != (truth[:, column] > 0.5)
        assert band.error_all == pytest.approx(wrong.mean())
        assert band.error == pytest.approx(wrong[~unsure[:, column]].mean())
    assert [sum(rows for _, _, rows in table) for table in model.reliability] == [150] * 5
    # They are out of fold: nobody predicts coin flips that well on rows it has learned from.
    assert (
        np.abs(p - truth).mean()
        > np.abs(model.predict(features.image, features.text) - truth).mean()
    )


def test_more_rows_than_landmarks_leave_the_landmarks_out_of_the_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memeapp.learn.kernel.LANDMARKS", 40)
    model = fit(memes(120), QUICK, encoder="made-up")
    assert model.kernel is not None and len(model.kernel.weights) == 40
    assert [sum(rows for _, _, rows in table) for table in model.reliability] == [80] * 5


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_trains_the_papers_four_labels(name: str) -> None:
    features = memes(60, MAMI[1:], unlabelled=20)
    model = fit(features, shortened(RECIPES[name], epochs=3), encoder="made-up")
    assert (model.labels, model.recipe.name) == (MAMI[1:], name)
    assert model.predict(features.image, features.text).shape == (80, 4)


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


@pytest.mark.parametrize("judges", [1, 50])
def test_shares_of_one_vote_or_of_fifty_are_learned_from(judges: int) -> None:
    features = memes(120)
    rng = np.random.default_rng(0)
    votes = rng.binomial(judges, np.where(features.targets == 1, 0.85, 0.15))
    weights = np.sqrt(rng.integers(1, judges + 1, 120))
    features = replace(features, targets=votes / judges, weights=weights)
    model = fit(features, QUICK, encoder="made-up")
    new = memes(200, seed=1)
    probabilities = model.predict(new.image, new.text)
    aucs = [label_auc(new.targets[:, column], probabilities[:, column]) for column in range(5)]
    assert np.mean(aucs) > (0.75 if judges == 1 else 0.9)
    assert all(observed > 0.15 for table in model.reliability for _, observed, _ in table[-3:])


@pytest.mark.parametrize("head", [RAW_N_COOK, KERNEL])
def test_a_meme_that_weighs_more_pulls_harder(head: str) -> None:
    # Twins with opposite answers: the heavier half is believed.
    half = memes(40)
    twice = replace(
        half,
        ids=tuple(f"meme-{row}" for row in range(80)),
        image=np.tile(half.image, (2, 1)),
        text=np.tile(half.text, (2, 1)),
        targets=np.concatenate([half.targets, 1 - half.targets]),
        weights=np.repeat([9.0, 1.0], 40),
        groups=np.tile(np.arange(40), 2),
    )
    model = fit(twice, replace(QUICK, heads=(head,)), encoder="made-up")
    new = memes(100, seed=1)
    probability = model.predict(new.image, new.text)[:, 0]
    assert label_auc(new.targets[:, 0], probability) > 0.75


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1.0, -2.0), (0.3, 1.0)])
def test_the_number_of_epochs_does_not_depend_on_the_logits_scale_or_shift(
    monkeypatch: pytest.MonkeyPatch, scale: float, shift: float
) -> None:
    features = memes(300)
    wrong = np.random.default_rng(0).random(features.targets.shape) < 0.3  # soon learned by heart
    features = with_targets(features, np.where(wrong, 1 - features.targets, features.targets))
    schedule = replace(QUICK.classifier, rate=5e-2)
    recipe = replace(NETWORK, branch=64, classifier=schedule)
    plain = fit(features, recipe, encoder="made-up")
    assert 1 < plain.epochs < schedule.epochs

    def moved(logits: torch.Tensor, lam: float) -> torch.Tensor:
        return scale * losses.two_sided_logit(logits, lam) + shift

    monkeypatch.setattr(loops, "two_sided_logit", moved)
    other = fit(features, recipe, encoder="made-up")
    assert other.epochs == plain.epochs
    assert other.thresholds == pytest.approx(plain.thresholds, abs=0.05)


@pytest.mark.parametrize("patience", [1, 3])
def test_cross_validation_stops_when_its_patience_ends(patience: int) -> None:
    features = memes(100)
    coin = np.random.default_rng(0).integers(0, 2, features.targets.shape).astype(float)
    schedule = replace(QUICK.classifier, rate=5e-2, epochs=30)
    recipe = replace(NETWORK, cook=False, patience=patience, classifier=schedule)
    seen: list[Progress] = []
    model = fit(with_targets(features, coin), recipe, encoder="made-up", on_epoch=seen.append)
    tried = [progress for progress in seen if progress.stage.startswith("Cross-validating")]
    assert len(tried) == model.epochs + patience < 30


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
    recipe = shortened(REFERENCE, epochs=1)
    with pytest.raises(TooFewRows, match="'reference'.*unlabelled"):
        fit(memes(40), recipe, encoder="made-up")
    with pytest.raises(TooFewRows, match="'reference'.*unlabelled"):
        pretrain(memes(40), recipe)


def test_memes_of_a_single_family_are_refused_where_there_are_folds() -> None:
    twins = replace(memes(40), groups=np.full(40, 3))
    with pytest.raises(TooFewRows, match="All 40 .* near-duplicates"):
        fit(twins, QUICK, encoder="made-up")
    fit(twins, replace(QUICK, folds=0), encoder="made-up")


@pytest.mark.parametrize("families", [2, 3])
def test_fewer_families_than_folds_are_enough(families: int) -> None:
    features = replace(memes(40), groups=np.arange(40) % families)
    model = fit(features, QUICK, encoder="made-up")
    assert np.isfinite(model.predict(features.image, features.text)).all()


def test_progress_rises_to_one_and_names_its_stages() -> None:
    seen: list[Progress] = []
    fit(memes(40), QUICK, encoder="made-up", on_epoch=seen.append)
    done = [progress.done for progress in seen]
    assert done == sorted(done) and done[0] > 0 and done[-1] == 1
    assert len(dict.fromkeys(progress.stage for progress in seen)) == 3
    assert all(progress.loss is not None and np.isfinite(progress.loss) for progress in seen)
    del seen[:]
    fit(memes(40), replace(QUICK, folds=0), encoder="made-up", on_epoch=seen.append)
    assert seen[-1].done == 1


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
