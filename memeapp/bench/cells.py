"""The cells of the learning benchmark: one method on one subset of labels with one initialisation.

A finished cell is a file; started again, a benchmark computes only what is missing or outdated.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from memeapp.bench.baselines import Answers, answers
from memeapp.bench.labelled import Labelled
from memeapp.bench.machine import Cost, in_fresh_processes, measured
from memeapp.errors import BadInput
from memeapp.learn.metrics import resampled
from memeapp.learn.recipe import BEST, PAPER, REFERENCE, Recipe
from memeapp.learn.train import Autoencoders, Learned, assemble, learn, pretrain
from memeapp.service.features import Report

Array = NDArray[np.float64]

PROTOCOL = 1
"""Part of every cell's key: raise it when cells written before mean something else."""
SCORES = ("A", "B", "AUC", "ECE")
DECAYS = {5: 0.93, 10: 0.90, 30: 0.85}
"""Of the learning rate an epoch, by percent of labels."""
PRETRAINING = ("normalise", "cook_on_all", "hidden", "autoencoder")
"""What of a recipe its autoencoders depend on."""


Finish = Callable[[Learned, Labelled, Labelled, Recipe, int], Answers]
"""Heads, memes to learn from, memes of the test, recipe and seed to answers on the test."""


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the result."""

    key: str
    title: str
    recipe: Recipe | None
    """None: the baseline of that key, which has no initialisation."""
    finish: Finish | None = None
    """What is done with the trained heads of the recipe, where it is not `assemble`."""


METHODS = (
    Method("logistic", "logistic regression, features", None),
    Method("svm", "SVM-RBF, features", None),
    Method("tfidf", "logistic regression, TF-IDF of words", None),
    Method("neither", "reference without both", replace(REFERENCE, cook=False, loss=None)),
    Method("no-loss", "reference without DB loss", replace(REFERENCE, loss=None)),
    Method("no-cook", "reference without CROM-AE", replace(REFERENCE, cook=False)),
    Method("reference", "`reference`: CROM-AE + RAW-N-COOK", REFERENCE),
    Method("paper", "`paper`", PAPER),
    Method("best", "`best`", BEST),
)


def choose(methods: Sequence[Method], keys: Sequence[str] | None) -> tuple[Method, ...]:
    """Those of these keys in the usual order; all for None. Raises: BadInput."""
    known = [method.key for method in methods]
    if unknown := [key for key in keys or () if key not in known]:
        raise BadInput(f"Unknown method {unknown[0]!r}; there are {', '.join(known)}.")
    return tuple(method for method in methods if keys is None or method.key in keys)


def published(recipe: Recipe, labels: int, rows: int) -> Recipe:
    """The recipe with the decay that SemiMemes' code takes for this share of labels."""
    if recipe.classifier != REFERENCE.classifier:
        return recipe
    near = min(DECAYS, key=lambda percent: abs(percent - 100 * labels / rows))
    return replace(recipe, classifier=replace(recipe.classifier, decay=DECAYS[near]))


@dataclass(frozen=True, slots=True)
class Cell:
    """What is computed: a method with `labels` labels, for a subset's and an initial seed."""

    method: str
    labels: int
    seed: int
    init: int

    @property
    def file(self) -> str:
        return f"{self.method}-{self.labels}-{self.seed}-{self.init}.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A finished cell."""

    cell: Cell
    seconds: float
    peak_mib: float
    scores: Array
    """(4 + 3 C,): `SCORES`, then per label F1, AUC and calibration error."""
    spread: Array
    """(resamples, 4): `SCORES` under resamples of the test memes, the same for every cell."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Cells with the same labelled memes: they share the autoencoders, which see no label."""

    folder: Path
    cells: tuple[tuple[Cell, Method, str], ...]
    """With each cell's key."""


def subset(memes: Labelled, labels: int, seed: int) -> Labelled:
    """The same memes with the targets of all but `labels` hidden; fewer are part of more."""
    hidden = np.random.default_rng(seed).permutation(len(memes))[labels:]
    targets = memes.features.targets.copy()
    targets[hidden] = np.nan
    return replace(memes, features=replace(memes.features, targets=targets))


def plan(
    methods: Sequence[Method], counts: Sequence[int], seeds: int, inits: int, rows: int
) -> Iterator[tuple[Cell, Method]]:
    """All cells, those of the first subset first: whatever is done can be compared.

    A recipe that cooks on unlabelled memes has no cell where all `rows` are labelled.
    """
    for seed in range(seeds):
        for init in range(inits):
            for labels in counts:
                for method in methods:
                    recipe = method.recipe
                    if recipe is None and init:
                        continue
                    if recipe and not recipe.cook_on_all and labels == rows:
                        continue
                    if recipe:
                        method = replace(method, recipe=published(recipe, labels, rows))
                    yield Cell(method.key, labels, seed, init), method


