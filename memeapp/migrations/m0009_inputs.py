"""What comes in to be classified, as lengths, languages and scores: enough to see it drift."""

from __future__ import annotations

from sqlite_utils import Database


def inputs(db: Database) -> None:
    db.executescript(
        """
        CREATE TABLE inputs (
            id INTEGER PRIMARY KEY,
            at TEXT NOT NULL,  -- the hour
            version TEXT NOT NULL,
            text_length INTEGER NOT NULL,
            language TEXT NOT NULL,
            ocr_confidence REAL,  -- NULL if the text was given
            unlike_image INTEGER CHECK (unlike_image IN (0, 1)),
            unlike_text INTEGER CHECK (unlike_text IN (0, 1)),
            scores TEXT NOT NULL CHECK (json_type(scores) = 'object'),  -- label to probability
            kept INTEGER NOT NULL CHECK (kept IN (0, 1))
        ) STRICT;
        CREATE INDEX inputs_at ON inputs (at);
        ALTER TABLE memes ADD COLUMN ocr_confidence REAL;  -- NULL if OCR has not read it
        """
    )
