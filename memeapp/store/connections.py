"""Connections to the one database: one a thread, durable, patient with other writers."""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from memeapp.errors import BadSetting
from memeapp.migrations import immediate, migrate

BUSY_SECONDS = 30.0


def now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Connections:
    """The data folder and its database `memeapp.db`, shared with other threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadSetting(
                f"The data folder {folder} cannot be used ({error.strerror}); set MEMEAPP_DATA to "
                "a folder that can be written."
            ) from error
        self._local = threading.local()
        # Only the thread holds its connection, so that a thread that ends closes it.
        self._databases: weakref.WeakSet[Database] = weakref.WeakSet()
        try:
            migrate(self._db)
        except sqlite3.Error as error:
            raise BadSetting(
                f"{folder / 'memeapp.db'} cannot be opened ({error}); set MEMEAPP_DATA to another "
                "folder, or bring that file back from a backup."
            ) from error

    @property
    def _db(self) -> Database:
        """This thread's connection."""
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = _connect(self.folder / "memeapp.db")
            self._databases.add(db)
        return db

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        """This thread's connection with the write lock held; committed durably at the end."""
        db = self._db
        with immediate(db):
            yield db

    def close(self) -> None:
        """Close the connections of all threads; the next use opens a new one."""
        for db in list(self._databases):
            db.close()
        self._local = threading.local()


def _connect(path: Path) -> Database:
    # isolation_level=None: transactions begin only where the code says so. Each connection serves
    # one thread; the check is off because `close` is called by another one.
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    db = Database(connection, execute_plugins=False)
    _enable_wal(db)
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA foreign_keys=ON")
    return db


def _enable_wal(db: Database) -> None:
    """Switch to the write-ahead log; SQLite's own busy timeout does not cover the switch."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.enable_wal()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
