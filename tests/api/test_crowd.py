"""A minute of fifty people labelling, and what the counting afterwards notices."""

import sqlite3
from pathlib import Path

import pytest

from memeapp.bench.crowd import bench_crowd, count
from memeapp.judging import Judgement, Plan
from memeapp.store import Store
from memeapp.types import TextSource


@pytest.mark.timeout(400)
def test_fifty_people_in_a_minute_lose_nothing_and_no_meme_gets_too_many_votes(
    tmp_path: Path,
) -> None:
    seen, counted = bench_crowd(
        tmp_path,
        people=50,
        votes=10_000,
        minutes=1.0,
        pause=1.0,
        report=lambda stage, share: None,
    )
    assert seen.errors == []
    assert len(seen.acknowledged) > 100
    assert len(set(seen.acknowledged)) == len(seen.acknowledged)
    assert (counted.over_assigned, counted.double, counted.lost) == (0, 0, 0)
    assert counted.sound
    assert "| votes acknowledged |" in (tmp_path / "crowd.md").read_text(encoding="utf-8")


class _Picture:
    id = "a" * 64
    width = height = 8
    phash = "0" * 16

    def to_jpeg(self) -> bytes:
        return b""


def test_the_count_finds_votes_too_many_twice_and_lost(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_meme(
        _Picture(), text="", text_source=TextSource.GIVEN, origin="test", holdout_share=0.0
    )
    session = store.add_session(Plan("Monday", votes_per_meme=1), [_Picture.id])
    person = store.add_annotator("Ann", session_id=session.id)
    vote = store.record(person.id, _Picture.id, Judgement({"misogynous": True}), key="k" * 16)
    store.close()
    database = tmp_path / "memeapp.db"
    assert count(database, [vote.id]).lost == 0
    assert count(database, [vote.id, 4711]).lost == 1
    with sqlite3.connect(database) as db:
        db.execute("DROP INDEX votes_first")
        columns = "session_id, meme_id, annotator_id, kind, labels, seconds, revealed, created_at"
        db.execute(f"INSERT INTO votes ({columns}, key) SELECT {columns}, 'another' FROM votes")
    db.close()
    found = count(database, [vote.id])
    assert (found.over_assigned, found.double) == (1, 1)
