"""Imports and exports are jobs too: a kind, its options, its result; one at work of each kind."""

from __future__ import annotations

from sqlite_utils import Database


def job_kinds(db: Database) -> None:
    db.executescript(
        """
        ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'train'
            CHECK (kind IN ('train', 'import', 'export'));
        ALTER TABLE jobs ADD COLUMN options TEXT NOT NULL DEFAULT '{}'
            CHECK (json_type(options) = 'object');
        ALTER TABLE jobs ADD COLUMN result TEXT NOT NULL DEFAULT '{}'
            CHECK (json_type(result) = 'object');  -- what an import reported, an export wrote
        DROP INDEX jobs_one_active;
        CREATE UNIQUE INDEX jobs_one_active ON jobs (kind) WHERE state IN ('queued', 'running');
        CREATE INDEX jobs_kind ON jobs (kind, id);
        """
    )
