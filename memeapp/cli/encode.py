"""The command that reads and encodes a corpus, on one machine or many."""

from __future__ import annotations

from functools import partial

import click

from memeapp.cli.common import ENCODER, bar, build
from memeapp.settings import Settings


@click.command()
@ENCODER
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or a Ray cluster that is there.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes; otherwise one a core that fits into memory, one with a GPU, or all of the "
    "cluster's CPUs.",
)
@click.option("--address", help="Of the Ray cluster, if this machine is not part of it.")
@click.pass_obj
def encode(
    settings: Settings,
    encoder: str | None,
    engine: str,
    workers: int | None,
    address: str | None,
) -> None:
    """Read and encode all memes that are not yet encoded; can be interrupted and continued.

    What comes out is the same, bit for bit, whoever does it.
    """
    from memeapp.service import hands  # noqa: PLC0415

    if address and engine != "ray":
        raise click.BadParameter("It belongs to --engine ray.", param_hint="--address")
    app = build(settings)
    opened = (
        partial(hands.on_ray, workers=workers, address=address)
        if engine == "ray"
        else partial(hands.local, workers=workers)
    )
    with bar("Encoding") as report:
        pictures, name = app.training.encode(report, encoder, opened)
    click.echo(f"{pictures} pictures encoded with {name}.")
