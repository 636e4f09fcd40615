"""The command line. Heavy imports wait until a command needs them, so that `--help` is quick."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memeapp import __version__
from memeapp.errors import MemeAppError
from memeapp.settings import Settings

if TYPE_CHECKING:
    from memeapp.wiring import App

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
ENCODER = click.option(
    "--encoder",
    metavar="NAME",
    help="`embedded`, an open_clip model as ARCHITECTURE/TAG, or local-dir:/path. Otherwise "
    "MEMEAPP_ENCODER, or the current version's once a version is trained on that.",
)


class _Group(click.Group):
    """Shows the app's own errors as one line and exits with 1 instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MemeAppError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="memeapp")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder (MEMEAPP_DATA).")
@click.option("--ocr", help="OCR engine (MEMEAPP_OCR).")
@click.option("--verbose", is_flag=True, help="Log what happens to standard error.")
@click.pass_context
def main(ctx: click.Context, data: Path | None, ocr: str | None, verbose: bool) -> None:
    """People judge memes and a model learns from them.

    Settings come from MEMEAPP_… environment variables; the README lists them.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    settings = Settings.from_env()
    ctx.obj = replace(
        settings,
        data=data or settings.data,
        ocr=ocr or settings.ocr,
    )


def _build(settings: Settings) -> App:
    from memeapp.wiring import build  # noqa: PLC0415 - torch and pandas: seconds

    return build(settings)


@contextmanager
def _bar(label: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on standard error, fed with a stage in words and a share in [0, 1]."""
    with click.progressbar(length=1000, label=label, file=sys.stderr, item_show_func=str) as bar:

        def report(stage: str, done: float) -> None:
            bar.update(max(0, int(done * 1000) - bar.pos), stage)

        yield report


def _show(data: object) -> None:
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


@main.command()
@click.option("--host", help="Address to listen on (MEMEAPP_HOST).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (MEMEAPP_PORT).")
@click.pass_obj
def serve(settings: Settings, host: str | None, port: int | None) -> None:
    """Start the app and print its address."""
    from memeapp.learn.threads import one_thread_a_request  # noqa: PLC0415 - torch: seconds
    from memeapp.ui.web import serve as serve_pages  # noqa: PLC0415 - gradio: seconds

    logging.getLogger("memeapp").setLevel(logging.INFO)
    one_thread_a_request()
    click.echo("Starting, a few seconds …", err=True)
    serve_pages(
        _build(replace(settings, host=host or settings.host, port=port or settings.port)),
        announce=click.echo,
    )


@main.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--text", help="The text in the picture; OCR reads it otherwise.")
@click.pass_obj
def classify(settings: Settings, files: tuple[Path, ...], text: str | None) -> None:
    """Classify pictures; one JSON object a line, in the order of FILES.

    A picture that cannot be used gives an object with "error", and exit status 1 at the end.
    """
    from memeapp.images import decode_file  # noqa: PLC0415

    app = _build(settings)
    failed = False
    for file in files:
        try:
            picture = decode_file(file, max_bytes=settings.max_upload_mb * 2**20)
            answer = app.classifier.classify(picture, text or "")
            record = {"file": str(file), **asdict(answer)}
        except MemeAppError as error:
            failed = True
            record = {"file": str(file), "error": str(error)}
        click.echo(json.dumps(record, ensure_ascii=False))
    if failed:
        raise SystemExit(1)


