"""The results of the learning benchmark as Markdown, CSV and figures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from memeapp.bench.cells import SCORES, Cell, Method, Result
from memeapp.bench.figures import BLUE, GREEN, INK, PURPLE, VERMILLION, Line, Panel, draw
from memeapp.bench.labelled import Labelled
from memeapp.bench.machine import heading
from memeapp.labels import MAMI
from memeapp.learn.metrics import Figure

OURS = "best"
ENOUGH = 50
"""Positives of a label in the test from which on its calibration error is told."""
PUBLISHED = {5: 0.678, 10: 0.711, 30: 0.741}
"""SemiMemes' task B on MAMI's test set with CLIP's features, by percent of labels (the paper)."""
DRAWN = {
    "tfidf": (INK, "v", ":"),
    "logistic": (INK, "s", "--"),
    "svm": (INK, "^", "-."),
    "reference": (VERMILLION, "D", "-"),
    "paper": (PURPLE, "P", "-"),
    "best": (BLUE, "o", "-"),
}
"""Colour, marker and line of the methods in the figure of scores."""
ABLATION = {
    "neither": (INK, "s", ":"),
    "no-loss": (GREEN, "^", "--"),
    "no-cook": (PURPLE, "v", "-."),
    "reference": (VERMILLION, "D", "-"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """All results with what they are about."""

    train: Labelled
    test: Labelled
    methods: tuple[Method, ...]
    counts: tuple[int, ...]
    seeds: int
    inits: int
    results: Mapping[Cell, Result]
    title: str = "What labels are worth"
    figures: bool = True

    def of(self, method: str, labels: int) -> list[Result]:
        """One result for every subset and initialisation."""
        return [
            result
            for cell, result in self.results.items()
            if cell.method == method and cell.labels == labels
        ]


class Scored(Protocol):
    """A run: its scores, and the same under resamples of the test memes."""

    @property
    def scores(self) -> NDArray[np.float64]: ...
    @property
    def spread(self) -> NDArray[np.float64]: ...


def paired(ours: Sequence[Scored], theirs: Sequence[Scored], score: int) -> Figure:
    """Mean over ours minus mean over theirs, with its 95 % interval over the test memes.

    Each resample of the memes is the same for all runs, so what makes the test easy or hard for
    everybody cancels.
    """
    value = np.mean([run.scores[score] for run in ours])
    value -= np.mean([run.scores[score] for run in theirs])
    spread = np.mean([run.spread[:, score] for run in ours], axis=0)
    spread -= np.mean([run.spread[:, score] for run in theirs], axis=0)
    low, high = np.nanpercentile(spread, (2.5, 97.5))
    return Figure(float(value), float(low), float(high))


def over_draws(values: Sequence[float]) -> Figure:
    """Mean over independent draws with Student's 95 % interval; NaN around a single one."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Figure(mean, float("nan"), float("nan"))
    reach = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return Figure(mean, mean - float(reach), mean + float(reach))


def mean_and_spread(runs: Iterable[Result], score: int) -> tuple[float, float]:
    """Mean and standard deviation over runs; 0 for one run."""
    values = [run.scores[score] for run in runs]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _share(outcome: Outcome, labels: int) -> str:
    """ "450 labels (5 %)": for people."""
    return f"{labels:,} labels ({100 * labels / len(outcome.train):.3g} %)"


def to_markdown(outcome: Outcome) -> str:
    parts = [_opening(outcome)]
    for labels in outcome.counts:
        parts.append(f"## {_share(outcome, labels)}\n\n{_table(outcome, labels)}")
        if outcome.of(OURS, labels):
            parts.append(_differences(outcome, labels))
    if outcome.figures:
        parts.append(
            "## Figures\n\n"
            "![Task B and mean AUC against the number of labels](scores.svg)\n\n"
            "![What the loss and the autoencoders are worth](ablation.svg)"
        )
    return "\n\n".join(parts) + "\n"


def _opening(outcome: Outcome) -> str:
    train, test = outcome.train, outcome.test
    width = train.features.image.shape[1], train.features.text.shape[1]
    prevalence = ", ".join(
        f"{label} {value:.3f}"
        for label, value in zip(
            train.features.labels, np.nanmean(train.features.targets, axis=0), strict=True
        )
    )
    lines = [
        f"# {outcome.title}",
        heading(),
        f"- Learned from: `{train.name}`, {len(train):,} labelled memes ({prevalence}). Measured "
        f"on: {len(test):,} memes of `{test.name}` that are in no subset.\n"
        f"- Encoder `{train.encoder}`: {width[0]} picture and {width[1]} text features. SHA-256 of "
        f"the data: {train.digest()[:12]}, {test.digest()[:12]}.\n"
        f"- Subsets of labels: {outcome.seeds}, initialisations of each: {outcome.inits} "
        "(regressions and SVMs have none); fewer labels are part of more. The other memes stay "
        "in, without labels; the initialisations of a subset share its autoencoders. "
        "Cells are mean ± standard deviation over these runs.\n"
        "- Every choice (epochs, settings, calibration, thresholds) is made inside the labels, out "
        "of fold. `reference`, its ablations and `paper` decide at z > 0, as published.\n"
        "- A and B are the official scores, AUC and ECE (calibration error, 10 bins of equal "
        f"count) means over labels, “worst” the largest ECE of a label with {ENOUGH} positives in "
        "the test.\n"
        "- Seconds are wall time, end to end, with the command's number of processes at a time; "
        "autoencoders that several rows share count in each. Memory is the largest resident size, "
        "Python and data included.\n"
        "- Differences are `best` minus the row, mean over runs; their 95 % intervals resample the "
        "test memes (1,000 times, the same for both), not the runs.",
    ]
    known = {round(100 * n / len(train)): n for n in outcome.counts}
    if train.features.labels == MAMI.names and known.keys() & PUBLISHED.keys():
        published = ", ".join(
            f"{percent} %: {PUBLISHED[percent]}" for percent in PUBLISHED if percent in known
        )
        lines.append(
            f"For orientation only, published for SemiMemes on another test set and with CLIP's "
            f"features, B at {published}."
        )
    return "\n\n".join(lines)


def _table(outcome: Outcome, labels: int) -> str:
    rows = [
        "| | A | B | mean AUC | ECE | worst | seconds | peak MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for method in outcome.methods:
        runs = outcome.of(method.key, labels)
        if not runs:
            continue
        cells = []
        for score in range(len(SCORES)):
            mean, spread = mean_and_spread(runs, score)
            cells.append(f"{mean:.3f}" + (f" ± {spread:.3f}" if len(runs) > 1 else ""))
        worst = np.mean([worst_calibration(outcome, run) for run in runs])
        seconds = np.mean([run.seconds for run in runs])
        peak = max(run.peak_mib for run in runs)
        cells += [f"{worst:.3f}", f"{seconds:.1f}", f"{peak:,.0f}"]
        rows.append(f"| {method.title} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _differences(outcome: Outcome, labels: int) -> str:
    rows = ["| `best` minus | A | B | mean AUC |", "| --- | --- | --- | --- |"]
    for method in outcome.methods:
        runs = outcome.of(method.key, labels)
        if method.key == OURS or not runs:
            continue
        figures = [paired(outcome.of(OURS, labels), runs, score) for score in range(3)]
        rows.append(f"| {method.title} | {' | '.join(map(in_words, figures))} |")
    return "\n".join(rows)


def in_words(figure: Figure) -> str:
    """ "+0.021 [+0.010, +0.033]", in bold where the interval is above zero."""
    text = f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]"
    return f"**{text}**" if figure.low > 0 else text


def worst_calibration(outcome: Outcome, run: Result) -> float:
    """Largest calibration error of a label that the test has positives enough of."""
    enough = np.nansum(outcome.test.features.targets > 0.5, axis=0) >= ENOUGH
    errors = run.scores[len(SCORES) + 2 * len(enough) :][enough]
    return float(errors.max()) if len(errors) else float("nan")


def write_csv(outcome: Outcome, path: Path) -> None:
    """One line a run."""
    labels = outcome.test.features.labels
    per_label = [f"{score} {label}" for score in ("F1", "AUC", "ECE") for label in labels]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["method", "labels", "seed", "init", "seconds", "peak MiB", *SCORES, *per_label]
        )
        for cell, run in outcome.results.items():
            writer.writerow(
                [
                    cell.method,
                    cell.labels,
                    cell.seed,
                    cell.init,
                    f"{run.seconds:.2f}",
                    f"{run.peak_mib:.0f}",
                    *(f"{value:.5f}" for value in run.scores),
                ]
            )


def draw_scores(outcome: Outcome, path: Path) -> None:
    """B and mean AUC against the number of labels."""
    draw([_panel(outcome, DRAWN, score) for score in (1, 2)], path, logarithmic=True)


def draw_ablation(outcome: Outcome, path: Path) -> None:
    """The same for `reference` with and without its two parts."""
    draw([_panel(outcome, ABLATION, score) for score in (1, 2)], path, logarithmic=True)


def _panel(outcome: Outcome, drawn: Mapping[str, tuple[str, str, str]], score: int) -> Panel:
    """Means over runs, with bars of one standard deviation; lines stand a little apart."""
    lines = []
    for number, (key, (colour, marker, style)) in enumerate(drawn.items()):
        points = [
            (labels * 1.02 ** (number - len(drawn) / 2), *mean_and_spread(runs, score))
            for labels in outcome.counts
            if (runs := outcome.of(key, labels))
        ]
        if points:
            x, y, spread = np.array(points).T
            title = next(method.title for method in outcome.methods if method.key == key)
            lines.append(
                Line(title.replace("`", ""), x, y, y - spread, y + spread, colour, marker, style)
            )
    ticks = [(n, f"{n:,}\n{100 * n / len(outcome.train):.3g} %") for n in outcome.counts]
    title = "Task B, official" if score == 1 else "Mean AUC"
    return Panel(title, lines, "labels", ticks)
