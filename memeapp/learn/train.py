"""`fit`: from a `FeatureSet` to a calibrated `Checkpoint`; the same seed gives the same weights."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memeapp.learn.calibration import abstain_bands, expected_thresholds, reliability
from memeapp.learn.checkpoint import Checkpoint, Evidence, decide, kernel_views
from memeapp.learn.data import FeatureSet, TooFewRows
from memeapp.learn.kernel import KernelHead, fit_kernel
from memeapp.learn.loops import (
    LabelledRows,
    OnEpoch,
    Progress,
    cross_validate,
    fit_autoencoders,
    on_device,
    train_classifier,
)
from memeapp.learn.nets import SemiMemes
from memeapp.learn.pool import Pool
from memeapp.learn.recipe import BEST, KERNEL, RAW_N_COOK, RECIPES, REFERENCE, Recipe
from memeapp.learn.threads import reproducible

__all__ = [
    "BEST",
    "MINIMUM_ROWS",
    "RECIPES",
    "REFERENCE",
    "Autoencoders",
    "Learned",
    "Progress",
    "Recipe",
    "assemble",
    "fit",
    "learn",
    "pretrain",
]

MINIMUM_ROWS = 30
"""LabelledRows rows below which cross-validation has nothing to hold on to."""

MIXTURES = ((0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25), (1.0, 0.0))
"""Weights of image and text that the kernel head chooses from."""
COOKED_MIXTURES = (
    *((*mixture, 0.0) for mixture in MIXTURES),
    (0.0, 0.5, 0.5),
    (0.25, 0.25, 0.5),
    (0.0, 0.0, 1.0),
)
"""The same with the cooked features as a third view."""

Array = NDArray[np.float64]
Autoencoders = dict[str, Tensor]
"""Weights of both CROM-AE, as `SemiMemes.state_dict` names them."""


def pretrain(
    features: FeatureSet, recipe: Recipe = BEST, *, seed: int = 0, on_epoch: OnEpoch | None = None
) -> Autoencoders:
    """Train CROM-AE alone, for `fit(autoencoders=…)`: the same as `fit` itself would train.

    Raises:
        TooFewRows: no unlabelled row for a recipe that cooks on those alone.
    """
    _check_unlabelled(features, recipe)
    with reproducible(seed):
        network = _network(features, recipe)
        image, text = (on_device(array, network) for array in (features.image, features.text))
        fit_autoencoders(network, image, text, _cooked(features, recipe), on_epoch or _ignore)
        return {
            name: value.cpu()
            for name, value in network.state_dict().items()
            if not name.startswith("classifier.")
        }


def fit(
    features: FeatureSet,
    recipe: Recipe = BEST,
    *,
    encoder: str,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    autoencoders: Autoencoders | None = None,
) -> Checkpoint:
    """Train CROM-AE on the pairs of `features` and the recipe's heads on its labelled rows.

    Cross-validation inside the labelled rows picks the number of epochs and gives out-of-fold
    logits, on which calibration, the heads' shares, thresholds and the abstain bands are fitted.
    The folds' RAW-N-COOKs are kept and answer as one, their average. Runs on CUDA where there is
    one. `on_epoch` is called after every epoch; what it raises ends the run.

    Args:
        autoencoders: from `pretrain` on the same features; trained here otherwise.

    Raises:
        TooFewRows: fewer than `MINIMUM_ROWS` labelled rows, a parent label that is judged the same
            everywhere, or no unlabelled row for a recipe that cooks on those alone.
    """
    learned = learn(features, recipe, seed=seed, on_epoch=on_epoch, autoencoders=autoencoders)
    return assemble(learned, features, recipe, encoder=encoder, seed=seed)


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The trained heads, before anything is known of how they should be combined."""

    network: SemiMemes
    kernel: KernelHead | None
    heads: tuple[Array, ...]
    """For each head of the recipe the (L, C) out-of-fold logits of the labelled rows, zeros without
    folds; a row of NaN where a head has none."""
    truth: Array
    """(L, C) targets of the labelled rows."""
    weights: Array
    """(L,) their weights, of mean 1."""
    epochs: int

    def out_of_fold(self, *more: Array) -> tuple[list[Array], Array, Array]:
        """The heads' logits, then `more` of the kind, with targets and weights: of those rows
        for which all of them have an answer."""
        logits = (*self.heads, *more)
        known = ~np.isnan(np.stack(logits)).any(axis=(0, 2))
        return [each[known] for each in logits], self.truth[known], self.weights[known]


def learn(
    features: FeatureSet,
    recipe: Recipe = BEST,
    *,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    autoencoders: Autoencoders | None = None,
) -> Learned:
    """The first half of `fit`: the heads and what they say out of fold. Raises: as `fit`."""
    report = on_epoch or _ignore
    _check_enough(features, recipe)
    with reproducible(seed):
        network = _network(features, recipe)
        image, text = (on_device(array, network) for array in (features.image, features.text))
        if autoencoders is not None:
            network.load_state_dict(autoencoders, strict=False)
        elif recipe.cook:
            fit_autoencoders(network, image, text, _cooked(features, recipe), report)
        torch.manual_seed(seed)  # The heads do not depend on where the autoencoders came from.
        known = np.flatnonzero(features.judged)
        rows = LabelledRows.of(network, features, image, text, known)
        heads, epochs, kernel = _fit_heads(network, rows, recipe, seed, report)
    return Learned(network.cpu().eval(), kernel, tuple(heads), rows.truth, rows.row_weights, epochs)


