"""The paper's protocol (SemiMemes, arXiv 2304.00020) on any labelled memes: few labels, many
subsets, every method on the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from memeapp.bench.cells import METHODS, Method, compute, plan
from memeapp.bench.labelled import Labelled
from memeapp.bench.results import Outcome, draw_ablation, draw_scores, to_markdown, write_csv
from memeapp.errors import BadInput
from memeapp.learn.train import MINIMUM_ROWS
from memeapp.service.features import Report


def bench_learn(
    train: Labelled,
    test: Labelled,
    out: Path,
    *,
    counts: Sequence[int],
    seeds: int,
    inits: int,
    report: Report,
    methods: Sequence[Method] = METHODS,
    workers: int = 2,
    choices: bool = False,
) -> Outcome:
    """Run what is missing in `out`/cells and write results.md, results.csv and two figures.

    Args:
        counts: numbers of labels; the other memes of `train` stay in it without theirs.
        choices: `methods` are those of `CHOICES`; the page says so and has no figures.

    Raises:
        BadInput: with a number of labels that there are not.
    """
    counts = sorted(set(counts))
    for labels in counts:
        if not MINIMUM_ROWS <= labels <= len(train):
            raise BadInput(
                f"{labels} labels are asked for; between {MINIMUM_ROWS} and the {len(train)} that "
                "there are can be tried."
            )
    cells = list(plan(methods, counts, seeds, inits, len(train)))
    results = compute(cells, train, test, out / "cells", workers=workers, report=report)
    outcome = Outcome(train, test, tuple(methods), tuple(counts), seeds, inits, results)
    if choices:
        outcome = replace(outcome, title="What the choices in `best` are worth", figures=False)
    else:
        draw_scores(outcome, out / "scores.svg")
        draw_ablation(outcome, out / "ablation.svg")
    write_csv(outcome, out / "results.csv")
    (out / "results.md").write_text(to_markdown(outcome), encoding="utf-8")
    return outcome
