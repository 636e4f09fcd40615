"""The picture of a session, from votes of known times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from storing import add

from memeapp.errors import NotFound
from memeapp.judging import Plan, Rank
from memeapp.labels import MAMI
from memeapp.service import picture as module
from memeapp.service.exposure import longest_stretch
from memeapp.service.picture import Picture, minutes_left, speed
from memeapp.service.quality import Quality
from memeapp.store import Store
from memeapp.store.tallies import Looked

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NO = dict.fromkeys(MAMI.names, False)
YES = {**NO, "misogynous": True, "shaming": True}


def at(minutes: float) -> str:
    """So many minutes before noon, as the store writes it."""
    return (NOON - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")


class Room:
    """A session in which everything is said at a time of its own; now is noon."""

    def __init__(self, store: Store, memes: int = 10, **plan: Any) -> None:
        self.store = store
        self.ids = [add(store, f"meme {n}", origin="import:x/1").id for n in range(memes)]
        self.session = store.add_session(Plan("Room", **plan), self.ids).id
        self.people: dict[str, str] = {}
        self.entries = 0

    def id_of(self, name: str) -> str:
        if name not in self.people:
            self.people[name] = self.store.add_annotator(name, session_id=self.session).id
        return self.people[name]

    def says(self, name: str, meme: int, minutes: float, **columns: Any) -> int:
        """An entry of the table of votes, as it would have been kept then."""
        self.entries += 1
        labels = columns.pop("labels", NO)
        values = {
            "session_id": self.session,
            "meme_id": self.ids[meme],
            "annotator_id": self.id_of(name),
            "kind": "vote",
            "labels": json.dumps(labels),
            "seconds": 0.0,
            "revealed": 0,
            "queue": "random",
            "key": f"key {self.entries}",
            "created_at": at(minutes),
            **columns,
        }
        with self.store._writing():
            return self.store._insert("votes", values)


@pytest.fixture
def room(store: Store) -> Room:
    return Room(store)


@pytest.fixture
def pictures(store: Store) -> Picture:
    return Picture(store, MAMI, today=lambda: NOON)


@pytest.mark.parametrize(
    ("count", "minutes", "per_hour"),
    [(30, 60, 30), (30, 30, 60), (30, 90, 30), (1, 0.1, 12), (10, 5, 120)],
)
def test_speed_is_since_the_first_answer_of_the_hour_over_five_minutes_at_least(
    count: int, minutes: float, per_hour: float
) -> None:
    assert speed(count, at(minutes), NOON) == pytest.approx(per_hour)


def test_without_an_answer_there_is_no_speed() -> None:
    assert speed(0, None, NOON) is None


def test_the_pace_of_a_session_and_the_time_it_leaves(room: Room, pictures: Picture) -> None:
    for meme, minutes in enumerate((200, 199, 198)):  # one stretch of ten minutes
        room.says("Ann", meme, minutes, seconds=4.0 + meme)
    for meme, minutes in enumerate((30, 20, 12)):  # and two more
        room.says("Bob", meme, minutes, seconds=10.0)
    pace = pictures.of(room.session).pace
    assert pace.last_hour == pytest.approx(6)  # 3 in half an hour
    assert pace.overall == pytest.approx(6 / (3 / 6))
    assert pace.median_seconds == 8.0  # of 4, 5, 6, 10, 10, 10
    assert pace.minutes_left == pytest.approx(60 * (30 - 6) / 6)


def test_what_was_replaced_or_taken_back_or_has_a_known_answer_makes_no_speed(
    store: Store, room: Room, pictures: Picture
) -> None:
    first = room.says("Ann", 0, 30)
    room.says("Ann", 0, 29, replaces=first)
    second = room.says("Ann", 1, 28)
    room.says("Ann", 1, 27, kind="undo", replaces=second)
    store.set_gold(room.session, room.ids[2], YES)
    room.says("Ann", 2, 26)
    assert store.judged_since(at(60), room.session) == (1, at(29))
    assert pictures.of(room.session).pace.last_hour == pytest.approx(60 / 29)
    assert store.own_since(at(60), room.people["Ann"]) == (2, at(29))


def test_other_sessions_and_earlier_hours_make_no_speed(store: Store, room: Room) -> None:
    other = store.add_session(Plan("Other"), room.ids)
    guest = store.add_annotator("Guest", session_id=other.id).id
    room.says("Ann", 0, 61)
    room.says("Guest", 1, 20, session_id=other.id, annotator_id=guest)
    room.says("Ann", 2, 10)
    assert store.judged_since(at(60), room.session) == (1, at(10))
    assert store.judged_since(at(60), other.id) == (1, at(20))


def test_a_session_that_nobody_works_on_has_no_speed_and_no_end(
    room: Room, pictures: Picture
) -> None:
    room.says("Ann", 0, 61)
    pace = pictures.of(room.session).pace
    assert (pace.last_hour, pace.minutes_left) == (None, None)
    assert pace.median_seconds is None
    assert pace.overall == 6


def test_a_session_that_is_done_takes_no_more_time(store: Store) -> None:
    room = Room(store, memes=1, votes_per_meme=1)
    room.says("Ann", 0, 90)
    assert minutes_left(store.session_counts(room.session), None) == 0


def test_shares_over_time_are_those_of_equal_parts_of_the_votes(
    store: Store, pictures: Picture
) -> None:
    room = Room(store, memes=50)
    for meme in range(50):
        room.says("Ann", meme, 50 - meme, labels=YES if meme >= 25 else NO)
    found = pictures.of(room.session)
    line = found.over_time["misogynous"]
    assert [(share.count, share.n) for _, share in line] == [(0, 25), (25, 25)]
    assert [until for until, _ in line] == [at(26), at(1)]
    assert (found.shares["misogynous"].count, found.shares["misogynous"].n) == (25, 50)  # type: ignore[union-attr]
    assert found.shares["violence"].count == 0  # type: ignore[union-attr]


def test_a_line_has_twelve_points_at_most() -> None:
    parts = module._parts(list(range(1000)))  # type: ignore[arg-type]
    assert len(parts) == 12
    assert sum(map(len, parts)) == 1000
    assert {len(part) for part in parts} == {83, 84}
    assert module._parts([]) == []


def test_who_is_left_out_counts_for_the_speed_alone(
    store: Store, room: Room, pictures: Picture
) -> None:
    room.says("Ann", 0, 30, labels=YES)
    room.says("Bob", 0, 30, revealed=1)
    assert pictures.of(room.session).unseen.value == 0.5  # type: ignore[union-attr]
    store.set_excluded(room.people["Bob"], True)
    found = pictures.of(room.session)
    assert found.shares["misogynous"].value == 1  # type: ignore[union-attr]
    assert found.unseen.value == 1  # type: ignore[union-attr]
    assert found.pace.last_hour == pytest.approx(4)
    assert found.counts.votes == 2


def test_a_person_who_is_not_sure_has_no_share(room: Room, pictures: Picture) -> None:
    room.says("Ann", 0, 30, kind="unsure", labels={})
    found = pictures.of(room.session)
    assert found.shares["misogynous"] is None
    assert found.unseen is not None
    assert found.unseen.n == 1


def test_the_mix_of_queues_is_beside_what_was_planned(store: Store, pictures: Picture) -> None:
    room = Room(store, policy={"random": 0.75, "uncertain": 0.25})
    for meme in range(4):
        room.says("Ann", meme, 30, queue="random" if meme else "gold")
    room.says("Ann", 5, 30, queue="")  # nobody knows
    mix = pictures.of(room.session).mix
    assert [(one.queue, one.declared, one.given.count) for one in mix] == [  # type: ignore[union-attr]
        ("uncertain", 0.25, 0),
        ("random", 0.75, 3),
        ("gold", 0.0, 1),
    ]
    assert mix[0].given.n == 4  # type: ignore[union-attr]


def test_the_agreement_is_that_of_the_quality_of_the_session(
    store: Store, room: Room, pictures: Picture
) -> None:
    for meme in range(4):
        room.says("Ann", meme, 30, labels=YES)
        blind = room.says("Bob", meme, 30, labels=YES if meme < 3 else NO)
    room.says("Bob", 3, 29, labels=YES, seen="after", replaces=blind)
    room.says("Eve", 0, 20, labels=NO, seen="before")
    found = pictures.of(room.session).agreement
    assert found["misogynous"].observed.value == 0.75  # type: ignore[union-attr]
    assert found == Quality(store, MAMI).figures(room.session).agreement


def test_the_picture_follows_what_the_admin_does_at_once(
    store: Store, room: Room, pictures: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memeapp.service.recent.CHEAP", 0.0)
    monkeypatch.setattr("memeapp.service.recent.LASTS", 1e9)
    room.says("Ann", 0, 30, labels=YES)
    before = pictures.of(room.session)
    room.says("Ann", 1, 30, labels=YES)
    assert pictures.of(room.session) is before  # what people say comes a moment later
    store.set_excluded(room.people["Ann"], True)
    assert pictures.of(room.session).shares["misogynous"] is None


def test_a_picture_is_of_a_session_that_is_there(pictures: Picture) -> None:
    with pytest.raises(NotFound, match="There is no session 4711"):
        pictures.of(4711)


def test_people_see_the_session_and_themselves_and_nothing_of_what_others_say(
    store: Store, room: Room, pictures: Picture
) -> None:
    for meme in range(4):
        room.says("Ann", meme, 30, labels=YES)
    room.says("Bob", 0, 60, labels=YES)
    store.set_gold(room.session, room.ids[9], YES)
    room.says("Bob", 9, 15)  # nobody is to find out that its answer is known
    assert pictures.for_annotators(room.people["Bob"]) == {
        "memes": 9,
        "done": 0,
        "at_work": 0,
        "per_hour": 5,
        "minutes_left": 60 * (27 - 5) / 5,
        "judged": 2,
        "own_per_hour": 2,
    }


def test_who_is_in_no_session_has_no_picture(store: Store, pictures: Picture) -> None:
    corpus = store.named_annotator("corpus", "import")
    with pytest.raises(NotFound, match="You are in no session"):
        pictures.for_annotators(corpus.id)


def test_exposure_is_weighed_by_severity_and_sorted_by_today(
    store: Store, room: Room, pictures: Picture
) -> None:
    severe = {room.ids[0]: Rank(severity=1.0), room.ids[1]: Rank(severity=0.25)}
    store.set_ranks(room.session, severe)
    day = 24 * 60
    room.says("Ann", 0, 8 * day, revealed=1, revealed_seconds=100.0)
    room.says("Ann", 1, 2 * day, revealed=1, revealed_seconds=40.0)
    room.says("Bob", 0, 60, revealed=1, revealed_seconds=7.0)
    room.says("Bob", 1, 50)
    room.says("Bob", 2, 40, kind="skip", labels={}, reason="prefer not to", revealed_seconds=3.0)
    room.id_of("Eve")
    store.set_preferences(room.people["Eve"], {"avoid": ["violence", "nudity"]})
    bob, ann, eve = pictures.exposure(room.session)
    assert [one.annotator.name for one in (bob, ann, eve)] == ["Bob", "Ann", "Eve"]
    assert (bob.today, bob.week, bob.all, bob.revealed_seconds) == (7, 7, 7, 10)
    assert (ann.today, ann.week, ann.all, ann.revealed_seconds) == (0, 10, 110, 140)
    assert (bob.unseen.count, bob.unseen.n) == (1, 2)  # type: ignore[union-attr]
    assert (bob.avoids, bob.passed_on, eve.avoids, eve.passed_on) == (0, 1, 2, 0)
    assert eve.unseen is None
    assert eve.longest_minutes == 0


def test_today_begins_at_the_midnight_of_who_asks(
    store: Store, room: Room, pictures: Picture
) -> None:
    store.set_ranks(room.session, {room.ids[0]: Rank(severity=1.0)})
    room.says("Ann", 0, 60, revealed=1, revealed_seconds=5.0)
    east = NOON - timedelta(minutes=30)
    assert pictures.exposure(room.session, east)[0].today == 0
    assert pictures.exposure(room.session, east)[0].week == 5
    assert pictures.exposure(room.session, NOON - timedelta(minutes=90))[0].today == 5


@pytest.mark.parametrize(
    ("looks", "minutes"),
    [
        ([], 0),
        ([(60, 120)], 2),
        ([(60, 0), (55.1, 0), (51, 0)], 9),  # pauses shorter than five minutes
        ([(60, 0), (55, 0), (53, 0)], 2),  # five minutes are a pause
        ([(60, 0), (50, 400)], 10),  # the meme was looked at for most of that time
        ([(60, 0), (50, 5000)], 10),  # nobody looks at two memes at once
        ([(60, 60), (40, 30), (39, 0)], 1.5),
    ],
)
def test_the_longest_stretch_is_that_without_a_pause_between_memes(
    looks: list[tuple[float, float]], minutes: float
) -> None:
    entries = [Looked("Ann", "vote", "", at(before), s, 1, s, 1.0) for before, s in looks]
    assert longest_stretch(entries) / 60 == pytest.approx(minutes)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()
