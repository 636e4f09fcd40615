"""The folder of uploaded files: emptied at the start and the end, and swept in between."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from pathlib import Path

from memeapp.errors import BadSetting

LONGEST_MINUTES = 15
"""What the page promises. The file stays that long because asking again needs it."""
SECONDS_BETWEEN_SWEEPS = 60.0

log = logging.getLogger(__name__)


def empty(folder: Path) -> None:
    """Remove all that lies in `folder`; links in it go, what they point to stays.

    Raises:
        BadSetting: if it is a link itself: what it points to may be anything.
    """
    if folder.is_symlink():
        raise BadSetting(
            f"{folder} is a link, and the app empties that folder; remove the link, or let "
            "MEMEAPP_DATA name another data folder."
        )
    if folder.exists():
        shutil.rmtree(folder)


def sweep(folder: Path, *, older_than: float) -> None:
    """Remove the files below `folder` that were written more than `older_than` seconds ago."""
    written_before = time.time() - older_than
    for directory, _, names in os.walk(folder):  # follows no links
        for name in names:
            file = Path(directory, name)
            try:
                if file.lstat().st_ctime <= written_before:
                    file.unlink()
            except FileNotFoundError:
                continue


async def keep_sweeping(folder: Path) -> None:
    """Sweep for as long as the app runs.

    Gradio's own `delete_cache` misses uploads that broke off, and ends when a picture arrives while
    it looks through its list.
    """
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_SWEEPS)
        try:
            older_than = LONGEST_MINUTES * 60 - SECONDS_BETWEEN_SWEEPS
            await asyncio.to_thread(sweep, folder, older_than=older_than)
        except OSError:
            log.exception("Old uploads could not be removed; the next sweep tries again")
