"""What the admin does with sessions over HTTP: open, invite, watch, decide, close."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import fromstring

import httpx
import pytest

from memeapp.judging import Suggestions
from memeapp.labels import MAMI
from tests.api.conftest import Hall, judgement
from tests.conftest import SUGGESTION

NO = dict.fromkeys(MAMI.names, False)
NUMBERS = itertools.count(1)


@pytest.fixture
def admin(hall: Hall) -> httpx.Client:
    return hall.admin()


def shown(admin: httpx.Client, id: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = admin.get("sessions").json()
    (one,) = (session for session in found if session["id"] == id)
    return one


def opened(admin: httpx.Client, **plan: Any) -> dict[str, Any]:
    reply = admin.post("sessions", json={"name": f"Evening {next(NUMBERS)}", **plan})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_an_admin_opens_a_session_on_all_memes_with_a_link(hall: Hall, admin: httpx.Client) -> None:
    starts = hall.app.ranker.starts
    session = opened(
        admin,
        guidelines="# How to judge",
        votes_per_meme=2,
        policy={"random": 30, "uncertain": 90, "far": 0},
        suggestions="mixed",
        break_minutes=10,
        leaderboard=True,
    )
    plan = hall.app.labelling.session(session["id"]).plan
    assert plan.policy == {"random": 0.25, "uncertain": 0.75}
    assert plan.suggestions is Suggestions.MIXED
    assert (plan.votes_per_meme, plan.break_minutes, plan.leaderboard) == (2, 10, True)
    assert plan.guidelines == "# How to judge"
    assert session["open"]
    assert session["counts"] == {
        "memes": 5,
        "done": 0,
        "wanted": 10,
        "votes": 0,
        "gold": 0,
        "people": 0,
        "at_work": 0,
    }
    assert len(session["invites"]) == 1
    assert hall.app.ranker.starts == starts + 1
    assert hall.person(session["invites"][0]["token"]).open()["cards"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"name": " "}, "The name is empty"),
        ({"name": "n" * 41}, "at most 40"),
        ({"votes_per_meme": 0}, "votes per meme cannot be 0; 1 to 100 can"),
        ({"votes_per_meme": 101}, "votes per meme cannot be 101"),
        ({"policy": {}}, "Every queue has the share 0"),
        ({"policy": {"random": 0}}, "Every queue has the share 0"),
        ({"policy": {"best": 1}}, "is no queue"),
        ({"break_minutes": 0.5}, "minutes to a break cannot be 0.5"),
        ({"break_exposure": 0}, "exposure to a break cannot be 0"),
        ({"guidelines": "g" * 20_001}, "at most 20,000"),
        ({"open_until": "tomorrow"}, "is no date"),
        ({"open_until": "0001-01-01T00:00:00+23:00"}, "is no date"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_with_the_reason(
    admin: httpx.Client, plan: dict[str, Any], words: str
) -> None:
    before = len(admin.get("sessions").json())
    reply = admin.post("sessions", json={"name": "Impossible", **plan})
    assert reply.status_code == 400
    assert words in reply.json()["detail"]
    assert len(admin.get("sessions").json()) == before


def test_a_name_of_a_session_is_taken_once(admin: httpx.Client) -> None:
    name = opened(admin)["name"]
    reply = admin.post("sessions", json={"name": name.upper()})
    assert reply.status_code == 400
    assert "choose another name" in reply.json()["detail"]


@pytest.mark.parametrize("zone", ["Z", "+05:00", ""])
def test_a_session_is_open_until_the_moment_that_was_given_in_any_zone(
    admin: httpx.Client, zone: str
) -> None:
    moment = datetime.now(UTC) + timedelta(hours=5 if zone.startswith("+") else 0)

    def until(minutes: int) -> str:
        return (moment + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat() + zone

    assert opened(admin, open_until=until(5))["open"]
    assert not opened(admin, open_until=until(-5))["open"]
    assert opened(admin, open_until="")["open_until"] is None


def test_a_session_is_closed_and_opened_again(hall: Hall, admin: httpx.Client) -> None:
    session = opened(admin)
    address = f"sessions/{session['id']}/open"
    assert not admin.post(address, json={"on": False}).json()["open"]
    assert hall.visitor().get(f"join/{session['invites'][0]['token']}").status_code == 404
    assert admin.post(address, json={"on": True}).json()["open"]
    assert hall.person(session["invites"][0]["token"]).open()["session"]["open"]


def test_a_link_is_made_and_revoked(hall: Hall, admin: httpx.Client) -> None:
    session = opened(admin)
    invites = admin.post(f"sessions/{session['id']}/invites").json()["invites"]
    tokens = [invite["token"] for invite in invites]
    assert len(set(tokens)) == 2
    admin.post(f"sessions/invites/{tokens[0]}/revoke").raise_for_status()
    left = [invite["token"] for invite in shown(admin, session["id"])["invites"]]
    assert left == tokens[1:]
    assert hall.visitor().get(f"join/{tokens[0]}").status_code == 404
    assert hall.visitor().get(f"join/{tokens[1]}").status_code == 303


def test_the_code_of_a_link_is_a_picture_of_its_address_alone(
    hall: Hall, admin: httpx.Client
) -> None:
    invite = hall.room()
    address = f"{hall.address}join/{invite}"
    route = f"sessions/invites/{invite}/code.svg?address="
    reply = admin.get(route + quote(address, safe=""))
    assert reply.headers["content-type"] == "image/svg+xml"
    assert fromstring(reply.text).tag.endswith("svg")
    for wrong in ("https://elsewhere.example/", f"{address}?x", "x" * 500 + f"/join/{invite}"):
        refused = admin.get(route + quote(wrong, safe=""))
        assert refused.status_code == 400
        assert refused.json()["detail"] == "That is not the address of this invite."
    hall.app.labelling.revoke_invite(invite)
    assert admin.get(route + quote(address, safe="")).status_code == 403


def test_the_admin_sees_who_does_what_and_takes_people_out_and_lets_them_in(
    hall: Hall, admin: httpx.Client
) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    ada.vote(ada.open()["cards"][0])
    (person,) = shown(admin, hall.session_id(invite))["people"]
    assert person == {
        "id": hall.id_of(ada),
        "name": "Ada",
        "judged": 1,
        "admitted": True,
        "counted": True,
        "warning": "",
    }
    assert shown(admin, hall.session_id(invite))["counts"]["at_work"] == 1
    for route, key in (("admit", "admitted"), ("count", "counted")):
        address = f"sessions/people/{person['id']}/{route}"
        for on in (False, True):
            admin.post(address, json={"on": on}).raise_for_status()
            (now,) = shown(admin, hall.session_id(invite))["people"]
            assert now == {**person, key: on}


def test_what_people_disagree_on_is_decided_without_names(hall: Hall, admin: httpx.Client) -> None:
    invite = hall.room(suggestion=SUGGESTION)
    id = hall.session_id(invite)
    ada, ben = hall.person(invite), hall.person(invite, "Ben")
    card = ada.open()["cards"][0]
    ada.vote(card, "misogynous", note="plainly")
    ben.vote(ben.open()["cards"][0])
    reply = admin.get(f"sessions/{id}/disputed")
    (disputed,) = reply.json()
    assert (disputed["meme"], disputed["decision"]) == (card["meme"], None)
    assert [vote["note"] for vote in disputed["votes"]] == ["plainly", ""]
    for name in ("Ada", "Ben", hall.id_of(ada)):
        assert name not in reply.text
    body = {"meme": card["meme"], "labels": NO, "note": "settled", "key": "d" * 16}
    for _ in range(2):
        admin.post(f"sessions/{id}/decide", json=body).raise_for_status()
    (decided,) = admin.get(f"sessions/{id}/disputed").json()
    assert decided["decision"] == NO
    assert len(hall.app.store.all_votes(id)) == 3
    wrong = admin.post(f"sessions/{id}/decide", json={**body, "labels": {"violence": True}})
    assert wrong.status_code == 400


def test_the_quality_of_a_session_names_labels_and_people(hall: Hall, admin: httpx.Client) -> None:
    invite = hall.room(suggestion=SUGGESTION)
    for name in ("Ada", "Ben"):
        person = hall.person(invite, name)
        page = person.open()
        while page["cards"]:
            page = person.vote(page["cards"][0], "misogynous")
    quality = admin.get(f"sessions/{hall.session_id(invite)}/quality").json()
    assert [row["name"] for row in quality["labels"]] == [one.title for one in MAMI.labels]
    assert quality["labels"][0]["observed"]["value"] == 1
    assert [(row["name"], row["memes"]) for row in quality["people"]] == [("Ada", 5), ("Ben", 5)]
    assert quality["people"][0]["agreement"]["value"] == 1
    assert "exposure" not in quality["people"][0]


def test_memes_with_a_known_answer_are_drawn_from_other_sessions(
    hall: Hall, admin: httpx.Client
) -> None:
    id = hall.session_id(hall.room())
    earlier = hall.session_id(hall.room())
    for number, meme in enumerate(hall.app.memes[:2]):
        body = {"meme": meme.id, "labels": NO, "key": f"known answer {number:04d}"}
        admin.post(f"sessions/{earlier}/decide", json=body).raise_for_status()
    assert admin.post(f"sessions/{id}/gold", json={"memes": 1}).json()["gold"] == 1
    assert shown(admin, id)["counts"]["gold"] == 1
    assert shown(admin, id)["counts"]["memes"] == 4


@pytest.mark.parametrize(
    ("method", "route", "body"),
    [
        ("POST", "sessions/4711/open", {"on": True}),
        ("POST", "sessions/4711/invites", {}),
        ("POST", "sessions/4711/gold", {"memes": 1}),
        ("POST", "sessions/4711/decide", {"meme": "x", "labels": NO, "key": "d" * 16}),
        ("GET", "sessions/4711/quality", None),
        ("GET", "sessions/4711/disputed", None),
        ("GET", "sessions/4711/picture", None),
        ("GET", "sessions/4711/exposure", None),
        ("GET", "sessions/4711/warnings", None),
        ("GET", "sessions/4711/plan", None),
        ("POST", "sessions/4711/change", {"name": "Nobody's"}),
        ("POST", "sessions/invites/nowhere/revoke", {}),
        ("GET", "sessions/invites/nowhere/code.svg?address=x", None),
        ("POST", "sessions/people/nobody/admit", {"on": True}),
        ("POST", "sessions/people/nobody/count", {"on": True}),
        ("POST", "sessions/people/nobody/warn", {"text": "Look again."}),
    ],
)
def test_what_is_not_there_is_not_found(
    admin: httpx.Client, method: str, route: str, body: dict[str, Any] | None
) -> None:
    reply = admin.request(method, route, json=body)
    assert reply.status_code == 404
    assert reply.json()["detail"].startswith(("There is no", "This link leads nowhere"))


def test_a_decision_is_of_a_meme_of_the_session(hall: Hall, admin: httpx.Client) -> None:
    id = hall.session_id(hall.room(meme_ids=[hall.app.memes[0].id]))
    card = {"meme": hall.app.memes[1].id, "key": "d" * 16}
    reply = admin.post(f"sessions/{id}/decide", json=judgement(card))
    assert reply.status_code == 404
    assert "is not in" in reply.json()["detail"]
