import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from storing import add, picture

from memeapp.errors import NotSaved
from memeapp.store.connections import moment
from memeapp.types import Input, TextSource

ONE = Input(
    at=moment(datetime.now(UTC)),
    version="v0001",
    text_length=31,
    language="en",
    ocr_confidence=0.9,
    unlike_image=False,
    unlike_text=None,
    scores={"misogynous": 0.25, "shaming": 0.5},
    kept=True,
)


def days_ago(days):
    return replace(ONE, at=moment(datetime.now(UTC) - timedelta(days=days)))


def test_what_was_classified_comes_back_as_it_was(store):
    other = replace(ONE, ocr_confidence=None, unlike_image=True, unlike_text=False, kept=False)
    store.add_inputs([ONE, other], keep_days=90)
    assert store.inputs_since(7, limit=10) == [other, ONE]


def test_only_the_days_asked_for_are_given_the_newest_first(store):
    rows = [days_ago(days) for days in (20, 6, 2)]
    store.add_inputs(rows, keep_days=90)
    assert store.inputs_since(7, limit=10) == [rows[2], rows[1]]
    assert store.inputs_since(7, limit=1) == [rows[2]]


def test_rows_go_when_they_are_older_than_they_are_kept(store):
    store.add_inputs([days_ago(31), days_ago(29)], keep_days=90)
    store.add_inputs([ONE], keep_days=30)
    assert len(store.inputs_since(1000, limit=10)) == 2


def test_a_table_that_takes_no_row_takes_none_of_them(store):
    with pytest.raises(sqlite3.IntegrityError):
        store.add_inputs([ONE, replace(ONE, version=None)], keep_days=90)
    assert store.inputs_since(7, limit=10) == []


def test_a_database_that_cannot_be_written_says_that_nothing_was_saved(store):
    store._db.execute("PRAGMA query_only=ON")
    with pytest.raises(NotSaved):
        store.add_inputs([ONE], keep_days=90)


def test_the_table_has_no_place_for_a_text_a_picture_or_a_person(store):
    assert {column.name for column in store._db["inputs"].columns} == {
        "id",
        "at",
        "version",
        "text_length",
        "language",
        "ocr_confidence",
        "unlike_image",
        "unlike_text",
        "scores",
        "kept",
    }


def test_a_memes_ocr_confidence_is_kept_with_the_text_that_was_read(store):
    add(store, "a", text="", text_source=TextSource.NONE)
    add(store, "b", text="read", text_source=TextSource.OCR, ocr_confidence=0.5)
    store.improve_text(picture("a").id, "read", TextSource.OCR, 0.75)
    found = {one.id: one for one in store.sources([picture(name).id for name in "ab"])}
    assert found[picture("a").id].ocr_confidence == 0.75
    assert found[picture("b").id].ocr_confidence == 0.5


def test_a_better_text_does_not_change_how_sure_ocr_was(store):
    add(store, "a", text="read", text_source=TextSource.OCR, ocr_confidence=0.5)
    store.improve_text(picture("a").id, "given", TextSource.GIVEN)
    (found,) = store.sources([picture("a").id])
    assert (found.text, found.ocr_confidence) == ("given", 0.5)


def test_only_the_memes_asked_for_that_are_here_are_given(store):
    add(store, "a")
    add(store, "b")
    assert [one.id for one in store.sources([picture(n).id for n in "ac"])] == [picture("a").id]
