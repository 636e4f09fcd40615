"""The command that compares what comes in with what was learned."""

from __future__ import annotations

import click

from memeapp.cli.common import build
from memeapp.settings import Settings


@click.command()
@click.pass_obj
def drift(settings: Settings) -> None:
    """Compare what was classified last week with what the current version learned from."""
    report = build(settings).drift.report()
    click.echo(f"Classified in the last {report.days} days: {report.recent:,} memes.")
    click.echo(report.about)
    table = [("", "Training", "Last week", "Index", "Verdict")]
    table += [
        (
            row.name,
            row.training or "–",
            row.recent or "–",
            f"{row.shift.index:.2f}" if row.shift else "–",
            row.verdict.value,
        )
        for row in report.rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
    if report.note:
        click.echo(report.note)
