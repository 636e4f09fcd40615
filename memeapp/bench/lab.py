"""Two-view laboratory: made-up pictures and texts whose common and own parts are known, to show
when CROM-AE's training on unlabelled memes helps and when it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from memeapp.bench.figures import BLUE, VERMILLION, Line, Panel, draw
from memeapp.bench.machine import heading, in_fresh_processes
from memeapp.bench.results import in_words, over_draws
from memeapp.labels import MAMI
from memeapp.learn.data import FeatureSet
from memeapp.learn.metrics import Figure, resampled
from memeapp.learn.recipe import BEST, Recipe
from memeapp.learn.train import fit
from memeapp.service.features import Report

Array = NDArray[np.float64]

PREVALENCE = (0.5, 0.13, 0.28, 0.22, 0.09)
"""Of the parent and its kinds: MAMI's training rows, rounded."""
LATENT = 12
"""Dimensions of what picture and text tell both."""
PRIVATE = 48
"""Dimensions of what one of them tells alone."""
NOISE = 0.3
"""Standard deviation of each feature's own noise, where the rest has 1."""
DOUBT = 0.7
"""Standard deviation of the annotators' noise, where the signal has 1."""
CHUNK = 10_000
SHARED = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75)
TOLD = (1.0, 0.75, 0.5, 0.0)
USUAL = 0.25
"""The shared part while it is varied what the labels are about."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Fixed random maps from latents to features and labels."""

    shared: float
    """Share of each view's variance (before squashing and noise) that both views tell."""
    told: float
    """Share of the labels' signal that lies in what both tell; the rest lies half in what the
    picture tells alone and half in what the text does."""
    to_view: tuple[Array, Array]
    """(LATENT + PRIVATE, width) for picture and text."""
    to_label: tuple[Array, Array, Array]
    """Directions (., 5) in the common, the picture's and the text's latents."""

    @classmethod
    def draw(
        cls, shared: float, seed: int, *, told: float = 1.0, widths: tuple[int, int] = (256, 256)
    ) -> World:
        rng = np.random.default_rng(seed)
        scale = np.concatenate(
            [
                np.full(LATENT, np.sqrt(shared / LATENT)),
                np.full(PRIVATE, np.sqrt((1 - shared) / PRIVATE)),
            ]
        )
        image, text = (scale[:, None] * rng.normal(size=(len(scale), width)) for width in widths)
        common, picture, words = (
            _unit(rng.normal(size=(size, len(PREVALENCE)))) for size in (LATENT, PRIVATE, PRIVATE)
        )
        alone = np.sqrt((1 - told) / 2)
        directions = np.sqrt(told) * common, alone * picture, alone * words
        return cls(shared, told, (image, text), directions)

    def memes(self, rows: int, seed: int) -> FeatureSet:
        """`rows` memes with all their labels: view = tanh(latents · map) + noise."""
        rng = np.random.default_rng(seed)
        widths = [matrix.shape[1] for matrix in self.to_view]
        views = [np.empty((rows, width), dtype=np.float32) for width in widths]
        scores = np.empty((rows, len(PREVALENCE)))
        for start in range(0, rows, CHUNK):
            part = slice(start, min(start + CHUNK, rows))
            size = part.stop - part.start
            common, *alone = (
                rng.normal(size=(size, width)) for width in (LATENT, PRIVATE, PRIVATE)
            )
            for view, own, matrix in zip(views, alone, self.to_view, strict=True):
                told = np.tanh(np.concatenate([common, own], axis=1) @ matrix)
                view[part] = told + NOISE * rng.normal(size=told.shape)
            signal = sum(
                latent @ direction
                for latent, direction in zip((common, *alone), self.to_label, strict=True)
            )
            scores[part] = signal + DOUBT * rng.normal(size=scores[part].shape)
        return FeatureSet(
            ids=tuple(f"made-up-{row}" for row in range(rows)),
            image=views[0],
            text=views[1],
            targets=_labels(scores),
            labels=MAMI.names,
        )


def _unit(directions: Array) -> Array:
    unit: Array = directions / np.linalg.norm(directions, axis=0)
    return unit


def _labels(scores: Array) -> NDArray[np.float32]:
    """The likeliest rows are the parent's; of those, the likeliest of each kind are that kind's."""
    targets = np.zeros(scores.shape, dtype=np.float32)
    parent = scores[:, 0] > np.quantile(scores[:, 0], 1 - PREVALENCE[0])
    targets[:, 0] = parent
    for kind, prevalence in enumerate(PREVALENCE[1:], start=1):
        inside = scores[parent, kind]
        least = np.quantile(inside, 1 - prevalence / PREVALENCE[0])
        targets[:, kind] = parent & (scores[:, kind] > least)
    return targets


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of world; see `World`."""

    shared: float
    told: float


@dataclass(frozen=True, slots=True)
class Size:
    """Memes of one trial."""

    rows: int = 4000
    labels: int = 200
    test: int = 4000
    widths: tuple[int, int] = (256, 256)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A, B and mean AUC with and without CROM-AE in one drawn world."""

    setting: Setting
    cooked: Array
    raw: Array

    @property
    def gain(self) -> Array:
        return self.cooked - self.raw


