"""Templates may turn out to be one, and the holdout follows; what was learned from stays out."""

from __future__ import annotations

from sqlite_utils import Database


def holdout(db: Database) -> None:
    db.executescript(
        """
        DROP TRIGGER memes_held_out_once;
        ALTER TABLE memes ADD COLUMN template TEXT NOT NULL DEFAULT '';  -- its oldest meme
        UPDATE memes SET template = family;
        ALTER TABLE memes ADD COLUMN stratum TEXT NOT NULL DEFAULT '';  -- labels it came with
        ALTER TABLE memes ADD COLUMN compared INTEGER NOT NULL DEFAULT 0  -- neighbours looked for
            CHECK (compared IN (0, 1));
        ALTER TABLE memes ADD COLUMN learned INTEGER NOT NULL DEFAULT 0  -- a training has seen it
            CHECK (learned IN (0, 1));
        UPDATE memes SET learned = 1 WHERE held_out = 0 AND EXISTS (SELECT 1 FROM versions);
        CREATE INDEX memes_stratum ON memes (stratum, held_out) WHERE id = template;
        CREATE INDEX memes_template ON memes (template);
        CREATE INDEX memes_compared ON memes (compared) WHERE compared = 0;
        CREATE TRIGGER memes_keep_their_family BEFORE UPDATE OF id, family ON memes
        BEGIN SELECT RAISE(ABORT, 'a meme keeps its id and its family'); END;
        CREATE TRIGGER memes_never_unlearned BEFORE UPDATE OF learned ON memes
        WHEN OLD.learned = 1 AND NEW.learned = 0
        BEGIN SELECT RAISE(ABORT, 'what was learned from stays so'); END;
        CREATE TRIGGER memes_held_out_unlearned BEFORE UPDATE OF held_out, learned ON memes
        WHEN NEW.held_out = 1 AND NEW.learned = 1
        BEGIN SELECT RAISE(ABORT, 'nothing is both held out and learned from'); END;
        """
    )
