"""What was done is written down, and stays as it was written."""

from __future__ import annotations

import csv
import io
import sqlite3

import pytest

from memeapp.store import Store, audit
from memeapp.store.audit import ADMIN, GATE, LONGEST_ABOUT, as_csv


def test_a_line_tells_who_did_what_to_what_and_what_was_before(store: Store) -> None:
    store.note(GATE, "version.promote", "v0002", before="v0001", details={"job": 3, "why": "ä"})
    (deed,) = store.audit(10)
    assert (deed.who, deed.what, deed.about, deed.before) == (
        "the gate",
        "version.promote",
        "v0002",
        "v0001",
    )
    assert deed.details == {"job": 3, "why": "ä"}
    assert deed.at.endswith("+00:00")


def test_lines_come_newest_first_and_page_by_page(store: Store) -> None:
    for number in range(5):
        store.note(ADMIN, "session.close", str(number))
    first = store.audit(2)
    assert [deed.about for deed in first] == ["4", "3"]
    assert [deed.about for deed in store.audit(9, first[-1].id)] == ["2", "1", "0"]
    assert store.audit(9, 1) == []


def test_all_lines_are_read_in_their_order_however_many(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    for number in range(5):
        store.note(ADMIN, "session.close", str(number))
    assert [deed.about for deed in store.whole_audit()] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET who = 'nobody'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit VALUES (1, 'then', 'nobody', 'x', '', '', '{}')",
        "INSERT OR IGNORE INTO audit VALUES (1, 'then', 'nobody', 'x', '', '', '{}')",
    ],
)
def test_the_database_itself_refuses_to_change_or_remove_a_line(
    store: Store, statement: str
) -> None:
    store.note(ADMIN, "version.delete", "v0001")
    before = store.audit(10)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store._db.execute(statement)
    assert store.audit(10) == before


def test_a_line_without_a_doer_or_a_deed_is_not_taken(store: Store) -> None:
    for who, what in (("", "version.delete"), (ADMIN, "")):
        with pytest.raises(sqlite3.IntegrityError):
            store.note(who, what)
    assert store.audit(10) == []


def test_a_very_long_name_is_cut(store: Store) -> None:
    store.note(ADMIN, "upload.begin", "x" * 1000)
    assert store.audit(1)[0].about == "x" * LONGEST_ABOUT


def test_the_table_is_safe_to_open_in_a_spreadsheet(store: Store) -> None:
    store.note(ADMIN, "session.open", '=HYPERLINK("http://evil")', details={"memes": 3})
    store.note(ADMIN, "session.open", "a, b\nc")
    header, first, second = csv.reader(io.StringIO("".join(as_csv(store.whole_audit()))))
    assert header == ["id", "at", "who", "what", "about", "before", "details"]
    assert first[4].startswith("'=") and first[6] == '{"memes": 3}'
    assert second[4] == "a, b\nc"
