"""The benchmarks' commands."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memeapp.cli.common import ENCODER, FOLDER, bar, build
from memeapp.settings import Settings

if TYPE_CHECKING:
    from memeapp.service.classify import Classifier

OUT = click.Path(file_okay=False, path_type=Path)


@click.group()
def bench() -> None:
    """Benchmarks; each prints a table in Markdown."""


@bench.command(name="ocr")
@click.argument("folder", type=FOLDER)
@click.option("--rows", type=int, help="Only the first so many memes.")
@click.pass_obj
def bench_ocr(settings: Settings, folder: Path, rows: int | None) -> None:
    """Word error rate, word recall and time of the OCR engine on FOLDER (MAMI's layout)."""
    from memeapp.bench.ocr import measure_ocr  # noqa: PLC0415
    from memeapp.corpus import read_corpus  # noqa: PLC0415
    from memeapp.ocr import open_ocr  # noqa: PLC0415

    pairs = [(row.file, row.text) for row in read_corpus(folder, ()) if row.text][:rows]
    with bar("Reading") as report:
        result = measure_ocr(
            pairs,
            open_ocr(settings.ocr),
            on_row=lambda done: report(f"{done} of {len(pairs)}", done / len(pairs)),
        )
    click.echo(result.to_markdown())


@bench.command(name="classify")
@click.argument("folder", type=FOLDER)
@click.option("--rows", type=int, default=200, show_default=True, help="The first so many memes.")
@click.option("--out", type=OUT, required=True, help="Folder of the page.")
@click.pass_obj
def bench_classify_(settings: Settings, folder: Path, rows: int, out: Path) -> None:
    """Seconds of one classification, its reasons and its reading, on FOLDER (MAMI's layout)."""
    from memeapp.bench.classify import bench_classify  # noqa: PLC0415
    from memeapp.corpus import read_corpus  # noqa: PLC0415

    def open_classifier() -> Classifier:
        parts = build(settings)
        parts.inputs.close()  # What is timed is not what comes in.
        return parts.classifier

    app = build(settings)
    with bar("Classifying") as report:
        bench_classify(
            [(row.file, row.text) for row in read_corpus(folder, ()) if row.text][:rows],
            out,
            open_classifier=open_classifier,
            encoder=app.engines.encoder(),
            ocr=app.engines.ocr(),
            labelled=app.store.counts(()).labelled,
            report=report,
        )
    click.echo((out / "classify.md").read_text(encoding="utf-8"))


@bench.command(name="crowd")
@click.option("--people", type=click.IntRange(1), default=50, show_default=True, help="Clients.")
@click.option(
    "--votes", type=click.IntRange(1), default=10_000, show_default=True, help="Then end."
)
@click.option("--minutes", type=float, default=20.0, show_default=True, help="End at the latest.")
@click.option("--pause", type=float, default=3.0, show_default=True, help="Seconds to think.")
@click.option("--out", type=OUT, required=True, help="Folder of the page.")
def bench_crowd_(people: int, votes: int, minutes: float, pause: float, out: Path) -> None:
    """Many people label at once over HTTP; then votes are counted: none too many, none lost."""
    from memeapp.bench.crowd import bench_crowd  # noqa: PLC0415

    with bar("Labelling") as report:
        bench_crowd(out, people=people, votes=votes, minutes=minutes, pause=pause, report=report)
    click.echo((out / "crowd.md").read_text(encoding="utf-8"))


@bench.command(name="retrain")
@click.argument("folder", type=FOLDER)
@click.option("--labelled", type=click.IntRange(30), default=2400, show_default=True)
@click.option("--people", type=click.IntRange(1), default=50, show_default=True, help="Clients.")
@click.option("--pause", type=float, default=3.0, show_default=True, help="Seconds to think.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--out", type=OUT, required=True, help="Folder of the page, and of what is done.")
@click.pass_obj
def bench_retrain_(
    settings: Settings,
    folder: Path,
    labelled: int,
    people: int,
    pause: float,
    rounds: int,
    out: Path,
) -> None:
    """Retrain on FOLDER's memes (MAMI's layout), alone and while people label: time, memory, waits.

    So many --labelled ones to learn from; the others have no label.
    """
    from memeapp.bench.retrain import bench_retrain  # noqa: PLC0415

    with bar("Measuring") as report:
        bench_retrain(
            folder,
            out,
            labelled=labelled,
            people=people,
            pause=pause,
            rounds=rounds,
            settings=settings,
            open_app=build,
            report=report,
        )
    click.echo((out / "retrain.md").read_text(encoding="utf-8"))


def _numbers(ctx: click.Context, option: click.Parameter, text: str | None) -> list[float]:
    """A list like "5,10,30"; empty for none."""
    try:
        return [float(number) for number in (text or "").split(",") if number]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no list of numbers like 5,10,30.") from error


WORKERS = click.option(
    "--workers", type=click.IntRange(0), default=2, show_default=True, help="Processes at a time."
)


@bench.command(name="learn")
@click.argument("folder", type=FOLDER, required=False)
@click.option("--test", type=FOLDER, help="Measure on these labelled memes; 20 % otherwise.")
@click.option("--shares", callback=_numbers, help="Percent of labels to learn from: 5,10,30.")
@click.option("--labels", callback=_numbers, help="Numbers of labels to learn from: 400,800.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Subsets.")
@click.option("--inits", type=click.IntRange(1), default=3, show_default=True, help="Beginnings.")
@click.option("--methods", help="Only these, as in results.csv: reference,best.")
@click.option("--choices", is_flag=True, help="Take `best` apart instead: one choice a row.")
@click.option("--out", type=OUT, required=True, help="Folder of the page, and of what is done.")
@WORKERS
@ENCODER
@click.pass_obj
def bench_learn_(
    settings: Settings,
    folder: Path | None,
    test: Path | None,
    shares: list[float],
    labels: list[float],
    seeds: int,
    inits: int,
    methods: str | None,
    choices: bool,
    out: Path,
    workers: int,
    encoder: str | None,
) -> None:
    """What labels are worth: every method on 5, 10 and 30 % of the labels of FOLDER.

    FOLDER and --test are data folders, or folders in MAMI's layout; the data folder in force
    otherwise. Started again it goes on where it was; delete files in OUT/cells to do them again.
    """
    from memeapp.bench.cells import METHODS, choose  # noqa: PLC0415
    from memeapp.bench.choices import CHOICES  # noqa: PLC0415
    from memeapp.bench.labelled import load_labelled, split_families  # noqa: PLC0415
    from memeapp.bench.learn import bench_learn  # noqa: PLC0415
    from memeapp.service.features import between  # noqa: PLC0415

    app = build(settings)
    chosen = choose(CHOICES if choices else METHODS, methods.split(",") if methods else None)
    opened = app.engines.encoder_for(encoder) if encoder else app.engines.encoder()
    with bar("Loading") as report:
        load = partial(
            load_labelled, settings=settings, encoder=opened, ocr=app.engines.ocr, schema=app.schema
        )
        train = load(folder or settings.data, report=between(report, 0.0, 0.8))
        if test:
            held_out = load(test, report=between(report, 0.8, 1.0))
        else:
            train, held_out = split_families(train)
    if not (shares or labels):
        shares = [5, 10, 30]
    counts = [*map(int, labels), *(round(len(train) * share / 100) for share in shares)]
    with bar("Learning") as report:
        bench_learn(
            train,
            held_out,
            out,
            counts=counts,
            seeds=seeds,
            inits=inits,
            methods=chosen,
            choices=choices,
            workers=workers,
            report=report,
        )
    click.echo((out / "results.md").read_text(encoding="utf-8"))


@bench.command(name="encode")
@click.argument("folder", type=FOLDER)
@click.option("--rows", type=click.IntRange(1), default=400, show_default=True, help="Memes.")
@click.option("--read", type=click.IntRange(1), default=60, show_default=True, help="By OCR.")
@click.option("--workers", callback=_numbers, default="1,2", show_default=True, help="Processes.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of all ways.")
@click.option("--address", help="Of a Ray cluster, or auto; without it no row of Ray.")
@click.option("--out", type=OUT, required=True, help="Folder of the page.")
@ENCODER
@click.pass_obj
def bench_encode_(
    settings: Settings,
    folder: Path,
    rows: int,
    read: int,
    workers: list[float],
    rounds: int,
    address: str | None,
    out: Path,
    encoder: str | None,
) -> None:
    """Memes a second of OCR and encoding on FOLDER: one process, workers, a Ray cluster."""
    from memeapp.bench.encode import bench_encode  # noqa: PLC0415
    from memeapp.corpus import read_corpus  # noqa: PLC0415
    from memeapp.encoders import open_encoder  # noqa: PLC0415
    from memeapp.ocr import open_ocr  # noqa: PLC0415

    with bar("Encoding") as report:
        bench_encode(
            [(row.file, row.text) for row in read_corpus(folder, ()) if row.text][:rows],
            out,
            encoder=open_encoder(encoder or settings.encoder),
            ocr=open_ocr(settings.ocr),
            read=read,
            workers=[int(number) for number in workers],
            rounds=rounds,
            address=address,
            report=report,
        )
    click.echo((out / "encode.md").read_text(encoding="utf-8"))


@bench.command(name="loop")
@click.argument("folder", type=FOLDER)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Runs of each.")
@click.option("--step", type=click.IntRange(1), default=200, show_default=True, help="Labels.")
@click.option(
    "--noise",
    type=click.FloatRange(0, 0.5),
    default=0.1,
    show_default=True,
    help="Probability that an annotator flips a label.",
)
@click.option("--out", type=OUT, required=True, help="Folder of the page, and of what is done.")
@click.pass_obj
def bench_loop_(
    settings: Settings, folder: Path, seeds: int, step: int, noise: float, out: Path
) -> None:
    """The whole loop on FOLDER: label, retrain, let the gate decide; by chance and by the queues.

    FOLDER's labels (MAMI's layout) are kept from the app; simulated people reveal them. Started
    again it goes on where it was; delete files in OUT/cells to do them again.
    """
    from memeapp.bench.loop import bench_loop  # noqa: PLC0415
    from memeapp.bench.loop_steps import Task  # noqa: PLC0415

    with bar("Labelling") as report:
        bench_loop(
            folder,
            out,
            settings=settings,
            open_app=build,
            task=Task(seeds=seeds, step=step, noise=noise),
            report=report,
        )
    click.echo((out / "loop.md").read_text(encoding="utf-8"))


@bench.command(name="lab")
@click.option("--seeds", type=click.IntRange(2), default=8, show_default=True, help="Worlds.")
@click.option("--out", type=OUT, required=True, help="Folder of the page.")
@WORKERS
def bench_lab_(seeds: int, out: Path, workers: int) -> None:
    """When CROM-AE's unlabelled memes help, on made-up memes whose common signal is known."""
    from memeapp.bench.lab import bench_lab  # noqa: PLC0415

    with bar("Learning") as report:
        bench_lab(out, seeds=seeds, workers=workers, report=report)
    click.echo((out / "lab.md").read_text(encoding="utf-8"))


@bench.command(name="speed")
@click.option("--seeds", type=click.IntRange(0), default=1, show_default=True, help="0: none.")
@click.option(
    "--rows",
    callback=_numbers,
    default="1000,3000,10000,30000,100000",
    show_default=True,
    help="Memes on which growth is measured; empty: none.",
)
@click.option("--out", type=OUT, required=True, help="Folder of the page.")
def bench_speed_(seeds: int, rows: list[float], out: Path) -> None:
    """Seconds and memory of learning, beside a plain loop and for more and more made-up memes."""
    from memeapp.bench.speed import bench_speed  # noqa: PLC0415

    with bar("Learning") as report:
        bench_speed(out, seeds=seeds, rows=[int(number) for number in rows], report=report)
    click.echo((out / "speed.md").read_text(encoding="utf-8"))
