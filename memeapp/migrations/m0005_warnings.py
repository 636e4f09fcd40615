"""What an admin tells somebody about how they judge, before their votes are left out."""

from __future__ import annotations

from sqlite_utils import Database


def warnings(db: Database) -> None:
    db.execute("ALTER TABLE annotators ADD COLUMN warning TEXT NOT NULL DEFAULT ''")
