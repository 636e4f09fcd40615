"""The database as a file of its own: copied while it is in use, and examined before it is used."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from memeapp.errors import BadInput, DiskFull
from memeapp.store.connections import Connections


class Copies(Connections):
    """Copies of the database."""

    def copy_database(self, target: Path) -> None:
        """Write the database as it is at one instant to a new file; others read and write on.

        Raises:
            DiskFull: there is no room for it; what was written of it is left to the caller.
        """
        with closing(sqlite3.connect(target)) as copy:
            try:
                # All pages in one step: a step more, and every vote in between starts it anew.
                self._db.conn.backup(copy, pages=-1)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise DiskFull(
                        f"The disk of {target.parent} is full: no copy was made; make room."
                    ) from error
                raise


def check_sound(file: Path) -> None:
    """Read a whole database that nobody uses. Raises: BadInput, with the first thing wrong."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True)) as db:
            db.execute("PRAGMA trusted_schema=OFF")
            found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            strays = db.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{file.name} is no database, or it is damaged: {error}.") from error
    if found != "ok" or strays:
        told = found if found != "ok" else f"a row of {strays[0]} belongs to none of {strays[2]}"
        raise BadInput(f"{file.name} is damaged: {told[:200]}.")
