"""The command that shows the receipt of a version."""

from __future__ import annotations

import click

from memeapp.cli.common import build
from memeapp.errors import MemeAppError
from memeapp.settings import Settings


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The receipt's file as it is.")
@click.pass_obj
def receipt(settings: Settings, name: str, as_json: bool) -> None:
    """Show how the version NAME was made, how good it is, and what to label next."""
    from memeapp.service.receipt import read_receipt  # noqa: PLC0415 - torch: seconds
    from memeapp.service.receipt_words import as_text  # noqa: PLC0415

    app = build(settings)
    version = app.registry.find(name)
    if as_json:
        click.echo(read_receipt(version).to_bytes(), nl=False)
        return
    try:
        found, why = read_receipt(version), ""
    except MemeAppError as error:
        found, why = None, str(error)
    click.echo(as_text(version, found, why, app.schema))