def compute(
    cells: Sequence[tuple[Cell, Method]],
    train: Labelled,
    test: Labelled,
    folder: Path,
    *,
    workers: int,
    report: Report,
) -> dict[Cell, Result]:
    """Compute what `folder` lacks and return all results."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    data = f"{PROTOCOL} {train.digest()} {test.digest()}"
    keys = {cell: _key(data, cell, method) for cell, method in cells}
    missing: dict[tuple[int, int], list[tuple[Cell, Method, str]]] = {}
    for cell, method in cells:
        if _read(folder, cell, keys[cell]) is None:
            group = missing.setdefault((cell.seed, cell.labels), [])
            group.append((cell, method, keys[cell]))
    groups = [_Group(folder, tuple(group)) for group in missing.values()]
    done = len(cells) - sum(len(group.cells) for group in groups)
    report(f"{done} of {len(cells)} cells", done / len(cells))
    finished = in_fresh_processes(
        _run_group,
        groups,
        workers=workers,
        initializer=partial(_hand_over, train, test),
    )
    for count in finished:
        done += count
        report(f"{done} of {len(cells)} cells", done / len(cells))
    results = {cell: _read(folder, cell, keys[cell]) for cell, _ in cells}
    return {cell: result for cell, result in results.items() if result}


def _key(data: str, cell: Cell, method: Method) -> str:
    recipe = method.recipe.to_dict() if method.recipe else None
    return hashlib.sha256(json.dumps([data, cell.file, recipe]).encode()).hexdigest()


_memes: tuple[Labelled, Labelled] | None = None


def _hand_over(train: Labelled, test: Labelled) -> None:
    """Give a worker its data once; each of its tasks is small then."""
    global _memes
    _memes = train, test


def _run_group(group: _Group) -> int:
    """Compute and write the cells of a group; returns how many."""
    assert _memes is not None
    everything, test = _memes
    torch.set_num_threads(1)
    first = group.cells[0][0]
    train = subset(everything, first.labels, first.seed)
    shared: dict[tuple[object, ...], tuple[Autoencoders, Cost]] = {}
    for cell, method, key in group.cells:
        seed = 100 * cell.seed + cell.init
        if method.recipe:
            said, cost = _fit_and_ask(
                method.recipe, method.finish or plain, train, test, seed, shared
            )
        else:
            with measured() as cost:
                said = answers(method.key, train, test, seed)
        _write(group.folder, cell, key, said, test, cost)
    return len(group.cells)


def plain(learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int) -> Answers:
    """What the recipe's checkpoint says of the test."""
    checkpoint = assemble(learned, train.features, recipe, encoder=train.encoder, seed=seed)
    probabilities = checkpoint.predict(test.features.image, test.features.text)
    return Answers(probabilities, checkpoint.decide(probabilities))


def _fit_and_ask(
    recipe: Recipe,
    finish: Finish,
    train: Labelled,
    test: Labelled,
    seed: int,
    shared: dict[tuple[object, ...], tuple[Autoencoders, Cost]],
) -> tuple[Answers, Cost]:
    """Autoencoders that an earlier recipe has fitted are taken over, and their cost with them."""
    autoencoders, pretraining = None, Cost()
    if recipe.cook:
        needs = tuple(getattr(recipe, name) for name in PRETRAINING)
        if needs not in shared:
            with measured() as cost:
                fitted = pretrain(train.features, recipe, seed=seed)
            shared[needs] = fitted, cost
        autoencoders, pretraining = shared[needs]
    with measured() as cost:
        learned = learn(train.features, recipe, seed=seed, autoencoders=autoencoders)
        said = finish(learned, train, test, recipe, seed)
    seconds = pretraining.seconds + cost.seconds
    return said, Cost(seconds, max(pretraining.peak_mib, cost.peak_mib))


def _write(folder: Path, cell: Cell, key: str, said: Answers, test: Labelled, cost: Cost) -> None:
    targets = test.features.targets.astype(np.float64)
    truth = np.where(np.isnan(targets), np.nan, targets > 0.5)
    scores, spread = resampled(truth, said.probabilities, said.decisions.astype(np.float64))
    partial = folder / f"{cell.file}.{os.getpid()}.partial"
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            key=key,
            cost=(cost.seconds, cost.peak_mib),
            scores=scores,
            spread=spread[:, : len(SCORES)].astype(np.float32),
            probabilities=said.probabilities.astype(np.float32),
            decisions=said.decisions,
        )
    partial.replace(folder / cell.file)


def _read(folder: Path, cell: Cell, key: str) -> Result | None:
    """A finished cell; None if it is not there or was made from other data or another recipe."""
    try:
        with np.load(folder / cell.file) as file:
            if str(file["key"]) != key:
                return None
            seconds, peak = map(float, file["cost"])
            return Result(cell, seconds, peak, file["scores"], file["spread"].astype(np.float64))
    except (OSError, KeyError, ValueError, BadZipFile):
        return None
