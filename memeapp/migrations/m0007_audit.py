"""What was done by an admin, a command or the gate: lines that are added and never change."""

from __future__ import annotations

from sqlite_utils import Database


def audit(db: Database) -> None:
    db.executescript(
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at TEXT NOT NULL,
            who TEXT NOT NULL CHECK (who <> ''),
            what TEXT NOT NULL CHECK (what <> ''),  -- a word such as version.promote
            about TEXT NOT NULL,  -- name of the thing
            before TEXT NOT NULL,  -- of a promotion: the version that answered until then
            details TEXT NOT NULL CHECK (json_type(details) = 'object')
        ) STRICT;
        CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
        CREATE TRIGGER audit_never_goes BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
        CREATE TRIGGER audit_never_replaced BEFORE INSERT ON audit
        WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
        """
    )
