"""The whole loop: import without labels, label as the app hands out, retrain, let the gate decide,
rank anew, and again; for each policy of the queues and each seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from memeapp.bench.annotators import Annotators, Truth
from memeapp.bench.loop_data import (
    App,
    app_settings,
    data_folders,
    digest,
    encode,
    quiet,
    read_truth,
)
from memeapp.bench.loop_page import write_page
from memeapp.bench.loop_steps import (
    FIRST,
    PEOPLE,
    POLICIES,
    Loop,
    Step,
    Task,
    read_run,
    write_run,
)
from memeapp.bench.machine import measured
from memeapp.errors import Unavailable
from memeapp.judging import Plan
from memeapp.learn.metrics import task_a, task_b
from memeapp.service.evaluation import Answers
from memeapp.service.features import Report, between, feature_set
from memeapp.settings import Settings
from memeapp.types import ModelVersion


def bench_loop(
    folder: Path,
    out: Path,
    *,
    settings: Settings,
    open_app: Callable[[Settings], App],
    task: Task,
    report: Report,
) -> Loop:
    """Run what is missing in `out`/cells; after each run, write the page of all there is.

    No version is shipped with the apps of the runs: the shipped one may have learned from these
    very memes. The first version of each run therefore answers without a comparison.

    Args:
        folder: labelled memes; their labels stay with the annotators.

    Raises:
        BadInput: a meme lacks a label.
        TooFewLabels: the step is too short to train on.
    """
    cells = out / "cells"
    cells.mkdir(parents=True, exist_ok=True)
    (cells / ".gitignore").write_text("*\n", encoding="utf-8")
    base = open_app(app_settings(settings, cells / "encoded"))
    rows, truth = read_truth(folder, base.schema)
    encoder = encode(base, rows, folder.name, between(report, 0.0, 0.1))
    loop = Loop(folder.name, len(truth), encoder, digest(rows, truth), task, ())
    runs = [(policy, seed) for seed in range(task.seeds) for policy in POLICIES]
    found = {run: read_run(cells, loop, *run) for run in runs}
    loop = loop.with_steps(found)
    for seed in range(task.seeds):
        missing = [policy for policy in POLICIES if not found[policy, seed]]
        for policy, data in data_folders(
            base, open_app, settings, rows, folder.name, seed, missing
        ):
            done = sum(map(bool, found.values()))
            telling = between(report, *(0.1 + 0.9 * (done + end) / len(runs) for end in (0, 1)))
            app = open_app(app_settings(settings, data))
            found[policy, seed] = list(_run(app, policy, seed, truth, task, telling))
            app.store.close()
            write_run(cells, loop, policy, seed, found[policy, seed])
            loop = loop.with_steps(found)
            write_page(loop, out)
    base.store.close()
    write_page(loop, out)
    return loop


def _run(
    app: App, policy: str, seed: int, truth: Truth, task: Task, report: Report
) -> Iterator[Step]:
    """Label, train, rank, until every meme is labelled.

    A version that waits stays waiting: nobody looks at it.

    Raises:
        Unavailable: a training failed.
    """
    app.store.chance = random.Random(seed).random
    for number in range(seed):  # the order of chance follows from the session's number
        earlier = app.labelling.open_session(Plan(f"Before {number}"), list(truth)[:1])
        app.labelling.close(earlier.id)
    session = app.labelling.open_session(
        Plan(policy, votes_per_meme=1, policy=POLICIES[policy]), list(truth)
    )
    annotators = Annotators(
        app.labelling, session.id, truth, people=PEOPLE, noise=task.noise, seed=seed
    )
    labels = 0
    while given := annotators.label(task.step):
        labels += given.total()
        report(f"{policy}, seed {seed}: {labels} of {len(truth)} labels", labels / len(truth))
        with measured() as cost:
            job = app.jobs.run(app.jobs.queue().id, seed=seed, recipe=task.recipe)
            app.ranking.rank_open(quiet)
        if job.version is None:
            raise Unavailable(f"The training after {labels} labels failed: {job.message}")
        new, answering = app.registry.find(job.version), app.registry.current()
        held_out = app.store.memes(held_out=True)
        a, b = _on_truth(app, new, truth)
        answering_a, answering_b = _on_truth(app, answering, truth)
        yield Step(
            policy=policy,
            seed=seed,
            labels=labels,
            by_chance=given["random"],
            held_out_labelled=len(app.store.memes(held_out=True, labelled=True)),
            held_out=len(held_out),
            templates=len({meme.template for meme in held_out}),
            a=a,
            b=b,
            answering_a=answering_a,
            answering_b=answering_b,
            promoted=answering.name == new.name,
            seconds=round(cost.seconds, 2),
            peak_mib=round(cost.peak_mib, 1),
            **_seen(new),
        )


def _on_truth(app: App, version: ModelVersion, truth: Truth) -> tuple[float, float]:
    """A and B of a version on all held-out memes."""
    memes = app.store.memes(held_out=True)
    names = app.schema.names
    targets = {
        meme.id: np.array([truth[meme.id][name] for name in names], dtype=np.float32)
        for meme in memes
    }
    encoder = app.engines.encoder_for(version.encoder)
    rows = feature_set(app.store, memes, encoder, targets, names)
    said = Answers.of(app.registry.load(version.name), rows)
    return (
        task_a(said.truth[:, 0], said.decisions[:, 0]),
        task_b(said.truth[:, 1:], said.decisions[:, 1:]),
    )


def _seen(version: ModelVersion) -> dict[str, Any]:
    """What the app itself knows of a version, as columns of `Step`."""
    metrics: Mapping[str, Any] = version.metrics
    gate = metrics.get("gate", {"verdict": FIRST})
    a, b = (gate.get(task) or {} for task in ("task_a", "task_b"))
    return {
        "seen_b": metrics.get("task_b", {}).get("value"),
        "verdict": gate["verdict"],
        "difference_a": a.get("value"),
        "not_worse_a": a.get("not_worse"),
        "difference_b": b.get("value"),
        "not_worse_b": b.get("not_worse"),
    }
