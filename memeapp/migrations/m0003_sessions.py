"""Labelling sessions with invites, leases and a queue; votes that supersede each other.

Votes and annotators of before keep their ids. People who had joined by name alone become
members of a session of all memes, so that their cookies go on working.
"""

from __future__ import annotations

from sqlite_utils import Database


def sessions(db: Database) -> None:
    db.executescript(
        """
        CREATE TABLE sessions (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            folded_name TEXT NOT NULL UNIQUE,
            guidelines TEXT NOT NULL,  -- Markdown
            votes_per_meme INTEGER NOT NULL CHECK (votes_per_meme > 0),
            policy TEXT NOT NULL CHECK (json_type(policy) = 'object'),  -- queue -> share
            suggestions TEXT NOT NULL CHECK (suggestions IN ('none', 'after', 'mixed')),
            lease_seconds REAL NOT NULL CHECK (lease_seconds > 0),
            break_minutes REAL NOT NULL,
            break_exposure REAL NOT NULL,  -- seconds of looking, weighed by severity
            leaderboard INTEGER NOT NULL CHECK (leaderboard IN (0, 1)),
            open_until TEXT,
            closed_at TEXT,
            created_at TEXT NOT NULL
        ) STRICT;

        CREATE TABLE invites (
            token TEXT PRIMARY KEY NOT NULL,
            session_id INTEGER NOT NULL REFERENCES sessions (id),
            created_at TEXT NOT NULL,
            revoked_at TEXT
        ) STRICT;

        CREATE TABLE session_memes (
            session_id INTEGER NOT NULL REFERENCES sessions (id),
            meme_id TEXT NOT NULL REFERENCES memes (id),
            family TEXT NOT NULL,
            wanted INTEGER NOT NULL,
            votes INTEGER NOT NULL DEFAULT 0,  -- judgements that hold a place; kept by a trigger
            done INTEGER NOT NULL DEFAULT 0,  -- votes >= wanted; kept by a trigger
            gold TEXT CHECK (gold IS NULL OR json_type(gold) = 'object'),
            random REAL NOT NULL,  -- positions in the queues, the smallest first
            uncertain REAL,
            far REAL,
            relabel REAL,
            severity REAL NOT NULL DEFAULT 0,  -- in [0, 1]
            kinds INTEGER NOT NULL DEFAULT 0,  -- what the model sees in it, a bit for each kind
            suggestion TEXT,  -- the model's answer, JSON
            PRIMARY KEY (session_id, meme_id)
        ) STRICT, WITHOUT ROWID;
        -- Whoever looks for a meme passes what they have judged: the indexes have all it takes.
        CREATE INDEX session_memes_random ON session_memes (session_id, done, random, kinds, gold)
            WHERE gold IS NULL;
        CREATE INDEX session_memes_uncertain
            ON session_memes (session_id, done, uncertain, kinds, gold)
            WHERE gold IS NULL AND uncertain IS NOT NULL;
        CREATE INDEX session_memes_far ON session_memes (session_id, done, far, kinds, gold)
            WHERE gold IS NULL AND far IS NOT NULL;
        CREATE INDEX session_memes_relabel ON session_memes (session_id, done, relabel, kinds, gold)
            WHERE gold IS NULL AND relabel IS NOT NULL;
        CREATE INDEX session_memes_random_mild
            ON session_memes (session_id, done, random, kinds, gold, severity)
            WHERE gold IS NULL AND severity <= 0.3;
        CREATE INDEX session_memes_uncertain_mild
            ON session_memes (session_id, done, uncertain, kinds, gold, severity)
            WHERE gold IS NULL AND uncertain IS NOT NULL AND severity <= 0.3;
        CREATE INDEX session_memes_far_mild
            ON session_memes (session_id, done, far, kinds, gold, severity)
            WHERE gold IS NULL AND far IS NOT NULL AND severity <= 0.3;
        CREATE INDEX session_memes_relabel_mild
            ON session_memes (session_id, done, relabel, kinds, gold, severity)
            WHERE gold IS NULL AND relabel IS NOT NULL AND severity <= 0.3;
        CREATE INDEX session_memes_gold ON session_memes (session_id, random)
            WHERE gold IS NOT NULL;
        CREATE INDEX session_memes_family ON session_memes (session_id, family);
        CREATE INDEX session_memes_counts ON session_memes (session_id, done, votes, wanted, gold)
            WHERE gold IS NULL;
        CREATE TRIGGER session_memes_done AFTER UPDATE OF votes, wanted ON session_memes
        WHEN NEW.done != (NEW.votes >= NEW.wanted)
        BEGIN UPDATE session_memes SET done = NEW.votes >= NEW.wanted
            WHERE session_id = NEW.session_id AND meme_id = NEW.meme_id;
        END;

        DROP TRIGGER votes_counted;
        DROP TRIGGER votes_never_change;
        DROP TRIGGER votes_never_go;
        DROP INDEX votes_meme;
        ALTER TABLE votes RENAME TO old_votes;
        ALTER TABLE annotators RENAME TO old_annotators;

        CREATE TABLE annotators (
            id TEXT PRIMARY KEY NOT NULL,
            session_id INTEGER REFERENCES sessions (id),  -- NULL for who came with a data set
            name TEXT NOT NULL,
            folded_name TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('person', 'import', 'decision')),
            preferences TEXT NOT NULL DEFAULT '{}',
            created_at TEXT NOT NULL,
            revoked_at TEXT,  -- may not come back
            excluded_at TEXT  -- votes stay and are left out of every sum
        ) STRICT;
        CREATE UNIQUE INDEX annotators_name
            ON annotators (coalesce(session_id, 0), kind, folded_name);

        CREATE TABLE votes (
            id INTEGER PRIMARY KEY,
            session_id INTEGER REFERENCES sessions (id),
            meme_id TEXT NOT NULL REFERENCES memes (id),
            annotator_id TEXT NOT NULL REFERENCES annotators (id),
            kind TEXT NOT NULL
                CHECK (kind IN ('vote', 'unsure', 'skip', 'undo', 'surplus', 'decision')),
            labels TEXT NOT NULL CHECK (json_type(labels) = 'object'),
            reason TEXT NOT NULL DEFAULT '',  -- of a skip
            note TEXT NOT NULL DEFAULT '',
            text TEXT,  -- a corrected transcription
            harm TEXT NOT NULL DEFAULT '' CHECK (harm IN ('', 'text', 'picture', 'together')),
            seconds REAL NOT NULL,
            revealed INTEGER NOT NULL CHECK (revealed IN (0, 1)),
            revealed_seconds REAL NOT NULL DEFAULT 0,
            seen TEXT NOT NULL DEFAULT 'none' CHECK (seen IN ('none', 'before', 'after')),
            suggestion TEXT,  -- what was seen of the model, JSON
            queue TEXT NOT NULL DEFAULT '',
            key TEXT NOT NULL,
            replaces INTEGER UNIQUE REFERENCES votes (id),
            created_at TEXT NOT NULL,
            UNIQUE (annotator_id, key)
        ) STRICT;
        CREATE INDEX votes_meme ON votes (meme_id);
        CREATE INDEX votes_annotator ON votes (annotator_id, meme_id, kind);
        CREATE INDEX votes_newest ON votes (annotator_id, id);
        CREATE INDEX votes_session ON votes (session_id, meme_id);
        CREATE UNIQUE INDEX votes_first ON votes (annotator_id, meme_id)
            WHERE replaces IS NULL AND kind != 'surplus';

        CREATE TABLE leases (
            session_id INTEGER NOT NULL REFERENCES sessions (id),
            meme_id TEXT NOT NULL REFERENCES memes (id),
            annotator_id TEXT NOT NULL REFERENCES annotators (id),
            tab TEXT NOT NULL,
            queue TEXT NOT NULL,
            assisted INTEGER NOT NULL CHECK (assisted IN (0, 1)),
            shown INTEGER NOT NULL CHECK (shown IN (0, 1)),  -- 0: loaded ahead
            suggestion TEXT,  -- the model's answer at the time, JSON
            expires_at REAL NOT NULL,  -- seconds since 1970
            PRIMARY KEY (session_id, meme_id, annotator_id)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX leases_annotator ON leases (annotator_id);

        INSERT INTO sessions (name, folded_name, guidelines, votes_per_meme, policy, suggestions,
            lease_seconds, break_minutes, break_exposure, leaderboard, created_at)
        SELECT 'Before sessions', 'before sessions', '', 3, '{"random": 1.0}', 'none',
            300, 25, 600, 0, min(created_at)
        FROM old_annotators WHERE kind = 'person' HAVING count(*) > 0;

        INSERT INTO session_memes (session_id, meme_id, family, wanted, random)
        SELECT sessions.id, memes.id, memes.family, max(3, vote_count),
            (abs(random()) % 1000000) / 1000000.0
        FROM sessions, memes;

        INSERT INTO annotators (id, session_id, name, folded_name, kind, created_at)
        SELECT id, CASE kind WHEN 'person' THEN (SELECT id FROM sessions) END, name, folded_name,
            kind, created_at FROM old_annotators;
        INSERT INTO votes (id, session_id, meme_id, annotator_id, kind, labels, seconds, revealed,
            key, created_at)
        SELECT old_votes.id, annotators.session_id, meme_id, annotator_id, 'vote', labels, seconds,
            revealed, key, old_votes.created_at
        FROM old_votes JOIN annotators ON annotators.id = annotator_id;
        UPDATE session_memes SET votes = (SELECT count(*) FROM votes
            WHERE votes.session_id = session_memes.session_id
            AND votes.meme_id = session_memes.meme_id);
        DROP TABLE old_votes;
        DROP TABLE old_annotators;

        CREATE TRIGGER votes_counted AFTER INSERT ON votes BEGIN
            UPDATE memes SET vote_count = vote_count
                + (NEW.kind IN ('vote', 'decision'))
                - coalesce((SELECT kind IN ('vote', 'decision') FROM votes
                            WHERE id = NEW.replaces), 0)
            WHERE id = NEW.meme_id AND NOT EXISTS (SELECT 1 FROM annotators
                WHERE annotators.id = NEW.annotator_id AND excluded_at IS NOT NULL);
            UPDATE session_memes SET votes = votes
                + (NEW.kind IN ('vote', 'unsure'))
                - coalesce((SELECT kind IN ('vote', 'unsure') FROM votes
                            WHERE id = NEW.replaces), 0)
            WHERE session_id = NEW.session_id AND meme_id = NEW.meme_id;
        END;
        CREATE TRIGGER votes_never_change BEFORE UPDATE ON votes
        BEGIN SELECT RAISE(ABORT, 'votes are append-only'); END;
        CREATE TRIGGER votes_never_go BEFORE DELETE ON votes
        BEGIN SELECT RAISE(ABORT, 'votes are append-only'); END;
        CREATE VIEW standing_votes AS  -- what nothing has superseded and counts for labels
            SELECT * FROM votes WHERE kind IN ('vote', 'decision')
            AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.replaces = votes.id)
            AND annotator_id NOT IN (SELECT id FROM annotators WHERE excluded_at IS NOT NULL);
        CREATE VIEW blind_votes AS  -- the same, as people judged before they saw the model's answer
            SELECT * FROM standing_votes WHERE kind = 'decision'
            UNION ALL
            SELECT * FROM votes WHERE kind = 'vote' AND seen = 'none'
            AND annotator_id NOT IN (SELECT id FROM annotators WHERE excluded_at IS NOT NULL)
            AND id = (SELECT max(id) FROM votes AS blind INDEXED BY votes_annotator
                WHERE blind.kind IN ('vote', 'unsure') AND blind.seen = 'none'
                AND blind.annotator_id = votes.annotator_id AND blind.meme_id = votes.meme_id)
            AND (SELECT kind FROM votes AS last INDEXED BY votes_annotator
                WHERE last.kind != 'surplus'
                AND last.annotator_id = votes.annotator_id AND last.meme_id = votes.meme_id
                ORDER BY id DESC LIMIT 1) IN ('vote', 'unsure');
        """
    )
