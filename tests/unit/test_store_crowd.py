"""Many at once, in threads and in another process: every meme gets exactly its votes, none lost."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from storing import Room, at_once

from memeapp.judging import VoteKind
from memeapp.store import Store

MEMES = "".join(chr(ord("A") + number) for number in range(40))
PEOPLE = "abcdefgh"
WANTED = 3

WORKER = """
import sys
from pathlib import Path
from memeapp.judging import Judgement
from memeapp.store import Store

store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
number, idle = 0, 0
while idle < 20:
    cards = store.next_cards(sys.argv[2], "tab")
    if not cards:
        idle += 1
        continue
    key = f"other {number}"
    vote = store.record(sys.argv[2], cards[0].meme.id, Judgement({"misogynous": True}), key=key)
    print(vote.id, vote.kind.value, flush=True)
    number += 1
"""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    store = Store(tmp_path / "data")
    room = Room(store, MEMES, PEOPLE, votes_per_meme=WANTED)
    yield room
    store.close()


def label_until_done(room: Room, who: str, saved: list[int]) -> None:
    """As a page does it: what was loaded ahead is judged, then the page asks again."""
    idle = 0
    while idle < 20:  # others may give something back
        cards = room.next(who)
        idle = 0 if cards else idle + 1
        for number, meme in enumerate(cards):
            vote = room.judge(who, meme, key=f"{who} {meme}")
            saved.append(vote.id)
            if number == 0:
                assert vote.kind is VoteKind.VOTE, "a meme that is shown has a place"


def check(room: Room, saved: list[int]) -> None:
    """Whatever was acknowledged is there; nothing is counted twice or over the number wanted."""
    votes = room.store.all_votes()
    assert sorted(saved) == [vote.id for vote in votes]
    standing = room.store.standing_votes()
    assert Counter(vote.meme_id for vote in standing) == dict.fromkeys(room.memes.values(), WANTED)
    assert len({(vote.meme_id, vote.annotator_id) for vote in standing}) == len(standing)
    counters = "SELECT DISTINCT votes, done FROM session_memes"
    assert room.store._db.execute(counters).fetchall() == [(WANTED, 1)]


def test_a_crowd_in_threads_gives_every_meme_exactly_the_votes_it_wants(room: Room) -> None:
    saved: list[int] = []
    answers = at_once(lambda at: label_until_done(room, PEOPLE[at], saved), len(PEOPLE))
    assert answers == [None] * len(PEOPLE)
    check(room, saved)


def test_a_crowd_in_threads_and_two_other_processes_does_too(room: Room) -> None:
    room.store.clock = Store.clock  # they go by the time of day
    others = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(room.store.folder), room.people[who]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in PEOPLE[:2]
    ]
    for other in others:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.close()
    # All of them are at work before the threads begin.
    first = [other.stdout.readline() for other in others if other.stdout is not None]
    saved: list[int] = []
    answers = at_once(lambda at: label_until_done(room, PEOPLE[2 + at], saved), 6)
    assert answers == [None] * 6
    for other, line in zip(others, first, strict=True):
        assert other.stdout is not None
        lines = [line.split(), *(line.split() for line in other.stdout)]
        other.stdout.close()
        assert other.wait(30) == 0
        assert {kind for _, kind in lines} <= {"vote"}
        saved += [int(id) for id, _ in lines]
    check(room, saved)


def test_eight_who_send_at_once_without_having_been_given_the_meme_fill_its_places_only(
    room: Room,
) -> None:
    for meme in MEMES[:5]:
        votes = at_once(lambda at, meme=meme: room.judge(PEOPLE[at], meme, key=meme), 8)
        assert Counter(vote.kind for vote in votes) == {VoteKind.VOTE: 3, VoteKind.SURPLUS: 5}
    assert len(room.store.all_votes()) == 40
    assert len(room.store.standing_votes()) == 15
