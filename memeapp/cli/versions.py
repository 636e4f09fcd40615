"""Commands for the model versions."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from memeapp.cli.common import COMMAND_LINE, FILE, bar, build
from memeapp.errors import NotFound
from memeapp.settings import Settings


@click.group(invoke_without_command=True)
@click.pass_context
def versions(ctx: click.Context) -> None:
    """List the versions, the newest first; a star marks the one that answers."""
    if ctx.invoked_subcommand is not None:
        return
    app = build(ctx.obj)
    try:
        current = app.training.current().name
    except NotFound:
        current = ""
    for version in app.training.versions():
        mark = "*" if version.name == current else " "
        parent = f" after {version.parent}" if version.parent else ""
        click.echo(f"{mark} {version.name} {version.created_at[:16]} {version.encoder}{parent}")


@click.command()
@click.argument("name")
@click.pass_obj
def promote(settings: Settings, name: str) -> None:
    """Let the version NAME answer, whatever the gate said of it."""
    app = build(settings)
    app.versions.promote(name, COMMAND_LINE)
    click.echo(f"{name} answers from now on.")


@versions.command()
@click.argument("name")
@click.pass_obj
def delete(settings: Settings, name: str) -> None:
    """Remove the version NAME for good; not the one that answers, nor a shipped one."""
    build(settings).versions.delete(name, COMMAND_LINE)
    click.echo(f"{name} is deleted.")


@versions.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def pack(settings: Settings, name: str, file: Path) -> None:
    """Write the version NAME to a new FILE, a zip to take to another place."""
    app = build(settings)
    try:
        with app.versions.pack(name, COMMAND_LINE) as packed, file.open("xb") as target:
            shutil.copyfileobj(packed, target)
    except FileExistsError as error:
        raise click.ClickException(f"{file} is there already; choose another name.") from error
    click.echo(f"{name} is in {file}.")


@versions.command()
@click.argument("file", type=FILE)
@click.pass_obj
def unpack(settings: Settings, file: Path) -> None:
    """Take in a version from FILE, which `pack` wrote; it does not answer until it is promoted."""
    app = build(settings)
    with file.open("rb") as packed:
        version, notices = app.versions.unpack(packed, COMMAND_LINE)
    click.echo(f"{version.name} is here, on {version.encoder}; `memeapp promote` lets it answer.")
    for notice in notices:
        click.echo(notice, err=True)


@click.command()
@click.argument("name")
@click.pass_obj
def rebuild(settings: Settings, name: str) -> None:
    """Train the version NAME again from its snapshot and say whether the weights are the same."""
    from memeapp.service.snapshot import rebuild as again  # noqa: PLC0415 - torch: seconds

    app = build(settings)
    with bar("Training") as report:
        same = again(app.store, app.registry, name, report)
    if not same:
        raise click.ClickException(f"{name} came out with other weights.")
    click.echo(f"{name} came out the same, bit for bit.")
