"""The database comes up to date, once, whoever starts first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from memeapp.errors import Mismatch
from memeapp.migrations import MIGRATIONS, migrate
from memeapp.store import Store


def test_migrating_twice_changes_nothing() -> None:
    with Database(memory=True) as db:
        migrate(db)
        schema = db.schema
        migrate(db)
        assert db.schema == schema


def test_a_database_newer_than_the_program_is_refused_by_name(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with Database(tmp_path / "memeapp.db") as db:
        db.table(MIGRATIONS.migrations_table).insert(
            {"migration_set": MIGRATIONS.name, "name": "9999_flying_cars", "applied_at": "then"}
        )
    with pytest.raises(Mismatch, match="9999_flying_cars"):
        Store(tmp_path)


def test_a_migration_that_fails_leaves_nothing_behind_and_those_before_it_stay() -> None:
    migrations = Migrations("memeapp")

    @migrations(name="0001")
    def good(db: Database) -> None:
        db.execute("CREATE TABLE good (a)")

    @migrations(name="0002")
    def bad(db: Database) -> None:
        db.execute("CREATE TABLE half (a)")
        raise RuntimeError("the power went")

    with Database(memory=True) as db:
        with pytest.raises(RuntimeError):
            migrate(db, migrations)
        assert "good" in db.table_names()
        assert "half" not in db.table_names()
        assert [done.name for done in migrations.applied(db)] == ["0001"]


def test_processes_that_start_at_once_in_an_empty_folder_all_get_a_database(
    tmp_path: Path,
) -> None:
    program = (
        "import sys; from pathlib import Path; from memeapp.store import Store;"
        "sys.stdin.readline(); Store(Path(sys.argv[1])).add_annotator(sys.argv[2])"
    )
    folder = tmp_path / "data"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder), f"annotator {number}"],
            stdin=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert Store(folder).counts([]).annotators == 4
