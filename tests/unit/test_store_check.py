"""Whether the database can be read and written, found out without writing or waiting."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlite_utils import Database

from memeapp.errors import NotSaved
from memeapp.store import Store, connections
from memeapp.types import JobKind, JobState


def test_a_database_that_works_is_well_and_votes_go_on_waiting_for_each_other(
    store: Store,
) -> None:
    store.check()
    assert store._db.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
    assert not store._db.conn.in_transaction


def test_a_database_that_somebody_writes_to_is_well(store: Store) -> None:
    other = sqlite3.connect(store.folder / "memeapp.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.check()
    other.close()


def test_a_full_disk_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20 - 1))
    with pytest.raises(NotSaved, match="is full; make room"):
        store.check()


def test_a_database_that_is_gone_is_told_although_its_connection_is_open(store: Store) -> None:
    (store.folder / "memeapp.db").unlink()
    with pytest.raises(NotSaved, match="is gone"):
        store.check()
    shutil.rmtree(store.folder)
    with pytest.raises(NotSaved, match="cannot be read and written"):
        store.check()


def test_a_file_that_is_no_database_is_told(store: Store) -> None:
    store.close()
    (store.folder / "memeapp.db").write_bytes(b"no database" * 1000)
    with pytest.raises(NotSaved, match="not a database"):
        store.check()


def test_a_database_that_can_only_be_read_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path) -> Database:
        opened = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        return Database(opened, execute_plugins=False)

    store.close()
    monkeypatch.setattr(connections, "_connect", read_only)
    with pytest.raises(NotSaved, match="readonly"):
        store.check()
    store.close()


def test_the_size_of_the_database_counts_what_is_not_in_its_file_yet(store: Store) -> None:
    files = [store.folder / "memeapp.db", store.folder / "memeapp.db-wal"]
    assert store.size() == sum(file.stat().st_size for file in files)


def test_jobs_are_counted_by_kind_and_state(store: Store) -> None:
    assert store.count_jobs() == {}
    for _ in range(2):
        store.update_job(store.add_job().id, state=JobState.FAILED)
    store.update_job(store.add_job(kind=JobKind.IMPORT).id, state=JobState.RUNNING)
    assert store.count_jobs() == {
        (JobKind.TRAIN, JobState.FAILED): 2,
        (JobKind.IMPORT, JobState.RUNNING): 1,
    }
