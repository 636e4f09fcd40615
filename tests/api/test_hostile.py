"""What happens to markup, broken JSON, endless values and other sites' requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from memeapp.labels import MAMI
from memeapp.types import Meme
from tests.api.conftest import Hall, judgement
from tests.api.test_who_may import LABEL_ROUTES, SESSION_ROUTES
from tests.conftest import add_meme

MARKUP = "<script>alert(1)</script>"
NO = dict.fromkeys(MAMI.names, False)
HOSTILE = (
    "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n"
    "[link](javascript:alert(1)) [data](data:text/html;base64,eA==) <javascript:alert(1)>\n\n"
    "[vb](VBSCRIPT:x) ![picture](https://elsewhere.example/track.png)\n\n"
    '[good](https://example.org/ "\\" onclick=alert(1)")\n\n<b>bold</b> **strong** `<i>`\n\n'
    "| a | b |\n|---|---|\n| <u>1</u> | 2 |\n"
)
POSTS = {route: body for route, body in LABEL_ROUTES.items() if body is not None} | {
    "label/join": {"name": "Ada", "invite": "nowhere"},
    "sessions": {"name": "A new one"},
    "sessions/1/open": {"on": False},
    "sessions/1/decide": {"meme": "x", "labels": NO, "key": "0123456789abcdef"},
    "sessions/1/gold": {"memes": 3},
    "sessions/people/x/admit": {"on": False},
    "sessions/people/x/count": {"on": False},
    "auth/admin": {"password": "x"},
    "auth/leave": {"role": "admin"},
}


class Tags(HTMLParser):
    """The tags and addresses of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


@pytest.fixture
def both(hall: Hall) -> httpx.Client:
    """Somebody in a session who is the admin as well: nothing is refused for who they are."""
    person = hall.person(hall.room()).http
    for name, value in hall.admin().cookies.items():
        person.cookies.set(name, value)
    return person


def test_guidelines_are_markdown_without_scripts_pictures_and_html(hall: Hall) -> None:
    invite = hall.room(guidelines=HOSTILE)
    told = hall.visitor().get(f"label/invite/{invite}").json()["guidelines"]
    assert hall.person(invite).open()["session"]["guidelines"] == told
    found = Tags(told)
    assert found.tags == {"p", "a", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert [value for name, value in found.attributes if name == "href"] == [
        "https://elsewhere.example/track.png",  # a picture is a link, which nobody has to follow
        "https://example.org/",
    ]
    assert {name for name, _ in found.attributes} <= {"href", "title"}
    assert "&lt;script&gt;" in told
    assert "<strong>strong</strong>" in told


def test_markup_in_names_notes_and_texts_comes_back_as_the_text_it_is(hall: Hall) -> None:
    meme: Meme = add_meme(hall.app.store, 4711, MARKUP)
    name = "<b>Ada</b> ${alert(4)}"
    invite = hall.room(meme_ids=[meme.id])
    person = hall.person(invite, name)
    reply = person.post("open")
    assert reply.headers["content-type"] == "application/json"
    page = reply.json()
    assert (page["name"], page["cards"][0]["text"]) == (name, MARKUP)
    saved = person.vote(page["cards"][0], note=MARKUP, text=MARKUP)["saved"]
    assert (saved["note"], saved["text"]) == (MARKUP, MARKUP)
    (shown,) = (
        one for one in hall.admin().get("sessions").json() if one["id"] == hall.session_id(invite)
    )
    assert shown["people"][0]["name"] == name


def test_markup_in_the_name_of_a_session_is_never_sent_as_html(hall: Hall) -> None:
    admin = hall.admin()
    session = admin.post("sessions", json={"name": MARKUP}).json()
    token = session["invites"][0]["token"]
    http = hall.visitor()
    assert http.get(f"label/invite/{token}").json()["name"] == MARKUP
    admin.post(f"sessions/{session['id']}/open", json={"on": False}).raise_for_status()
    for route in (f"join/{token}", f"label/invite/{token}", "join/<script>", "join/%0d%0aX-A:b"):
        reply = http.get(route)
        assert reply.status_code in (403, 404)
        assert not reply.headers["content-type"].startswith("text/html")
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "x-a" not in reply.headers


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"<script>"',
        b"\xff\xfe",
        b"{}",
        b'{"tab": "<script>", "name": ["<script>"], "on": "<script>", "password": {}}',
        b'{"tab": NaN, "since": NaN, "name": NaN, "memes": NaN, "on": NaN, "password": Infinity}',
    ],
    ids=["nothing", "broken", "list", "null", "word", "no utf-8", "empty", "markup", "no number"],
)
def test_what_is_not_the_json_of_a_route_gets_a_sentence_and_no_echo(
    both: httpx.Client, route: str, body: bytes
) -> None:
    reply = both.post(route, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 422), reply.text
    detail = reply.json()["detail"]
    assert isinstance(detail, str)
    assert len(detail) < 300
    assert "script" not in detail


