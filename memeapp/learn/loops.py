"""The loops of training: Adam over batches, both autoencoders, RAW-N-COOK with its folds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from memeapp.learn.calibration import Platt
from memeapp.learn.data import FeatureSet
from memeapp.learn.losses import DistributionBalancedLoss, bce, two_sided_logit
from memeapp.learn.nets import CromAE, RawNCook, SemiMemes
from memeapp.learn.recipe import Recipe, Schedule

Array = NDArray[np.float64]
Sources = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training run stands."""

    stage: str
    done: float
    """Share of the whole run, in [0, 1]; never falls."""
    loss: float | None
    """Mean loss of the stage's last epoch."""
    epoch: int = 0
    """From 1; 0 where the stage has none."""
    epochs: int = 0
    """At most so many; an early stop may leave some out."""


OnEpoch = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """The labelled rows as the heads see them."""

    sources: Sources
    targets: Tensor
    weights: Tensor
    """(N,), of mean 1."""
    groups: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        network: SemiMemes,
        features: FeatureSet,
        image: Tensor,
        text: Tensor,
        known: NDArray[np.integer],
    ) -> LabelledRows:
        rows = torch.from_numpy(known).to(image.device)
        with torch.no_grad():
            sources = network.sources(image[rows], text[rows])
        weights = features.weights[known]
        return cls(
            sources,
            on_device(features.targets[known], network),
            on_device(weights / weights.mean(), network),
            features.groups[known],
        )

    @property
    def truth(self) -> Array:
        truth: Array = self.targets.double().cpu().numpy()
        return truth

    @property
    def row_weights(self) -> Array:
        weights: Array = self.weights.double().cpu().numpy()
        return weights


def on_device(array: NDArray[np.float32], network: SemiMemes) -> Tensor:
    """On the network's device; without a copy where it can be."""
    writable = np.require(array, dtype=np.float32, requirements="W")
    return torch.from_numpy(writable).to(network.classifier.output.weight.device)


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
        # Its own, so that trainers side by side do not take each other's numbers.
        self.order = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self.decay = torch.optim.lr_scheduler.ExponentialLR(self.adam, schedule.decay)

    def epoch(self) -> float:
        """One pass over the rows; returns their mean loss."""
        self.module.train()
        total = 0.0
        order = torch.randperm(len(self.rows), generator=self.order)
        shuffled = self.rows[order.to(self.rows.device)]
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
    head: RawNCook, recipe: Recipe, rows: LabelledRows, chosen: Tensor
) -> _Trainer:
    targets = rows.targets
    loss = bce if recipe.loss is None else DistributionBalancedLoss(recipe.loss, targets[chosen])

    def loss_of(batch: Tensor) -> Tensor:
        logits = head(tuple(source[batch] for source in rows.sources))
        return loss(logits, targets[batch], rows.weights[batch])

    return _Trainer(head, recipe.classifier, chosen, loss_of)


def fit_autoencoders(
    network: SemiMemes, image: Tensor, text: Tensor, rows: NDArray[np.int64], report: OnEpoch
) -> None:
    """Train both CROM-AE, side by side, on these rows of the features.

    A feature of a row of length 1 is so small that Adam would need many more epochs: they learn
    from rows in which it is 1 on average, and their weights are brought back to rows of length 1.
    """
    schedule = network.recipe.autoencoder
    sizes = [
        source.shape[1] ** 0.5 if network.recipe.normalise else 1.0 for source in (image, text)
    ]
    with torch.no_grad():
        image, text = network.prepare(image) * sizes[0], network.prepare(text) * sizes[1]
    chosen = torch.from_numpy(rows).to(image.device)
    trainers = (
        _autoencoder_trainer(network.image_to_text, schedule, image, text, chosen),
        _autoencoder_trainer(network.text_to_image, schedule, text, image, chosen),
    )
    # They share nothing, and PyTorch lets go of Python's lock while it computes.
    with ThreadPoolExecutor(2) as executor:
        for epoch in range(1, schedule.epochs + 1):
            loss = sum(executor.map(_Trainer.epoch, trainers))
            done = 0.2 * epoch / schedule.epochs
            report(Progress("Relating pictures and texts", done, loss, epoch, schedule.epochs))
    network.image_to_text.rescale(*sizes)
    network.text_to_image.rescale(*sizes[::-1])


