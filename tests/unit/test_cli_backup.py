"""`memeapp backup` and `memeapp restore` as a user types them."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from storing import Room

from memeapp.cli import main
from memeapp.store import Store


def run(data: Path, *arguments: object, exit_code: int = 0) -> Result:
    """A command; what it held ends with it, as if it had been a process of its own."""
    result = CliRunner().invoke(main, ["--data", str(data), *map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    result.exc_info = None
    gc.collect()
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = Store(tmp_path / "data")
    Room(store).judge("X", "a")
    store.close()
    return tmp_path / "data"


def test_a_backup_is_written_once_and_put_back_where_the_folder_was(
    data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "monday.zip"
    written = run(data, "backup", file)
    assert "3 memes, votes up to number 1 and 0 versions are in" in written.stdout
    assert "there already" in run(data, "backup", file, exit_code=1).output
    run(data, "backup", file, "--force", "--without-secrets")
    back = run(data, "restore", file)
    assert "3 memes, votes up to number 1, 0 versions" in back.stdout
    assert f"What was there before is in {data}/before-restore-" in back.stdout
    audit = run(data, "audit").stdout
    assert "command line: backup.make monday.zip" in audit
    assert "command line: backup.restore" in audit


def test_a_backup_is_put_into_a_new_folder(data: Path, tmp_path: Path) -> None:
    run(data, "backup", tmp_path / "monday.zip")
    told = run(data, "restore", tmp_path / "monday.zip", "--into", tmp_path / "new").stdout
    assert told.startswith(f"{tmp_path / 'new'} is as it was at ") and "before" not in told
    store = Store(tmp_path / "new")
    assert store.last_vote() == 1
    store.close()


def test_a_restore_while_the_folder_is_used_says_what_to_do(data: Path, tmp_path: Path) -> None:
    run(data, "backup", tmp_path / "monday.zip")
    store = Store(data)
    refused = run(data, "restore", tmp_path / "monday.zip", exit_code=1)
    assert "is in use: stop the app" in refused.output
    store.close()