def trial(task: tuple[Setting, int], size: Size, recipe: Recipe = BEST) -> Trial:
    """Draw a world, train twice on the same memes and labels, measure on others of that world."""
    torch.set_num_threads(1)
    setting, seed = task
    world = World.draw(setting.shared, seed, told=setting.told, widths=size.widths)
    train, test = world.memes(size.rows, 2 * seed + 1), world.memes(size.test, 2 * seed + 2)
    targets = train.targets.copy()
    targets[np.random.default_rng(seed).permutation(size.rows)[size.labels :]] = np.nan
    train = replace(train, targets=targets)
    scores = []
    for one in (replace(recipe, cook=True), replace(recipe, cook=False)):
        checkpoint = fit(train, one, encoder="made-up", seed=seed)
        said = checkpoint.predict(test.image, test.text)
        decided = checkpoint.decide(said).astype(np.float64)
        point, _ = resampled(test.targets.astype(np.float64), said, decided, resamples=1)
        scores.append(point[:3])
    return Trial(setting, *scores)


def bench_lab(
    out: Path,
    *,
    seeds: int,
    workers: int,
    report: Report,
    size: Size | None = None,
    recipe: Recipe = BEST,
) -> None:
    """Run all trials and write lab.md and lab.svg."""
    size = size or Size()
    settings = dict.fromkeys(
        [*(Setting(shared, 1.0) for shared in SHARED), *(Setting(USUAL, told) for told in TOLD)]
    )
    tasks = [(setting, seed) for seed in range(seeds) for setting in settings]
    trials: list[Trial] = []
    one = partial(trial, size=size, recipe=recipe)
    for done in in_fresh_processes(one, tasks, workers=workers):
        trials.append(done)
        report(f"{len(trials)} of {len(tasks)} trials", len(trials) / len(tasks))
    out.mkdir(parents=True, exist_ok=True)
    (out / "lab.md").write_text(to_markdown(trials, size, seeds), encoding="utf-8")
    _draw(trials, out / "lab.svg")


def mean_gain(trials: Sequence[Trial], score: int) -> Figure:
    """Mean gain over drawn worlds with Student's 95 % interval."""
    return over_draws([one.gain[score] for one in trials])


def _about(trials: Iterable[Trial], setting: Setting) -> list[Trial]:
    return [one for one in trials if one.setting == setting]


def to_markdown(trials: Sequence[Trial], size: Size, seeds: int) -> str:
    parts = [
        "# When unlabelled memes help",
        heading(),
        f"Made-up memes: picture and text are each tanh(latents · map) + noise, {size.widths[0]} + "
        f"{size.widths[1]} features. {LATENT} latents are common to both; {PRIVATE} more belong to "
        f"the picture alone, {PRIVATE} to the text alone, and carry the rest of the variance. All "
        "latents and maps are drawn from normal distributions, with no structure made for a "
        f"network; the noise's deviation is {NOISE}. The labels follow random directions in the "
        f"latents, blurred (deviation {DOUBT} beside a signal of 1), with MAMI's prevalences.",
        f"{size.labels:,} of {size.rows:,} memes are labelled ({size.labels / size.rows:.0%}); "
        f"measured on {size.test:,} others. {seeds} worlds are drawn for each line, and in each "
        "`best` learns with CROM-AE and without, from the same memes, labels and seed. Gains are "
        "means over worlds with Student's 95 % intervals, in bold where above zero.",
        "## How much both tell",
        "The labels are about what picture and text tell both. To expect: no gain without a shared "
        "part, as there is nothing to reconstruct (and nothing that tells the labels); most where "
        "a weak signal that both carry hides in what each tells alone; less again where it is so "
        "strong that raw features show it to a few labels.",
        _table(trials, "shared", [(shared, Setting(shared, 1.0)) for shared in SHARED]),
        "![Gains against the shared part, and against what the labels are about](lab.svg)",
        "## What the labels are about",
        f"Of the variance {USUAL:.0%} is shared. The labels are less and less about that and more "
        "and more about what picture or text tells alone. To expect: no gain at the end, as a "
        "network that predicts one from the other has no reason to keep the rest.",
        _table(trials, "labels about both", [(told, Setting(USUAL, told)) for told in TOLD]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(trials: Sequence[Trial], title: str, lines: Sequence[tuple[float, Setting]]) -> str:
    rows = [
        f"| {title} | B with | B without | AUC with | AUC without | gain in B | gain in mean AUC |",
        "| --- " * 7 + "|",
    ]
    for value, setting in lines:
        those = _about(trials, setting)
        cooked, raw = (
            np.mean([getattr(one, side) for one in those], axis=0) for side in ("cooked", "raw")
        )
        rows.append(
            f"| {value:.0%} | {cooked[1]:.3f} | {raw[1]:.3f} | {cooked[2]:.3f} | {raw[2]:.3f} "
            f"| {in_words(mean_gain(those, 1))} | {in_words(mean_gain(those, 2))} |"
        )
    return "\n".join(rows)


def _draw(trials: Sequence[Trial], path: Path) -> None:
    panels = []
    for title, x_title, varied in (
        ("Labels about what both tell", "shared variance", "shared"),
        (f"{USUAL:.0%} shared variance", "labels about what both tell", "told"),
    ):
        values = SHARED if varied == "shared" else TOLD
        lines = []
        for score, name, colour, marker in (
            (1, "gain in B", BLUE, "o"),
            (2, "gain in mean AUC", VERMILLION, "s"),
        ):
            figures = [
                mean_gain(
                    _about(trials, Setting(x, 1.0) if varied == "shared" else Setting(USUAL, x)),
                    score,
                )
                for x in values
            ]
            y, low, high = np.array([[f.value, f.low, f.high] for f in figures]).T
            lines.append(Line(name, values, y, low, high, colour, marker))
        ticks = [(x, "" if 0 < x < 0.1 else f"{x:.0%}") for x in values]  # no room for a word
        panels.append(Panel(title, lines, x_title, ticks, zero=True))
    draw(panels, path)
