"""What a job tells while it runs; trainings that start by themselves; tokens for programs."""

from __future__ import annotations

from sqlite_utils import Database


def retraining(db: Database) -> None:
    db.executescript(
        """
        ALTER TABLE jobs ADD COLUMN losses TEXT NOT NULL DEFAULT '[]'  -- a curve for each stage
            CHECK (json_type(losses) = 'array');
        ALTER TABLE jobs ADD COLUMN started_at TEXT;  -- when its process began to work
        ALTER TABLE jobs ADD COLUMN ends_at TEXT;  -- estimate; NULL where there is no basis for one

        CREATE TABLE retraining (  -- when a training starts by itself; one row
            id INTEGER PRIMARY KEY CHECK (id = 1),
            after_labels INTEGER CHECK (after_labels > 0),  -- NULL: not by their number
            daily_at TEXT CHECK (daily_at GLOB '[0-2][0-9]:[0-5][0-9]'),  -- local; NULL: not daily
            encoder TEXT NOT NULL DEFAULT '',  -- empty: the usual one
            aggregation TEXT NOT NULL DEFAULT 'majority',
            votes TEXT NOT NULL DEFAULT 'blind',
            changed_at TEXT NOT NULL,
            last_day TEXT,  -- local date of the last daily training, made or passed over
            claims INTEGER NOT NULL DEFAULT 0,  -- trainings that a process was about to start
            told TEXT NOT NULL DEFAULT '',  -- what came of the last look, if anything
            told_at TEXT
        ) STRICT;
        INSERT INTO retraining (id, changed_at)
            VALUES (1, strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'));

        CREATE TABLE tokens (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL CHECK (name <> ''),
            digest TEXT NOT NULL UNIQUE CHECK (length(digest) = 64),  -- SHA-256 of the secret
            scopes TEXT NOT NULL CHECK (json_type(scopes) = 'array'),
            made_at TEXT NOT NULL,
            expires_at TEXT,
            last_used_at TEXT,
            revoked_at TEXT
        ) STRICT;
        """
    )
