"""What the commands share: kinds of arguments, the app, a progress bar."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memeapp.settings import Settings

if TYPE_CHECKING:
    from memeapp.wiring import App

COMMAND_LINE = "command line"
"""Who did it, in the audit."""
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
ENCODER = click.option(
    "--encoder",
    metavar="NAME",
    help="`embedded`, an open_clip model as ARCHITECTURE/TAG, or local-dir:/path. Otherwise "
    "MEMEAPP_ENCODER, or the current version's once a version is trained on that.",
)
JOB = click.option("--job", type=int, hidden=True, help="Do the work of this job.")


def give_way() -> None:
    """Let visitors and annotators go first: work of hours takes what they leave."""
    os.nice(19)


def build(settings: Settings) -> App:
    """The app on its data folder."""
    from memeapp.wiring import build as build_parts  # noqa: PLC0415 - torch and pandas: seconds

    return build_parts(settings)


def show(data: object) -> None:
    """Print it as JSON."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


@contextmanager
def bar(label: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on standard error, fed with a stage in words and a share in [0, 1]."""
    with click.progressbar(length=1000, label=label, file=sys.stderr, item_show_func=str) as shown:

        def report(stage: str, done: float) -> None:
            shown.update(max(0, int(done * 1000) - shown.pos), stage)

        yield report
