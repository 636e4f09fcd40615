"""Commands for the model versions."""

from __future__ import annotations

import click

from memeapp.cli.common import bar, build
from memeapp.errors import NotFound
from memeapp.settings import Settings


@click.command()
@click.pass_obj
def versions(settings: Settings) -> None:
    """List the versions, the newest first; a star marks the one that answers."""
    app = build(settings)
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
    app.training.promote(name)
    click.echo(f"{name} answers from now on.")


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
