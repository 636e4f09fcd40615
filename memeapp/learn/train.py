"""`fit`: from a `FeatureSet` to a calibrated `Checkpoint`; the same seed gives the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from memeapp.learn.calibration import Platt, expected_thresholds
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet, TooFewRows
from memeapp.learn.losses import DistributionBalancedLoss, bce, two_sided_logit
from memeapp.learn.nets import CromAE, RawNCook, SemiMemes
from memeapp.learn.recipe import BEST, REFERENCE, Recipe, Schedule

__all__ = ["BEST", "MINIMUM_ROWS", "REFERENCE", "Progress", "Recipe", "fit"]

MINIMUM_ROWS = 30
"""Labelled rows below which cross-validation has nothing to hold on to."""

Sources = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training run stands."""

    stage: str
    done: float
    """Share of the whole run, in [0, 1]; never falls."""
    loss: float | None
    """Mean loss of the stage's last epoch."""


OnEpoch = Callable[[Progress], None]


def fit(
    features: FeatureSet,
    recipe: Recipe = BEST,
    *,
    encoder: str,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> Checkpoint:
    """Train CROM-AE on the pairs of `features` and RAW-N-COOK on its labelled rows.

    Cross-validation inside the labelled rows picks the number of epochs and gives the out-of-fold
    logits on which calibration and thresholds are fitted; the classifier is then trained on all
    labelled rows. Runs on CUDA where there is one. `on_epoch` is called after every epoch; what it
    raises ends the run.

    Raises:
        TooFewRows: fewer than `MINIMUM_ROWS` labelled rows, a parent label that is judged the same
            everywhere, or no unlabelled row for a recipe that cooks on those alone.
    """
    report = on_epoch or (lambda progress: None)
    judged = features.judged
    _check_enough(features, judged, recipe)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    image, text, targets = (
        torch.tensor(array, device=device)
        for array in (features.image, features.text, features.targets)
    )
    with _reproducible(seed):
        network = SemiMemes(
            features.image.shape[1], features.text.shape[1], len(features.labels), recipe
        ).to(device)
        everything = torch.arange(len(features), device=device)
        unlabelled = torch.tensor(np.flatnonzero(~judged), device=device)
        cooked = everything if recipe.cook_on_all else unlabelled
        _fit_autoencoders(network, image, text, cooked, report)

        labelled = torch.tensor(np.flatnonzero(judged), device=device)
        targets = targets[labelled]
        with torch.no_grad():
            sources = network.sources(image[labelled], text[labelled])
        epochs = recipe.classifier.epochs
        platt = Platt.identity(len(features.labels))
        thresholds = np.full(len(features.labels), 0.5)
        if recipe.folds:
            epochs, platt, logits = _cross_validate(recipe, sources, targets, seed, report)
            thresholds = expected_thresholds(
                platt(logits),
                targets.double().cpu().numpy(),
                parent_first=recipe.parent_first,
            )
        rows = torch.arange(len(targets), device=device)
        trainer = _classifier_trainer(network.classifier, recipe, sources, targets, rows)
        for epoch in range(1, epochs + 1):
            loss = trainer.epoch()
            report(Progress("Training the classifier", 0.8 + 0.2 * epoch / epochs, loss))
    return Checkpoint(
        network=network.cpu().eval(),
        encoder=encoder,
        labels=features.labels,
        recipe=recipe,
        seed=seed,
        epochs=epochs,
        platt=platt,
        thresholds=thresholds,
    )


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Own random state, and one CPU thread: its sums do not depend on how many cores there are, and
    on batches this small several threads wait for each other (40 times longer on a busy machine).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _check_enough(features: FeatureSet, judged: NDArray[np.bool_], recipe: Recipe) -> None:
    count = int(judged.sum())
    if count < MINIMUM_ROWS:
        raise TooFewRows(f"{count} memes are labelled; training needs at least {MINIMUM_ROWS}.")
    parent = features.targets[:, 0]
    yes, no = int((parent > 0.5).sum()), int((parent <= 0.5).sum())
    if not (yes and no):
        raise TooFewRows(
            f"Of {count} labelled memes {yes} are {features.labels[0]!r} and {no} are not; "
            "training needs at least one of each."
        )
    if not recipe.cook_on_all and judged.all():
        raise TooFewRows(
            f"All {count} memes are labelled, but the recipe {recipe.name!r} fits its autoencoders "
            "on unlabelled ones; add some, or use a recipe with cook_on_all."
        )


class _Trainer:
    """Adam on one module over shuffled batches of some rows, epoch by epoch."""

    def __init__(
        self,
        module: nn.Module,
        schedule: Schedule,
        rows: Tensor,
        loss_of: Callable[[Tensor], Tensor],
    ) -> None:
        """`rows` are positions; `loss_of` maps a batch of them to its mean loss."""
        self.module, self.rows, self.loss_of = module, rows, loss_of
        # Small sets get small batches, so that an epoch is never a single step.
        self.batch = min(schedule.batch, max(8, len(rows) // 8))
        self.adam = torch.optim.Adam(
            module.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay, fused=True
        )
        self.decay = torch.optim.lr_scheduler.ExponentialLR(self.adam, schedule.decay)

    def epoch(self) -> float:
        """One pass over the rows; returns their mean loss."""
        self.module.train()
        total = 0.0
        shuffled = self.rows[torch.randperm(len(self.rows)).to(self.rows.device)]
        for start in range(0, len(shuffled), self.batch):
            rows = shuffled[start : start + self.batch]
            self.adam.zero_grad()
            loss = self.loss_of(rows)
            torch.autograd.backward(loss)
            self.adam.step()
            total += loss.item() * len(rows)
        self.decay.step()
        return total / len(shuffled)


def _autoencoder_trainer(
    autoencoder: CromAE, schedule: Schedule, given: Tensor, wanted: Tensor, rows: Tensor
) -> _Trainer:
    def loss_of(rows: Tensor) -> Tensor:
        return functional.mse_loss(autoencoder(given[rows]), wanted[rows])

    return _Trainer(autoencoder, schedule, rows, loss_of)


def _classifier_trainer(
    head: RawNCook, recipe: Recipe, sources: Sources, targets: Tensor, rows: Tensor
) -> _Trainer:
    loss = bce if recipe.loss is None else DistributionBalancedLoss(recipe.loss, targets[rows])

    def loss_of(rows: Tensor) -> Tensor:
        return loss(head(tuple(source[rows] for source in sources)), targets[rows])

    return _Trainer(head, recipe.classifier, rows, loss_of)


def _fit_autoencoders(
    network: SemiMemes, image: Tensor, text: Tensor, rows: Tensor, report: OnEpoch
) -> None:
    schedule = network.recipe.autoencoder
    image, text = network.prepare(image), network.prepare(text)
    trainers = (
        _autoencoder_trainer(network.image_to_text, schedule, image, text, rows),
        _autoencoder_trainer(network.text_to_image, schedule, text, image, rows),
    )
    for epoch in range(1, schedule.epochs + 1):
        loss = sum(trainer.epoch() for trainer in trainers)
        done = 0.2 * epoch / schedule.epochs
        report(Progress("Relating pictures and texts", done, loss))


def _cross_validate(
    recipe: Recipe, sources: Sources, targets: Tensor, seed: int, report: OnEpoch
) -> tuple[int, Platt, NDArray[np.float64]]:
    """The best number of epochs, with its calibration and its (N, C) out-of-fold logits.

    The folds train in step, so that one early stop serves all of them. An epoch is judged by the
    cross-entropy of its calibrated probabilities: those are what is used, and the scale and shift
    that the training loss gives the logits, or their overconfidence, do not matter.
    """
    truth = targets.double().cpu().numpy()
    dealt = deal_folds(targets.cpu().numpy(), recipe.folds, seed)
    fold = torch.tensor(dealt, device=targets.device)
    widths = tuple(source.shape[1] for source in sources)
    heads, trainers = [], []
    for number in range(recipe.folds):
        head = RawNCook(widths, targets.shape[1], recipe.branch, recipe.dropout).to(targets.device)
        heads.append(head)
        kept = (fold != number).nonzero().flatten()
        trainers.append(_classifier_trainer(head, recipe, sources, targets, kept))
    best_loss, best = float("inf"), (0, Platt.identity(truth.shape[1]), np.zeros_like(truth))
    for epoch in range(1, recipe.classifier.epochs + 1):
        logits = torch.zeros_like(targets)
        for number, (head, trainer) in enumerate(zip(heads, trainers, strict=True)):
            trainer.epoch()
            head.eval()
            left_out = fold == number
            with torch.no_grad():
                logits[left_out] = head(tuple(source[left_out] for source in sources))
        outcome = two_sided_logit(logits, recipe.lam).double().cpu().numpy()
        platt = Platt.fit(outcome, truth)
        loss = platt.loss(outcome, truth)
        if loss < best_loss:
            best_loss, best = loss, (epoch, platt, outcome)
        done = 0.2 + 0.6 * epoch / recipe.classifier.epochs
        report(Progress("Cross-validating the classifier", done, loss))
        if epoch - best[0] >= recipe.patience:
            break
    return best


def deal_folds(targets: NDArray[np.float32], folds: int, seed: int) -> NDArray[np.int64]:
    """(N,) fold numbers, stratified: rows sorted by what was said of them, rarest label first, are
    dealt like cards, so the positives of the rarest label differ by at most one between folds."""
    rng = np.random.default_rng(seed)
    said = np.nan_to_num(np.round(targets), nan=-1.0)
    rarest_first = np.argsort(np.nansum(targets, axis=0), kind="stable")
    order = np.lexsort((rng.random(len(said)), *said[:, rarest_first[::-1]].T))
    numbers = np.empty(len(said), dtype=np.int64)
    numbers[order] = np.arange(len(said)) % folds
    return numbers