def assemble(
    learned: Learned, features: FeatureSet, recipe: Recipe, *, encoder: str, seed: int
) -> Checkpoint:
    """The second half of `fit`: shares of the heads, calibration, thresholds and bands."""
    labels = len(features.labels)
    pool = Pool.identity(len(recipe.heads), labels)
    thresholds = np.full(labels, 0.5)
    evidence = Evidence((), ())
    if recipe.folds:
        heads, truth, weights = learned.out_of_fold()
        pool = Pool.fit(heads, truth, weights)
        probabilities = pool(heads)
        thresholds = expected_thresholds(probabilities, truth, parent_first=recipe.parent_first)
        decisions = decide(probabilities, thresholds, parent_first=recipe.parent_first)
        evidence = Evidence(
            abstain_bands(probabilities, decisions, thresholds, truth),
            reliability(probabilities, truth),
        )
    return Checkpoint(
        network=learned.network,
        kernel=learned.kernel,
        encoder=encoder,
        labels=features.labels,
        recipe=recipe,
        seed=seed,
        epochs=learned.epochs,
        pool=pool,
        thresholds=thresholds,
        evidence=evidence,
        means=(features.image.mean(axis=0), features.text.mean(axis=0)),
    )


def _fit_heads(
    network: SemiMemes, rows: LabelledRows, recipe: Recipe, seed: int, report: OnEpoch
) -> tuple[list[Array], int, KernelHead | None]:
    """Train the recipe's heads side by side.

    Returns:
        Each head's (N, C) out-of-fold logits (zeros without folds), the epochs of RAW-N-COOK, and
        the kernel head if the recipe has one.
    """
    epochs, out_of_fold = recipe.classifier.epochs, np.zeros(rows.targets.shape)
    answers: dict[str, Array] = {}
    kernel: KernelHead | None = None
    loss: float | None = None
    with ThreadPoolExecutor(1) as executor:
        fitting: Future[tuple[KernelHead, Array]] | None = None
        if KERNEL in recipe.heads:
            mixtures = COOKED_MIXTURES if recipe.cook else MIXTURES
            fitting = executor.submit(
                fit_kernel,
                kernel_views(rows.sources),
                rows.truth,
                rows.row_weights,
                rows.groups,
                mixtures,
                seed,
            )
        if RAW_N_COOK in recipe.heads:
            if recipe.folds:
                epochs, loss, out_of_fold = cross_validate(network, rows, seed, report)
            else:
                train_classifier(network, rows, report)
            answers[RAW_N_COOK] = out_of_fold
        if fitting is not None:
            kernel, answers[KERNEL] = fitting.result()
    if recipe.folds:  # An early stop left the progress short of the end.
        report(Progress("Combining the heads", 1.0, loss))
    return [answers[head] for head in recipe.heads], epochs, kernel


def _ignore(progress: Progress) -> None:
    pass


def _network(features: FeatureSet, recipe: Recipe) -> SemiMemes:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    widths = features.image.shape[1], features.text.shape[1]
    return SemiMemes(*widths, len(features.labels), recipe).to(device)


def _cooked(features: FeatureSet, recipe: Recipe) -> NDArray[np.int64]:
    """Positions of the rows that the autoencoders learn from."""
    return np.arange(len(features)) if recipe.cook_on_all else np.flatnonzero(~features.judged)


def _check_enough(features: FeatureSet, recipe: Recipe) -> None:
    count = int(features.judged.sum())
    if count < MINIMUM_ROWS:
        raise TooFewRows(f"{count} memes are labelled; training needs at least {MINIMUM_ROWS}.")
    parent = features.targets[:, 0]
    yes, no = int((parent > 0.5).sum()), int((parent <= 0.5).sum())
    if not (yes and no):
        raise TooFewRows(
            f"Of {count} labelled memes {yes} are {features.labels[0]!r} and {no} are not; "
            "training needs at least one of each."
        )
    if recipe.folds and len(np.unique(features.groups[features.judged])) == 1:
        raise TooFewRows(
            f"All {count} labelled memes are near-duplicates of one another; "
            "training needs at least two different ones."
        )
    _check_unlabelled(features, recipe)


def _check_unlabelled(features: FeatureSet, recipe: Recipe) -> None:
    if recipe.cook and not recipe.cook_on_all and features.judged.all():
        raise TooFewRows(
            f"All {len(features)} memes are labelled, but the recipe {recipe.name!r} fits its "
            "autoencoders on unlabelled ones; add some, or use a recipe with cook_on_all."
        )