@pytest.mark.parametrize("type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_taken_for_json(both: httpx.Client, type: str) -> None:
    before = both.get("sessions").json()
    for route, body in POSTS.items():
        content = json.dumps(body).encode()
        reply = both.post(route, content=content, headers={"Content-Type": type})
        assert reply.status_code == 422, route
    assert both.get("sessions").json() == before


LONG = "z" * 30_000


@pytest.mark.parametrize(
    ("route", "changes"),
    [
        ("label/join", {"name": LONG}),
        ("label/join", {"invite": LONG}),
        ("label/open", {"tab": LONG}),
        ("label/open", {"tab": "../../x"}),
        ("label/open", {"since": -1}),
        ("label/open", {"since": 1e300}),
        ("label/vote", {"meme": LONG}),
        ("label/vote", {"meme": "z" * 64}),
        ("label/vote", {"key": LONG}),
        ("label/vote", {"key": "short"}),
        ("label/vote", {"note": LONG}),
        ("label/vote", {"text": LONG}),
        ("label/vote", {"reason": LONG}),
        ("label/vote", {"kind": "decision"}),
        ("label/vote", {"kind": "undo"}),
        ("label/vote", {"kind": "surplus"}),
        ("label/vote", {"harm": LONG}),
        ("label/vote", {"labels": {LONG: True}}),
        ("label/vote", {"labels": {"misogynous": LONG}}),
        ("label/vote", {"labels": {f"label {number}": True for number in range(20_000)}}),
        ("label/vote", {"seconds": -5}),
        ("label/vote", {"seconds": "soon"}),
        ("label/vote", {"seconds": float("nan")}),
        ("label/vote", {"revealed_seconds": float("inf")}),
        ("label/vote", {"replaces": 2**70}),
        ("label/vote", {"note": "\ud800"}),
        ("label/undo", {"key": LONG}),
        ("label/preferences", {"avoid": [LONG]}),
        ("label/preferences", {"avoid": ["violence"] * 101}),
        ("label/preferences", {"blur": LONG}),
        ("sessions", {"name": LONG}),
        ("sessions", {"name": "\ud800"}),
        ("sessions", {"guidelines": LONG}),
        ("sessions", {"guidelines": LONG * 4}),
        ("sessions", {"policy": {LONG: 1}}),
        ("sessions", {"policy": {"random": -1}}),
        ("sessions", {"policy": {"random": float("nan")}}),
        ("sessions", {"votes_per_meme": 10**400}),
        ("sessions", {"break_minutes": float("nan")}),
        ("sessions", {"break_exposure": float("inf")}),
        ("sessions", {"suggestions": LONG}),
        ("sessions", {"open_until": LONG}),
        ("sessions/1/decide", {"note": LONG}),
        ("sessions/1/decide", {"labels": {LONG: True}}),
        ("sessions/1/gold", {"memes": 10**30}),
        (f"sessions/{10**30}/open", {"on": True}),
        (f"sessions/people/{LONG[:3000]}/admit", {"on": True}),
        (f"sessions/invites/{LONG[:3000]}/revoke", {}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_value_out_of_bounds_gets_a_sentence_that_repeats_nothing_long(
    hall: Hall, both: httpx.Client, route: str, changes: dict[str, Any]
) -> None:
    body: dict[str, Any] = {**POSTS.get(route, {}), **changes}
    if body.get("meme") == "{meme}":
        body["meme"] = hall.app.memes[0].id
    before = both.get("sessions").json(), hall.app.votes()
    reply = both.post(route, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert 400 <= reply.status_code < 500, reply.text
    detail = reply.json()["detail"]
    assert isinstance(detail, str)
    assert len(detail) < 300
    assert (both.get("sessions").json(), hall.app.votes()) == before


@pytest.mark.parametrize("origin", ["http://127.0.0.1:9", "https://elsewhere.example", "null"])
def test_pages_of_other_origins_can_neither_judge_nor_run_sessions(
    hall: Hall, both: httpx.Client, origin: str
) -> None:
    before = both.get("sessions").json(), hall.app.votes()
    for route, body in POSTS.items():
        reply = both.post(route, json=body, headers={"Origin": origin})
        assert (reply.status_code, reply.text) == (403, "Requests from other sites are not taken.")
        assert not [name for name in reply.headers if name.startswith("access-control")]
    assert (both.get("sessions").json(), hall.app.votes()) == before


def test_our_own_page_can_judge(hall: Hall) -> None:
    person = hall.person(hall.room())
    person.http.headers["Origin"] = hall.address.rstrip("/")
    assert person.vote(person.open()["cards"][0])["judged"] == 1


def chunks() -> list[bytes]:
    return [b'{"tab": "', b"x" * 2**20, b'"}']


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize(
    ("content", "status"),
    [(lambda: b" " * 2**20 + b"{}", 413), (lambda: iter(chunks()), 411)],
    ids=["large", "of unknown length"],
)
def test_a_body_without_bounds_is_refused_before_it_is_read(
    hall: Hall, route: str, content: Callable[[], Any], status: int
) -> None:
    http = hall.visitor()
    reply = http.post(route, content=content(), headers={"Content-Type": "application/json"})
    assert reply.status_code == status


def test_nothing_of_labelling_is_changed_by_a_get(both: httpx.Client) -> None:
    for route, body in (LABEL_ROUTES | SESSION_ROUTES).items():
        if body is not None and route != "sessions/":
            assert both.get(route.replace("{session_id}", "1")).status_code in (404, 405), route


def test_a_picture_is_looked_up_by_its_id_alone(hall: Hall) -> None:
    person = hall.person(hall.room())
    meme = hall.app.memes[0].id
    assert person.http.get(f"media/{meme}").headers["content-type"] == "image/jpeg"
    for wrong in (meme[:-1], meme.upper(), "..%2f..%2fsecret.key", "%00", "x" * 3000):
        assert person.http.get(f"media/{wrong}").status_code == 404
    reply = person.post("vote", **judgement({"meme": "..", "key": "0123456789abcdef"}))
    assert reply.status_code == 404
