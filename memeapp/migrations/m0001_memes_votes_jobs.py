"""Memes, cached features, annotators, votes, training jobs and model versions."""

from __future__ import annotations

from sqlite_utils import Database


def memes_votes_jobs(db: Database) -> None:
    db.executescript(
        """
        CREATE TABLE memes (
            number INTEGER PRIMARY KEY,  -- order of arrival
            id TEXT NOT NULL UNIQUE,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            phash TEXT NOT NULL,
            family TEXT NOT NULL,
            held_out INTEGER NOT NULL CHECK (held_out IN (0, 1)),
            text TEXT NOT NULL,
            text_source TEXT NOT NULL CHECK (text_source IN ('given', 'ocr', 'none')),
            origin TEXT NOT NULL,
            vote_count INTEGER NOT NULL DEFAULT 0,  -- kept by a trigger
            created_at TEXT NOT NULL
        ) STRICT;
        CREATE INDEX memes_queue ON memes (vote_count, id);
        CREATE TRIGGER memes_held_out_once BEFORE UPDATE OF id, family, held_out ON memes
        BEGIN SELECT RAISE(ABORT, 'the holdout is chosen once'); END;

        CREATE TABLE image_features (
            encoder TEXT NOT NULL,
            key TEXT NOT NULL,  -- id of the picture
            vector BLOB NOT NULL,  -- float32, little-endian
            UNIQUE (encoder, key)
        ) STRICT;
        CREATE TABLE text_features (
            encoder TEXT NOT NULL,
            key TEXT NOT NULL,  -- SHA-256 of the text
            vector BLOB NOT NULL,
            UNIQUE (encoder, key)
        ) STRICT;

        CREATE TABLE annotators (
            id TEXT PRIMARY KEY NOT NULL,
            name TEXT NOT NULL,
            folded_name TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('person', 'import')),
            created_at TEXT NOT NULL,
            UNIQUE (kind, folded_name)
        ) STRICT;

        CREATE TABLE votes (
            id INTEGER PRIMARY KEY,
            meme_id TEXT NOT NULL REFERENCES memes (id),
            annotator_id TEXT NOT NULL REFERENCES annotators (id),
            labels TEXT NOT NULL CHECK (json_type(labels) = 'object'),
            seconds REAL NOT NULL,
            revealed INTEGER NOT NULL CHECK (revealed IN (0, 1)),
            key TEXT NOT NULL,
            created_at TEXT NOT NULL,
            UNIQUE (annotator_id, meme_id),
            UNIQUE (annotator_id, key)
        ) STRICT;
        CREATE INDEX votes_meme ON votes (meme_id);
        CREATE TRIGGER votes_counted AFTER INSERT ON votes
        BEGIN UPDATE memes SET vote_count = vote_count + 1 WHERE id = NEW.meme_id; END;
        CREATE TRIGGER votes_never_change BEFORE UPDATE ON votes
        BEGIN SELECT RAISE(ABORT, 'votes are append-only'); END;
        CREATE TRIGGER votes_never_go BEFORE DELETE ON votes
        BEGIN SELECT RAISE(ABORT, 'votes are append-only'); END;

        CREATE TABLE jobs (
            id INTEGER PRIMARY KEY,
            state TEXT NOT NULL,
            stage TEXT NOT NULL DEFAULT '',
            progress REAL NOT NULL DEFAULT 0,
            message TEXT NOT NULL DEFAULT '',
            version TEXT,
            pid INTEGER,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX jobs_one_active ON jobs ((1)) WHERE state IN ('queued', 'running');

        CREATE TABLE versions (
            number INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL,
            encoder TEXT NOT NULL,
            labels TEXT NOT NULL,
            parent TEXT,
            recipe TEXT NOT NULL,
            data TEXT NOT NULL,
            metrics TEXT NOT NULL,
            path TEXT,
            job_id INTEGER REFERENCES jobs (id)
        ) STRICT;
        """
    )
