"""Wall time of `fit` against a plain training loop on the same memes, and how it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from memeapp.bench.lab import World
from memeapp.bench.machine import heading, in_fresh_processes, measured
from memeapp.bench.results import in_words, paired
from memeapp.learn.data import FeatureSet
from memeapp.learn.linear import Linear
from memeapp.learn.losses import DistributionBalancedLoss, two_sided_logit
from memeapp.learn.metrics import resampled
from memeapp.learn.nets import SemiMemes
from memeapp.learn.recipe import BEST, REFERENCE, Recipe, Schedule
from memeapp.learn.train import fit
from memeapp.service.features import Report, between

Array = NDArray[np.float64]

WIDTHS = (768, 768)
SHARED = 0.25
LABELLED_SHARE = 0.3
"""Of the rows when it is measured how time grows."""
LOOP = "plain loop"
LOOP_ONE = "plain loop, 1 thread"
FIT_REFERENCE = "`fit`, `reference`"
FIT_BEST = "`fit`, `best`"
RUNNERS = (LOOP, LOOP_ONE, FIT_REFERENCE, FIT_BEST)


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of the comparison."""

    unlabelled: int = 6000
    labelled: int = 2400
    test: int = 1000
    widths: tuple[int, int] = WIDTHS


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """One run of one way to train."""

    name: str
    seconds: float
    cpu: float
    peak_mib: float
    losses: tuple[float, ...]
    """On the test: error of both reconstructions, then the classifier's loss; NaN for `best`,
    whose losses are others."""
    scores: Array
    spread: Array


@dataclass(frozen=True, slots=True)
class Grown:
    """What `best` takes for so many rows."""

    rows: int
    labelled: int
    seconds: float
    cpu: float
    peak_mib: float


def made_up(size: Size, seed: int) -> tuple[FeatureSet, FeatureSet]:
    """Rows to learn from, the last ones without labels, and rows to measure on."""
    world = World.draw(SHARED, seed, widths=size.widths)
    train = world.memes(size.labelled + size.unlabelled, 2 * seed + 1)
    targets = train.targets.copy()
    targets[size.labelled :] = np.nan
    return replace(train, targets=targets), world.memes(size.test, 2 * seed + 2)


def plain_loop(features: FeatureSet, recipe: Recipe, seed: int) -> SemiMemes:
    """What `recipe` says as one would write it down: a DataLoader, Adam and StepLR, one network
    after the other, the cooked features computed for every batch."""
    torch.manual_seed(seed)
    widths = features.image.shape[1], features.text.shape[1]
    network = _in_plain_layers(SemiMemes(*widths, len(features.labels), recipe))
    image, text, targets = map(
        torch.from_numpy, (features.image, features.text, features.targets.copy())
    )
    known = torch.from_numpy(features.judged)
    pairs = TensorDataset(image[~known], text[~known])
    for autoencoder, order in ((network.image_to_text, 1), (network.text_to_image, -1)):

        def reconstruction(
            batch: Sequence[Tensor], autoencoder: nn.Module = autoencoder, order: int = order
        ) -> Tensor:
            given, wanted = batch[::order]
            error: Tensor = functional.mse_loss(autoencoder(given), wanted)
            return error

        _loop(autoencoder, pairs, recipe.autoencoder, reconstruction)
    assert recipe.loss is not None
    balanced = DistributionBalancedLoss(recipe.loss, targets[known])

    def classification(batch: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            sources = network.sources(batch[0], batch[1])
        loss: Tensor = balanced(network.classifier(sources), batch[2])
        return loss

    triples = TensorDataset(image[known], text[known], targets[known])
    _loop(network.classifier, triples, recipe.classifier, classification)
    return network.eval()


def _in_plain_layers(network: SemiMemes) -> SemiMemes:
    """The same network with PyTorch's own linear layers in place of ours."""
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, Linear):
                plain = nn.Linear(layer.in_features, layer.out_features)
                plain.load_state_dict(layer.state_dict())
                setattr(module, name, plain)
    return network


