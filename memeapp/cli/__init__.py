"""The command line. Heavy imports wait until a command needs them, so that `--help` is quick."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from memeapp import __version__
from memeapp.cli.audit import audit
from memeapp.cli.backup import backup, restore
from memeapp.cli.bench import bench
from memeapp.cli.common import COMMAND_LINE, FILE, FOLDER, JOB, bar, build, give_way, show
from memeapp.cli.drift import drift
from memeapp.cli.encode import encode
from memeapp.cli.receipt import receipt
from memeapp.cli.tokens import token
from memeapp.cli.train import train, triggers
from memeapp.cli.versions import promote, rebuild, versions
from memeapp.errors import MemeAppError
from memeapp.settings import Settings
from memeapp.types import Job, JobState


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


def _end(job: Job) -> None:
    """What became of a job goes to its log and into the exit status."""
    if job.state is not JobState.FINISHED:
        raise click.ClickException(job.message)
    click.echo(job.message)


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
        build(replace(settings, host=host or settings.host, port=port or settings.port)),
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

    app = build(settings)
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
    app.inputs.close()
    if failed:
        raise SystemExit(1)


@main.command(name="import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@JOB
@click.pass_obj
def import_(settings: Settings, path: Path, job: int | None) -> None:
    """Import memes from PATH, a folder or a zip: MAMI's layout, an export, or plain pictures.

    PATH may also be a table of votes alone. Tables are checked before anything is stored; running
    it again adds nothing twice.
    """
    if job is not None:
        give_way()
        _end(build(settings).imports.run(job))
        return
    app = build(settings)
    app.store.note(COMMAND_LINE, "import.start", path.name)
    with bar("Importing") as report:
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
@click.option("--background", is_flag=True, hidden=True, help="Let everything else go first.")
@click.pass_obj
def rank(settings: Settings, background: bool) -> None:
    """Put the memes of open sessions into their queues, by what the current version says."""
    if background:
        give_way()
    app = build(settings)
    with bar("Ranking") as report:
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
    app = build(settings)
    with bar("Measuring") as report:
        if folder:
            metrics = app.evaluation.on_folder(folder, report, name, read_text=read_text)
        else:
            metrics = app.evaluation.held_out(report, name)
    show(metrics.to_dict())


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
@JOB
@click.pass_obj
def export(
    settings: Settings,
    folder: Path,
    format_: str,
    session: int | None,
    names: bool,
    job: int | None,
) -> None:
    """Write all memes, their majority labels and the raw votes to a new FOLDER."""
    if job is not None:
        give_way()
        _end(build(settings).exports.run(job))
        return
    app = build(settings)
    told = {"session": session, "names": names}
    app.store.note(COMMAND_LINE, "export.start", format_, details=told)
    written = app.transfer.export(folder, format_, session_id=session, names=names)
    click.echo(f"{written} memes in {folder}.")


for command in (
    bench,
    encode,
    versions,
    promote,
    rebuild,
    receipt,
    drift,
    audit,
    backup,
    restore,
    train,
    triggers,
    token,
):
    main.add_command(command)
