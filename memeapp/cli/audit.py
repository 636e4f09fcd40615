"""The command that shows what was done."""

from __future__ import annotations

import click

from memeapp.cli.common import build
from memeapp.settings import Settings


@click.command()
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Lines, the last ones."
)
@click.option("--csv", "table", is_flag=True, help="All lines as a table, the oldest first.")
@click.pass_obj
def audit(settings: Settings, limit: int, table: bool) -> None:
    """Show what admins, commands and the app itself did, the newest first."""
    from memeapp.store.audit import as_csv  # noqa: PLC0415 - the database

    store = build(settings).store
    if table:
        for line in as_csv(store.whole_audit()):
            click.echo(line, nl=False)
        return
    for deed in store.audit(limit):
        before = f" (before: {deed.before})" if deed.before else ""
        told = "".join(f" {name}={value}" for name, value in deed.details.items())
        click.echo(f"{deed.at[:19]} {deed.who}: {deed.what} {deed.about}{before}{told}")
