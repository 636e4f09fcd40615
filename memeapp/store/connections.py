"""Connections to the one database: one a thread, durable, patient with other writers."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlite_utils import Database

from memeapp.errors import BadSetting, NotSaved
from memeapp.migrations import immediate, migrate
from memeapp.store import lock

BUSY_SECONDS = 30.0
LEAST_FREE = 2**20
"""Bytes of the disk; with less, a vote may find no room."""
CACHE_KIB = 32_768
"""Of the database in memory, at most, for each thread."""
_OF_THE_DISK = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
)


def moment(at: datetime, before: float = 0.0) -> str:
    """A time as the store writes it, or so many seconds before it: in UTC, ISO 8601, to the
    millisecond. Such times are compared as texts."""
    return (at.astimezone(UTC) - timedelta(seconds=before)).isoformat(timespec="milliseconds")


def now() -> str:
    """The time as the store writes it."""
    return moment(datetime.now(UTC))


class Connections:
    """The data folder and its database `memeapp.db`, shared with other threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holding = threading.Lock()
        self._release: weakref.finalize[..., Connections] | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hold()
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
            self._hold()
            db = self._local.db = _connect(self.folder / "memeapp.db")
            self._databases.add(db)
        return db

    def _hold(self) -> None:
        """Keep a restore out of the folder for as long as this object is there and not closed."""
        with self._holding:
            if self._release is None or not self._release.alive:
                self._release = weakref.finalize(self, os.close, lock.hold(self.folder))

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        """This thread's connection with the write lock held; committed durably at the end.

        Raises:
            NotSaved: if others hold the lock for too long, or the disk is full or broken.
        """
        try:
            db = self._db
            with immediate(db):
                yield db
        except sqlite3.DatabaseError as error:
            if problem := self._problem(error):
                raise NotSaved(problem) from error
            raise

    def check(self) -> None:
        """See whether the database can be read and written; writes nothing and waits for nobody.

        Raises:
            NotSaved: if it cannot, with the reason.
        """
        file = self.folder / "memeapp.db"
        try:
            if shutil.disk_usage(self.folder).free < LEAST_FREE:
                raise NotSaved(f"The disk of {self.folder} is full; make room there.")
            if not file.exists():  # an open connection would not notice
                raise NotSaved(f"{file} is gone; bring it back from a backup.")
            self._try_to_write()
        except (OSError, sqlite3.Error) as error:
            raise NotSaved(f"{file} cannot be read and written ({error}).") from error

    def _try_to_write(self) -> None:
        db = self._db
        db.execute("PRAGMA busy_timeout=0")
        try:
            db.execute("SELECT 1 FROM memes LIMIT 1").fetchone()
            # Finds nothing to write; BEGIN IMMEDIATE alone would not fail where all is read-only.
            db.execute("DELETE FROM jobs WHERE 0")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                raise  # busy: somebody writes, so that it can be written
        finally:
            db.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")

    def size(self) -> int:
        """Bytes of the database on the disk."""
        files = (self.folder / f"memeapp.db{end}" for end in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _problem(self, error: sqlite3.DatabaseError) -> str:
        """What is wrong with the disk, and what to do; empty if the fault is the program's."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # absent: not of SQLite itself
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return (
                f"The database was busy for {BUSY_SECONDS:g} seconds; this was not saved. Send it "
                "again."
            )
        if code == sqlite3.SQLITE_FULL:
            return (
                f"The disk is full: this was not saved, what was saved before is safe. Free space "
                f"in {self.folder}, and send it again."
            )
        if code in _OF_THE_DISK:
            return (
                f"The database in {self.folder} cannot be written ({error}): this was not saved, "
                "what was saved before is safe. See to the disk, and send it again."
            )
        return ""

    def _insert(self, table: str, values: Mapping[str, object]) -> int:
        """Add a row; gives its number. Table and columns are this program's, never a sender's."""
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        cursor = self._db.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(values.values())
        )
        return int(cursor.lastrowid or 0)

    def close(self) -> None:
        """Close the connections of all threads; the next use opens a new one."""
        for db in list(self._databases):
            db.close()
        self._local = threading.local()
        if self._release:
            self._release()


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
    db.execute(f"PRAGMA cache_size={-CACHE_KIB}")
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