@main.command(name="import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.pass_obj
def import_(settings: Settings, path: Path) -> None:
    """Import memes from PATH, a folder or a zip: MAMI's layout, an export, or plain pictures.

    Tables are checked before anything is stored; running it again adds nothing twice.
    """
    app = _build(settings)
    with _bar("Importing") as report:
        result = app.transfer.import_path(
            path, lambda done, rows: report(f"{done} of {rows}", done / rows)
        )
    click.echo(
        f"{result.added} memes added, {result.known} were there, "
        f"{result.labelled} came with labels, {len(result.refused)} refused."
    )
    if result.near:
        click.echo(f"{len(result.near)} joined near-duplicates:")
    for sentences in (result.near, result.refused):
        for sentence in sentences[:20]:
            click.echo(f"  {sentence}", err=True)
        if len(sentences) > 20:
            click.echo(f"  and {len(sentences) - 20} more", err=True)
    if result.refused:
        raise SystemExit(1)


@main.command()
@ENCODER
@click.pass_obj
def encode(settings: Settings, encoder: str | None) -> None:
    """Read and encode all memes that are not yet encoded; can be interrupted and continued."""
    app = _build(settings)
    with _bar("Encoding") as report:
        pictures, name = app.training.encode(report, encoder)
    click.echo(f"{pictures} pictures encoded with {name}.")


@main.command()
@ENCODER
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all randomness.")
@click.option("--recipe", default="best", show_default=True, help="best, reference or paper.")
@click.option("--job", type=int, hidden=True, help="Do the work of this job.")
@click.pass_obj
def train(settings: Settings, encoder: str | None, seed: int, recipe: str, job: int | None) -> None:
    """Encode what is new, train a version on all votes, compare it; it becomes the current one.

    `best` is ours; `reference` and `paper` are SemiMemes as its code and its publication have it.
    """
    from memeapp.learn.recipe import RECIPES  # noqa: PLC0415 - torch: seconds

    if recipe not in RECIPES:
        raise click.BadParameter(f"{recipe!r} is none of {', '.join(RECIPES)}.")
    app = _build(settings)
    if job is None:
        job = app.jobs.queue(encoder).id
    else:
        os.nice(10)  # Started by the app: visitors and annotators go first.
    with _bar("Training") as report:
        done = app.jobs.run(job, seed=seed, recipe=RECIPES[recipe], also=report)
    if done.version is None:
        raise click.ClickException(done.message)
    click.echo(done.message)
    app.ranking.rank_open(lambda stage, share: None)
    _show(app.registry.find(done.version).metrics)


@main.command()
@click.option("--background", is_flag=True, hidden=True, help="Let everything else go first.")
@click.pass_obj
def rank(settings: Settings, background: bool) -> None:
    """Put the memes of open sessions into their queues, by what the current version says."""
    if background:
        os.nice(10)
    app = _build(settings)
    with _bar("Ranking") as report:
        ranked = app.ranking.rank_open(report)
    click.echo(f"{ranked} memes ranked.")


@main.command()
@click.argument("folder", type=FOLDER, required=False)
@click.option("--version", "name", help="Version to measure; the current one otherwise.")
@click.option("--read-text", is_flag=True, help="Let OCR read the texts instead of the table's.")
@click.pass_obj
def evaluate(settings: Settings, folder: Path | None, name: str | None, read_text: bool) -> None:
    """Measure a version on labelled memes: those of FOLDER, or the held-out ones.

    FOLDER is in MAMI's layout; its memes are not stored.
    """
    app = _build(settings)
    with _bar("Measuring") as report:
        if folder:
            metrics = app.evaluation.on_folder(folder, report, name, read_text=read_text)
        else:
            metrics = app.evaluation.held_out(report, name)
    _show(metrics.to_dict())


@main.command()
@click.argument("truth", type=FILE)
@click.argument("answer", type=FILE)
def score(truth: Path, answer: Path) -> None:
    """Official MAMI scores of ANSWER against TRUTH (file name and 1 or 5 columns of 0/1)."""
    from memeapp.scoring import score as official  # noqa: PLC0415

    scores = official(truth, answer)
    click.echo(f"A {scores.task_a:.12f}")
    if scores.task_b is not None:
        click.echo(f"B {scores.task_b:.12f}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["mami", "csv", "jsonl", "huggingface"]),
    default="mami",
    show_default=True,
    help="mami and huggingface have the pictures; csv is safe in spreadsheets.",
)
@click.option("--session", type=int, help="Only this session's memes and votes.")
@click.option("--names", is_flag=True, help="People's display names instead of pseudonyms.")
@click.pass_obj
def export(
    settings: Settings, folder: Path, format_: str, session: int | None, names: bool
) -> None:
    """Write all memes, their majority labels and the raw votes to a new FOLDER."""
    transfer = _build(settings).transfer
    written = transfer.export(folder, format_, session_id=session, names=names)
    click.echo(f"{written} memes in {folder}.")


OUT = click.Path(file_okay=False, path_type=Path)


@main.group()
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
    with _bar("Reading") as report:
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

    app = _build(settings)
    with _bar("Classifying") as report:
        bench_classify(
            [(row.file, row.text) for row in read_corpus(folder, ()) if row.text][:rows],
            out,
            open_classifier=lambda: _build(settings).classifier,
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

    with _bar("Labelling") as report:
        bench_crowd(out, people=people, votes=votes, minutes=minutes, pause=pause, report=report)
    click.echo((out / "crowd.md").read_text(encoding="utf-8"))


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

    app = _build(settings)
    chosen = choose(CHOICES if choices else METHODS, methods.split(",") if methods else None)
    opened = app.engines.encoder_for(encoder) if encoder else app.engines.encoder()
    with _bar("Loading") as report:
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
    with _bar("Learning") as report:
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


@bench.command(name="lab")
@click.option("--seeds", type=click.IntRange(2), default=8, show_default=True, help="Worlds.")
@click.option("--out", type=OUT, required=True, help="Folder of the page.")
@WORKERS
def bench_lab_(seeds: int, out: Path, workers: int) -> None:
    """When CROM-AE's unlabelled memes help, on made-up memes whose common signal is known."""
    from memeapp.bench.lab import bench_lab  # noqa: PLC0415

    with _bar("Learning") as report:
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

    with _bar("Learning") as report:
        bench_speed(out, seeds=seeds, rows=[int(number) for number in rows], report=report)
    click.echo((out / "speed.md").read_text(encoding="utf-8"))
