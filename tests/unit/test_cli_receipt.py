"""The receipt of a version on the command line."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from memeapp.cli import main


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--data", str(folder), "receipt", *arguments])
    return result.exit_code, result.output


def test_a_version_without_a_receipt_tells_what_it_knows(tmp_path: Path) -> None:
    status, told = run(tmp_path, "shipped-3")
    assert status == 0
    assert told.startswith("shipped-3, ")
    assert "Encoder   embedded" in told
    assert "Misogynous" in told and "labelled" in told
    assert told.rstrip().endswith("before receipts were made.")


def test_what_is_not_there_is_an_error_in_one_line(tmp_path: Path) -> None:
    for arguments, words in (
        (["shipped-3", "--json"], "has no receipt"),
        (["v9999"], "There is no model version 'v9999'"),
    ):
        status, told = run(tmp_path, *arguments)
        assert status == 1
        assert words in told and "Traceback" not in told
