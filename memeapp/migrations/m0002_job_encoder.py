"""The encoder that a training job was asked for; empty for jobs of before."""

from __future__ import annotations

from sqlite_utils import Database


def job_encoder(db: Database) -> None:
    db.execute("ALTER TABLE jobs ADD COLUMN encoder TEXT NOT NULL DEFAULT ''")
