"""Who uses a data folder: any number of processes together, or a restore alone.

A lock of the system, which ends with the process that holds it. Over NFS it needs the lock service
of the server; where a file system knows no locks, only a restore is refused.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memeapp.errors import BadSetting, Busy

LOCK = ".in-use"
UNFINISHED = ".restoring.json"
"""There while a restore puts one state of the folder in the place of another."""


def hold(folder: Path) -> int:
    """Use the folder together with others, until the descriptor returned is closed.

    Raises:
        Busy: it is being restored.
        BadSetting: a restore of it was interrupted.
        OSError: nothing can be written there.
    """
    descriptor = _open(folder)
    try:
        _lock(descriptor, fcntl.LOCK_SH)
        if (folder / UNFINISHED).exists():
            raise BadSetting(
                f"A restore of {folder} was interrupted half way; start `memeapp restore` with the "
                "same file again, it goes on from there."
            )
    except BlockingIOError as error:
        os.close(descriptor)
        raise Busy(f"{folder} is being restored from a backup; wait until that is done.") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Use the folder while nobody else does.

    Raises:
        Busy: an app, a job or a command uses it.
        BadSetting: its file system knows no locks.
        OSError: nothing can be written there.
    """
    descriptor = _open(folder)
    try:
        _lock_alone(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock_alone(descriptor: int, folder: Path) -> None:
    try:
        known = _lock(descriptor, fcntl.LOCK_EX)
    except BlockingIOError as error:
        raise Busy(
            f"{folder} is in use: stop the app, and wait for the trainings, imports, exports and "
            "other commands that work there. Nothing was changed."
        ) from error
    if not known:
        raise BadSetting(
            f"The file system of {folder} knows no locks, so nobody can tell whether an app uses "
            "it; restore into a folder on another disk, and move that while the app is stopped."
        )


def _open(folder: Path) -> int:
    return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    """False where there are no locks. Raises: BlockingIOError, if others hold it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True