def _loop(
    module: nn.Module,
    rows: TensorDataset,
    schedule: Schedule,
    loss_of: Callable[[Sequence[Tensor]], Tensor],
) -> None:
    module.train()
    loader = DataLoader(rows, batch_size=schedule.batch, shuffle=True)
    adam = torch.optim.Adam(
        module.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay
    )
    decay = torch.optim.lr_scheduler.StepLR(adam, 1, schedule.decay)
    for _ in range(schedule.epochs):
        for batch in loader:
            adam.zero_grad()
            loss_of(batch).backward()  # type: ignore[no-untyped-call]
            adam.step()
        decay.step()


def run(
    name: str, size: Size, seed: int, reference: Recipe = REFERENCE, best: Recipe = BEST
) -> Timed:
    """Train in the way of this name and measure on rows that it has not seen."""
    train, test = made_up(size, seed)
    losses = (float("nan"),) * 3
    if name in (LOOP, LOOP_ONE):
        if name == LOOP_ONE:
            torch.set_num_threads(1)
        with measured() as cost:
            network = plain_loop(train, reference, seed)
        with torch.no_grad():
            logits = network(torch.from_numpy(test.image), torch.from_numpy(test.text))
        probabilities = two_sided_logit(logits, reference.lam).double().sigmoid().numpy()
        decisions = probabilities >= 0.5
    else:
        recipe = best if name == FIT_BEST else reference
        with measured() as cost:
            checkpoint = fit(train, recipe, encoder="made-up", seed=seed)
        network = checkpoint.network
        probabilities = checkpoint.predict(test.image, test.text)
        decisions = checkpoint.decide(probabilities)
    if name != FIT_BEST:
        losses = _losses(network, reference, train, test)
    scores, spread = resampled(
        test.targets.astype(np.float64), probabilities, decisions.astype(np.float64)
    )
    return Timed(name, cost.seconds, cost.cpu, cost.peak_mib, losses, scores, spread)


def _losses(
    network: SemiMemes, recipe: Recipe, train: FeatureSet, test: FeatureSet
) -> tuple[float, float, float]:
    image, text, targets = map(torch.from_numpy, (test.image, test.text, test.targets.copy()))
    assert recipe.loss is not None
    balanced = DistributionBalancedLoss(recipe.loss, torch.from_numpy(train.labelled().targets))
    with torch.no_grad():
        return (
            functional.mse_loss(network.image_to_text(image), text).item(),
            functional.mse_loss(network.text_to_image(text), image).item(),
            balanced(network(image, text), targets).item(),
        )


def grow(rows: int, widths: tuple[int, int] = WIDTHS, recipe: Recipe = BEST) -> Grown:
    """Train `best` on so many rows."""
    labelled = round(LABELLED_SHARE * rows)
    train, _ = made_up(Size(rows - labelled, labelled, 10, widths), 0)
    with measured() as cost:
        fit(train, recipe, encoder="made-up")
    return Grown(rows, labelled, cost.seconds, cost.cpu, cost.peak_mib)


def bench_speed(
    out: Path, *, seeds: int, rows: Sequence[int], report: Report, size: Size | None = None
) -> None:
    """Time every way to train, each run in a process of its own, and write speed.md."""
    size = size or Size()
    compared: list[Timed] = []
    first, second = between(report, 0.0, 0.5), between(report, 0.5, 1.0)
    for seed in range(seeds):
        one = partial(run, size=size, seed=seed)
        for timed in in_fresh_processes(one, RUNNERS, workers=1, threads=None):
            compared.append(timed)
            first(f"{timed.name}: {timed.seconds:.0f} s", len(compared) / len(RUNNERS) / seeds)
    grown: list[Grown] = []
    for one_size in in_fresh_processes(grow, rows, workers=1, threads=None):
        grown.append(one_size)
        second(f"{one_size.rows:,} rows: {one_size.seconds:.0f} s", len(grown) / len(rows))
    out.mkdir(parents=True, exist_ok=True)
    (out / "speed.md").write_text(to_markdown(size, seeds, compared, grown), encoding="utf-8")