def train_classifier(network: SemiMemes, rows: LabelledRows, report: OnEpoch) -> None:
    """All epochs of the schedule on all labelled rows; the last one counts."""
    recipe = network.recipe
    everything = torch.arange(len(rows.targets), device=rows.targets.device)
    trainer = _classifier_trainer(network.classifier, recipe, rows, everything)
    for epoch in range(1, recipe.classifier.epochs + 1):
        loss = trainer.epoch()
        done = 0.2 + 0.8 * (epoch / recipe.classifier.epochs)
        report(Progress("Training the classifier", done, loss, epoch, recipe.classifier.epochs))


def cross_validate(
    network: SemiMemes, rows: LabelledRows, seed: int, report: OnEpoch
) -> tuple[int, float, Array]:
    """Make the network's classifier the average of one head a fold, each trained on the others.

    The folds train in step, so that one early stop serves all of them. An epoch is judged by the
    cross-entropy of its calibrated probabilities: those are what is used, and the scale and shift
    that the training loss gives the logits, or their overconfidence, do not matter.

    Returns:
        The best number of epochs, with its loss and its (N, C) out-of-fold logits.
    """
    recipe, targets, truth = network.recipe, rows.targets, rows.truth
    dealt = deal_folds(targets.cpu().numpy(), rows.groups, recipe.folds, seed)
    fold = torch.tensor(dealt, device=targets.device)
    heads = [network.head().to(targets.device) for _ in range(recipe.folds)]
    trainers = [
        _classifier_trainer(head, recipe, rows, (fold != number).nonzero().flatten())
        for number, head in enumerate(heads)
    ]
    best = 0, float("inf"), np.zeros_like(truth)
    for epoch in range(1, recipe.classifier.epochs + 1):
        logits = torch.zeros_like(targets)
        for number, (head, trainer) in enumerate(zip(heads, trainers, strict=True)):
            trainer.epoch()
            head.eval()
            left_out = fold == number
            with torch.no_grad():
                logits[left_out] = head(tuple(source[left_out] for source in rows.sources))
        outcome = two_sided_logit(logits, recipe.lam).double().cpu().numpy()
        loss = Platt.fit(outcome, truth).loss(outcome, truth)
        if loss < best[1]:
            best = epoch, loss, outcome
            network.classifier.become_average(heads)
        done = 0.2 + 0.8 * (epoch / recipe.classifier.epochs)
        stage = "Cross-validating the classifier"
        report(Progress(stage, done, loss, epoch, recipe.classifier.epochs))
        if epoch - best[0] >= recipe.patience:
            break
    return best


def deal_folds(
    targets: NDArray[np.float32], groups: NDArray[np.integer], folds: int, seed: int
) -> NDArray[np.int64]:
    """(N,) fold numbers, a group's rows together, stratified: groups sorted by what was said of
    them, rarest label first, are dealt like cards. Without groups, the positives of the rarest
    label differ by at most one between folds."""
    rng = np.random.default_rng(seed)
    _, group = np.unique(groups, return_inverse=True)
    # The positives of each group; how many were judged at all decides between equals.
    said = np.nan_to_num(np.round(targets)) + 1e-3 * ~np.isnan(targets)
    totals = np.zeros((group.max() + 1, targets.shape[1]))
    np.add.at(totals, group, said)
    rarest_first = np.argsort(np.nansum(targets, axis=0), kind="stable")
    order = np.lexsort((rng.random(len(totals)), *totals[:, rarest_first[::-1]].T))
    numbers = np.empty(len(totals), dtype=np.int64)
    numbers[order] = np.arange(len(totals)) % folds
    dealt: NDArray[np.int64] = numbers[group]
    return dealt
