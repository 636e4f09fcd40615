"""One state of a data folder in the place of another: by renames within the folder, which are
written down first, so that whatever interrupts them, they can be gone on with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from memeapp.disk import sync
from memeapp.errors import BadSetting
from memeapp.store.lock import UNFINISHED

DATABASE = "memeapp.db"
SECRETS = ("secret.key", "admin.hash")
"""What cookies are signed with, and the hash of the admin's password."""
PARTS = (
    DATABASE,
    f"{DATABASE}-wal",
    f"{DATABASE}-shm",
    "pictures",
    "models",
    "incoming",
    "outgoing",
    "logs",
    *SECRETS,
)
"""What lies in a data folder for longer than the app runs."""


@dataclass(frozen=True, slots=True)
class Swap:
    """What is put in place, and where what is there goes: names of folders in the data folder."""

    backup: str
    """SHA-256 of the `backup.json` of where the new state comes from."""
    staged: str
    kept: str
    parts: tuple[str, ...]
    """Those of `PARTS` that are in `staged`. The others are moved to `kept` all the same, but for
    `SECRETS`, which stay."""


def swap(folder: Path, plan: Swap) -> None:
    """Do what a plan says; from the first rename on it is done or can be taken up again.

    Raises:
        BadSetting: something cannot be moved; all is as it was.
    """
    draft = folder / plan.staged / UNFINISHED
    draft.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    os.sync()
    draft.rename(folder / UNFINISHED)
    sync(folder)
    try:
        _rename(folder, plan)
    except BadSetting:
        (folder / UNFINISHED).unlink()
        raise
    _finish(folder, plan)


def resume(folder: Path) -> Swap | None:
    """Do the rest of a swap that was interrupted; gives its plan, None if there is none.

    Raises:
        BadSetting: something cannot be moved; all is as before the call.
    """
    journal = folder / UNFINISHED
    if not journal.exists():
        return None
    raw = json.loads(journal.read_text(encoding="utf-8"))
    plan = Swap(**{**raw, "parts": tuple(raw["parts"])})
    _rename(folder, plan)
    _finish(folder, plan)
    return plan


def _rename(folder: Path, plan: Swap) -> None:
    """Do the renames that are not done yet, or none. Raises: BadSetting."""
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in _renames(folder, plan):
            source.rename(target)
            done.append((source, target))
    except OSError as error:
        for source, target in reversed(done):
            target.rename(source)
        with suppress(OSError):
            (folder / plan.kept).rmdir()
        raise BadSetting(
            f"{error.filename} cannot be moved ({error.strerror}), so nothing was. All of {folder} "
            "has to be on one disk: restore into a folder of its own."
        ) from error


def _renames(folder: Path, plan: Swap) -> Iterator[tuple[Path, Path]]:
    """From where to where; each is to be done before the next one is asked for."""
    for name in PARTS:
        there, coming, kept = (folder / at / name for at in ("", plan.staged, plan.kept))
        if name in plan.parts and not coming.exists():
            continue  # it is in place
        if name in SECRETS and name not in plan.parts:
            continue
        if there.exists():
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            yield there, kept
        if name in plan.parts:
            yield coming, there


def _finish(folder: Path, plan: Swap) -> None:
    if (folder / plan.kept).exists():
        sync(folder / plan.kept)
    sync(folder)
    (folder / UNFINISHED).unlink()
    sync(folder)
    shutil.rmtree(folder / plan.staged, ignore_errors=True)
