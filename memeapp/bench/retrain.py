"""A retraining as the Admin page starts it: how long, how much memory, and who has to wait."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from memeapp.bench.annotators import Annotators, Truth
from memeapp.bench.loop_data import App, encode, read_truth
from memeapp.bench.machine import heading
from memeapp.bench.people import Seen, label_together
from memeapp.bench.server import running
from memeapp.errors import BadInput, Unavailable
from memeapp.judging import Plan
from memeapp.service.features import Report, between
from memeapp.settings import Settings
from memeapp.types import ModelVersion

WARM_UP = 15.0
"""Seconds in which people join and the server gets warm; not counted."""
PEOPLE = 5
NOISE = 0.1
FOREVER = 10**9


@dataclass(frozen=True, slots=True)
class Run:
    """One retraining."""

    seconds: float
    """From the click to the end of its process, which ranks the memes of open sessions last."""
    version: ModelVersion


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds from sending a judgement to having the next meme."""

    quiet: NDArray[np.float64]
    busy: NDArray[np.float64]
    """While a retraining ran."""


def bench_retrain(
    folder: Path,
    out: Path,
    *,
    labelled: int,
    people: int,
    pause: float,
    rounds: int,
    settings: Settings,
    open_app: Callable[[Settings], App],
    report: Report,
) -> None:
    """Retrain on the memes of a folder, first alone, then while people label; write `retrain.md`.

    The memes are imported without labels and encoded once, into a data folder under `out` that a
    second run finds again; simulated annotators label them, a tenth of their answers flipped.

    Args:
        labelled: memes to learn from that somebody has judged; held-out ones come on top.
        pause: seconds that people think on average.
        rounds: retrainings alone, and as many among people.

    Raises:
        BadInput: the folder has too few memes.
        Unavailable: the app did not start, or a training failed.
    """
    cells = out / "cells"
    cells.mkdir(parents=True, exist_ok=True)
    (cells / ".gitignore").write_text("*\n", encoding="utf-8")
    settings = replace(settings, data=cells / "data")
    app = open_app(settings)
    rows, truth = read_truth(folder, app.schema)
    encoder = encode(app, rows, folder.name, between(report, 0.0, 0.6))
    for session in app.labelling.sessions():  # of a run before
        app.labelling.close(session.id)
    _label(app, truth, labelled)
    counts = app.training.counts()
    alone = []
    for number in range(rounds):
        report(f"Retraining alone, {number + 1} of {rounds}", 0.6 + 0.2 * number / rounds)
        alone.append(_retrain(app))
    with running(settings.data, password := secrets.token_urlsafe(12)) as address:
        waits, among = asyncio.run(
            _among_people(app, address, password, people, pause, rounds, between(report, 0.8, 1.0))
        )
    app.store.close()
    page = to_markdown(
        f"{counts.memes:,} memes, {counts.labelled - counts.held_out_labelled:,} labelled ones to "
        f"learn from, {counts.held_out_labelled:,} labelled ones held out, on {encoder}",
        people,
        pause,
        alone,
        among,
        waits,
    )
    (out / "retrain.md").write_text(page, encoding="utf-8")


def _label(app: App, truth: Truth, wanted: int) -> None:
    """Let annotators label until so many memes can be learned from. Raises: BadInput."""

    def missing() -> int:
        counts = app.training.counts()
        return wanted - (counts.labelled - counts.held_out_labelled)

    if missing() <= 0:
        return
    session = app.labelling.open_session(Plan("Before", votes_per_meme=1), list(truth))
    annotators = Annotators(app.labelling, session.id, truth, people=PEOPLE, noise=NOISE, seed=0)
    while (more := missing()) > 0:
        if not annotators.label(more):
            raise BadInput(
                f"{wanted:,} labelled memes are asked for, {more:,} more than the folder has."
            )
    app.labelling.close(session.id)


def _retrain(app: App) -> Run:
    """Start a job as the Admin page does and wait for its process. Raises: Unavailable."""
    began = time.perf_counter()
    job = app.jobs.start()
    if job.pid is not None:
        psutil.Process(job.pid).wait()
    seconds = time.perf_counter() - began
    job = app.store.job(job.id)
    if job.version is None:
        raise Unavailable(f"The training failed: {job.message}")
    return Run(seconds, app.registry.find(job.version))


async def _among_people(
    app: App,
    address: str,
    password: str,
    people: int,
    pause: float,
    rounds: int,
    report: Report,
) -> tuple[Waits, list[Run]]:
    """Retrainings while people label, each after a while of quiet that is as long."""
    seen = Seen()
    labelling = asyncio.create_task(
        label_together(
            address, password, people, FOREVER, 60.0, pause, lambda stage, done: None, seen
        )
    )
    await asyncio.sleep(WARM_UP)
    first, length, windows, runs = time.perf_counter(), 30.0, [], []
    for number in range(rounds):
        report(f"Retraining among {people} people, {number + 1} of {rounds}", number / rounds)
        await asyncio.sleep(length)
        began = time.perf_counter()
        runs.append(await asyncio.to_thread(_retrain, app))
        length = time.perf_counter() - began
        windows.append((began, began + length))
    if labelling.done():
        labelling.result()  # raises what ended it
    labelling.cancel()
    await asyncio.gather(labelling, return_exceptions=True)
    if seen.errors:
        raise Unavailable(f"People met errors: {seen.errors[0]}")
    return sort_out(seen, first, windows), runs


def sort_out(seen: Seen, first: float, windows: Sequence[tuple[float, float]]) -> Waits:
    """Requests sent from `first` on, by whether they were sent within one of these windows."""
    began, seconds = np.array(seen.began), np.array(seen.seconds)
    busy = np.zeros(len(began), dtype=bool)
    for start, end in windows:
        busy |= (began >= start) & (began < end)
    return Waits(seconds[(began >= first) & ~busy], seconds[busy])


def to_markdown(
    what: str,
    people: int,
    pause: float,
    alone: Sequence[Run],
    among: Sequence[Run],
    waits: Waits,
) -> str:
    """The results in Markdown."""
    quiet, busy = (
        1e3 * np.quantile(seconds, (0.5, 0.95, 1.0)) for seconds in (waits.quiet, waits.busy)
    )
    lines = [
        "# A retraining, alone and among people",
        "",
        heading(),
        "",
        f"{what}, everything encoded before. A retraining is what the Admin page starts: a process "
        "of its own at low priority, from the click until it has ranked the memes of the open "
        "sessions anew. Its memory is the largest resident size, Python and PyTorch included.",
        "",
        "| | seconds | of these training | peak MiB |",
        "| --- | --- | --- | --- |",
    ]
    for name, runs in (("alone", alone), ("among people", among)):
        lines += [
            f"| {name}, {number} | {run.seconds:.1f} | {run.version.data['seconds']:.1f} | "
            f"{run.version.data['peak_memory_mb']:,.0f} |"
            for number, run in enumerate(runs, 1)
        ]
    lines += [
        "",
        "## Who has to wait",
        "",
        f"{people} clients label over HTTP meanwhile, each thinks {pause:g} s on average. One "
        "request saves a judgement durably and brings the next meme. Before each retraining comes "
        "a while of quiet of about its length.",
        "",
        "| submit and next | quiet | while retraining | ratio |",
        "| --- | --- | --- | --- |",
        f"| requests | {len(waits.quiet):,} | {len(waits.busy):,} | |",
    ]
    for name, q, b in zip(("median", "95 %", "largest"), quiet, busy, strict=True):
        lines.append(f"| {name} | {q:.0f} ms | {b:.0f} ms | {b / q:.2f} |")
    return "\n".join([*lines, ""])
