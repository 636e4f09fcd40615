"""What the admin sees of a session and changes in it over HTTP."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from memeapp.judging import Rank
from memeapp.labels import MAMI
from tests.api.conftest import Hall
from tests.conftest import SUGGESTION

NO = dict.fromkeys(MAMI.names, False)


@pytest.fixture
def admin(hall: Hall) -> httpx.Client:
    return hall.admin()


@pytest.mark.parametrize(
    ("method", "route", "body"),
    [
        ("GET", "sessions/{id}/picture", None),
        ("GET", "sessions/{id}/exposure", None),
        ("GET", "sessions/{id}/warnings", None),
        ("GET", "sessions/{id}/plan", None),
        ("POST", "sessions/{id}/change", {"name": "Mine now"}),
        ("POST", "sessions/preview", {}),
        ("POST", "sessions/people/{ada}/warn", {"text": "Go away."}),
    ],
)
def test_nobody_but_the_admin_sees_or_changes_anything(
    hall: Hall, method: str, route: str, body: dict[str, Any] | None
) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    session = hall.app.labelling.session(hall.session_id(invite))
    address = route.format(id=session.id, ada=hall.id_of(ada))
    for http in (ada.http, hall.visitor()):
        reply = http.request(method, address, json=body)
        assert reply.status_code == 403
        assert reply.json() == {"detail": "Log in as admin first."}
    assert hall.app.labelling.session(session.id) == session
    assert hall.app.store.annotator(hall.id_of(ada)).warning == ""


def test_the_picture_tells_speed_shares_agreement_and_queues(
    hall: Hall, admin: httpx.Client
) -> None:
    invite = hall.room(suggestion=SUGGESTION, votes_per_meme=2)
    for name in ("Ada", "Ben"):
        person = hall.person(invite, name)
        for _ in range(3):
            card = person.open()["cards"][0]
            person.vote(card, "misogynous", revealed=name == "Ada", seconds=6.0)
    picture = admin.get(f"sessions/{hall.session_id(invite)}/picture").json()
    assert (picture["memes"], picture["done"]) == (5, 3)
    assert (picture["votes"], picture["wanted"]) == (6, 10)
    assert picture["pace"]["last_hour"] == 72  # six, in five minutes at the least
    assert picture["pace"]["median_seconds"] == 6
    assert picture["pace"]["minutes_left"] == pytest.approx(60 * 4 / 72)
    first, second = picture["labels"][:2]
    assert (first["name"], first["share"]["value"]) == ("Misogynous", 1)
    assert (second["name"], second["share"]["value"]) == ("Shaming", 0)
    assert [point["value"] for point in first["line"]] == [1]
    assert first["observed"]["value"] == 1
    assert picture["unseen"]["value"] == 0.5
    (mix,) = picture["mix"]
    assert (mix["queue"], mix["declared"], mix["given"]["value"]) == ("uncertain", 1, 1)


def test_a_picture_of_nothing_knows_nothing_yet(hall: Hall, admin: httpx.Client) -> None:
    picture = admin.get(f"sessions/{hall.session_id(hall.room())}/picture").json()
    assert picture["pace"] == dict.fromkeys(picture["pace"], None)
    assert picture["unseen"] is None
    assert [(one["share"], one["line"]) for one in picture["labels"]] == [(None, [])] * 5


def test_exposure_counts_from_the_midnight_that_was_given(hall: Hall, admin: httpx.Client) -> None:
    invite = hall.room(rank=lambda _: Rank(severity=0.5))
    ada = hall.person(invite)
    ada.vote(ada.open()["cards"][0], revealed=True, revealed_seconds=8.0)
    address = f"sessions/{hall.session_id(invite)}/exposure"
    (row,) = admin.get(address, params={"midnight": time.time() - 60}).json()
    assert (row["name"], row["today"], row["week"], row["all"]) == ("Ada", 4, 4, 4)
    assert (row["revealed_seconds"], row["unseen"]["value"]) == (8, 0)
    (later,) = admin.get(address, params={"midnight": time.time() + 60}).json()
    assert (later["today"], later["week"]) == (0, 4)
    assert admin.get(address).json()[0]["all"] == 4
    assert admin.get(address, params={"midnight": "nan"}).status_code == 422


def test_a_plan_is_read_and_changed_for_everybody_at_once(hall: Hall, admin: httpx.Client) -> None:
    invite = hall.room(votes_per_meme=2, policy={"random": 0.25, "uncertain": 0.75})
    id = hall.session_id(invite)
    ada = hall.person(invite)
    ada.vote(ada.open()["cards"][0])
    plan = admin.get(f"sessions/{id}/plan").json()
    assert plan["policy"] == {"random": 25, "uncertain": 75}
    assert (plan["votes_per_meme"], plan["lease_seconds"], plan["open_until"]) == (2, 300, None)
    changed = {
        **plan,
        "name": f"{plan['name']} again",
        "guidelines": "Others",
        "votes_per_meme": 1,
        "policy": {"random": 1},
        "suggestions": "none",
        "lease_seconds": 60,
        "break_exposure": 30,
        "leaderboard": True,
        "open_until": "",
    }
    session = admin.post(f"sessions/{id}/change", json=changed).json()
    assert session["counts"]["done"] == 1
    assert session["counts"]["wanted"] == 5
    now = admin.get(f"sessions/{id}/plan").json()
    assert now == {**changed, "policy": {"random": 100}, "open_until": None}
    assert "Others" in ada.open()["session"]["guidelines"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lease_seconds": 9}, "seconds a meme is kept cannot be 9; 10 to 3600 can"),
        ({"policy": {"random": 0}}, "Every queue has the share 0"),
        ({"name": ""}, "The name is empty"),
        ({"votes_per_meme": 0}, "votes per meme cannot be 0"),
    ],
)
def test_a_change_that_cannot_work_leaves_the_plan_as_it_was(
    hall: Hall, admin: httpx.Client, change: dict[str, Any], words: str
) -> None:
    id = hall.session_id(hall.room())
    before = hall.app.labelling.session(id)
    plan = {**admin.get(f"sessions/{id}/plan").json(), "open_until": "", **change}
    reply = admin.post(f"sessions/{id}/change", json=plan)
    assert reply.status_code == 400
    assert words in reply.json()["detail"]
    assert hall.app.labelling.session(id) == before


def test_a_session_is_opened_on_part_of_the_memes_as_was_told_before(
    hall: Hall, admin: httpx.Client
) -> None:
    assert admin.post("sessions/preview", json={}).json() == {
        "memes": 5,
        "data_sets": [{"name": "import:test", "memes": 5}],
    }
    for part, memes in (
        ({"most": 2}, 2),
        ({"data_set": "import:test", "most": 3}, 3),
        ({"data_set": "import:test"}, 5),
        ({"data_set": "import:nothing"}, 0),
    ):
        assert admin.post("sessions/preview", json=part).json()["memes"] == memes
        name = f"Part {memes} {part}"[:40]
        reply = admin.post("sessions", json={"name": name, **part})
        if memes:
            assert reply.json()["counts"]["memes"] == memes
        else:
            assert reply.status_code == 400
            assert "no memes" in reply.json()["detail"]
    assert admin.post("sessions/preview", json={"most": 0}).status_code == 422


def test_a_session_is_opened_on_what_nobody_has_judged(hall: Hall, admin: httpx.Client) -> None:
    ada = hall.person(hall.room())
    ada.vote(ada.open()["cards"][0], "misogynous")
    left = sum(meme.id not in judged(hall) for meme in hall.app.memes)
    assert left < 5
    found = admin.post("sessions/preview", json={"unlabelled": True}).json()
    assert found["memes"] == left


def judged(hall: Hall) -> set[str]:
    return {vote.meme_id for vote in hall.app.store.standing_votes()}


def test_the_admin_tells_somebody_and_takes_it_back(hall: Hall, admin: httpx.Client) -> None:
    invite = hall.room()
    id = hall.session_id(invite)
    ada, ben, eve = (hall.person(invite, name) for name in ("Ada", "Ben", "Eve"))
    for person, yes in ((ada, ()), (ben, ()), (eve, MAMI.names)):
        for _ in range(5):
            person.vote(person.open()["cards"][0], *yes)
    ((who, words),) = admin.get(f"sessions/{id}/warnings").json().items()
    assert who == hall.id_of(eve)
    assert words.startswith("0 of 25 answers")
    address = f"sessions/people/{who}/warn"
    admin.post(address, json={"text": words}).raise_for_status()
    (session,) = (one for one in admin.get("sessions").json() if one["id"] == id)
    assert [one["warning"] for one in session["people"]] == ["", "", words]
    reply = admin.post(address, json={"text": "w" * 301})
    assert (reply.status_code, reply.json()["detail"]) == (
        400,
        "The text has 301 characters; at most 300.",
    )
    admin.post(address, json={"text": ""}).raise_for_status()
    assert hall.app.store.annotator(who).warning == ""