def to_markdown(size: Size, seeds: int, compared: Sequence[Timed], grown: Sequence[Grown]) -> str:
    parts = ["# How long learning takes", heading()]
    if compared:
        parts += [
            f"{size.unlabelled:,} memes without and {size.labelled:,} with labels, "
            f"{size.widths[0]} + {size.widths[1]} features from the laboratory's generator "
            f"({SHARED:.0%} of the variance shared); scores on {size.test:,} others. The loop does "
            "what `reference` says with a DataLoader, Adam and StepLR, with PyTorch's usual number "
            "of threads and with one. Everything is in the seconds: both autoencoders, folds, "
            "calibration, thresholds; CPU seconds are of all threads. Every run has a process "
            "of its own, one after the other; "
            + (f"means over {seeds} seeds." if seeds > 1 else "one seed."),
            _comparison(compared),
            "The same mathematics in the loop and in `fit`: the reconstruction errors of both "
            "autoencoders and the classifier's loss on the test's memes.",
            _mathematics(compared),
            "Scores minus the loop's, with 95 % intervals over the test's memes:",
            _differences(compared),
        ]
    if grown:
        parts += [
            f"## Growth\n\n`best` on more and more memes, {LABELLED_SHARE:.0%} of them labelled, "
            f"{WIDTHS[0]} + {WIDTHS[1]} features. Memory is the largest resident size of the "
            "process, Python, PyTorch and the features included.",
            _growth(grown),
        ]
    return "\n\n".join(parts) + "\n"


def _of(compared: Sequence[Timed], name: str) -> list[Timed]:
    return [timed for timed in compared if timed.name == name]


def _comparison(compared: Sequence[Timed]) -> str:
    lines = [
        "| | seconds | of the loop | of its better | CPU seconds | peak MiB | A | B | mean AUC |",
        "| --- " * 9 + "|",
    ]
    seconds = {
        name: float(np.mean([timed.seconds for timed in _of(compared, name)])) for name in RUNNERS
    }
    better = min(seconds[LOOP], seconds[LOOP_ONE])
    for name in RUNNERS:
        runs = _of(compared, name)
        scores = np.mean([timed.scores[:3] for timed in runs], axis=0)
        lines.append(
            f"| {name} | {seconds[name]:.1f} | {seconds[name] / seconds[LOOP]:.2f} "
            f"| {seconds[name] / better:.2f} | {np.mean([t.cpu for t in runs]):.1f} "
            f"| {max(t.peak_mib for t in runs):,.0f} "
            f"| {' | '.join(f'{score:.3f}' for score in scores)} |"
        )
    return "\n".join(lines)


def _mathematics(compared: Sequence[Timed]) -> str:
    lines = ["| | text from picture | picture from text | classifier |", "| --- " * 4 + "|"]
    for name in (LOOP, LOOP_ONE, FIT_REFERENCE):
        losses = np.mean([timed.losses for timed in _of(compared, name)], axis=0)
        lines.append(f"| {name} | {' | '.join(f'{loss:.4f}' for loss in losses)} |")
    return "\n".join(lines)


def _differences(compared: Sequence[Timed]) -> str:
    lines = ["| | A | B | mean AUC |", "| --- " * 4 + "|"]
    loop = _of(compared, LOOP)
    for name in (FIT_REFERENCE, FIT_BEST):
        cells = [in_words(paired(_of(compared, name), loop, score)) for score in range(3)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _growth(grown: Sequence[Grown]) -> str:
    lines = ["| rows | labelled | seconds | CPU seconds | peak MiB |", "| --- " * 5 + "|"]
    lines += [
        f"| {one.rows:,} | {one.labelled:,} | {one.seconds:.1f} | {one.cpu:.1f} "
        f"| {one.peak_mib:,.0f} |"
        for one in grown
    ]
    return "\n".join(lines)
