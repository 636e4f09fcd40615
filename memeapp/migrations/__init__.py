"""The schema of the database as numbered migrations, and how they are applied.

A released migration is never edited: a change of the schema is a new one at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlite_utils import Database, Migrations

from memeapp.errors import Mismatch
from memeapp.migrations.m0001_memes_votes_jobs import memes_votes_jobs
from memeapp.migrations.m0002_job_encoder import job_encoder
from memeapp.migrations.m0003_sessions import sessions
from memeapp.migrations.m0004_job_kinds import job_kinds
from memeapp.migrations.m0005_warnings import warnings
from memeapp.migrations.m0006_holdout import holdout
from memeapp.migrations.m0007_audit import audit
from memeapp.migrations.m0008_retraining import retraining
from memeapp.migrations.m0009_inputs import inputs

MIGRATIONS = Migrations("memeapp")
for _name, _migration in {
    "0001_memes_votes_jobs": memes_votes_jobs,
    "0002_job_encoder": job_encoder,
    "0003_sessions": sessions,
    "0004_job_kinds": job_kinds,
    "0005_warnings": warnings,
    "0006_holdout": holdout,
    "0007_audit": audit,
    "0008_retraining": retraining,
    "0009_inputs": inputs,
}.items():
    MIGRATIONS(name=_name)(_migration)


@contextmanager
def immediate(db: Database) -> Iterator[None]:
    """Hold the write lock from the first read on, so that nothing overtakes a decision."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.commit()
    except BaseException:
        db.rollback()
        raise


def migrate(db: Database, migrations: Migrations = MIGRATIONS) -> None:
    """Bring the database up to date, each migration in a transaction of its own.

    Several processes may start at once: what is pending is read under the write lock.

    Raises:
        Mismatch: if a newer program has changed the database.
    """
    with Database(memory=True) as empty:
        known = [migration.name for migration in migrations.pending(empty)]
    while True:
        with immediate(db):
            newer = [done.name for done in migrations.applied(db) if done.name not in known]
            if newer:
                raise Mismatch(
                    f"The database is at migration {newer[-1]}, this program knows them up to "
                    f"{known[-1]}; start the newer program or use another data folder."
                )
            pending = [migration.name for migration in migrations.pending(db)]
            if not pending:
                return
            migrations.apply(db, stop_before=pending[1:])
