"""No way to an admin's, annotator's or somebody else's things but with a cookie of ours."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.responses import Response

from memeapp.auth import ADMIN_COOKIE, ADMIN_SECONDS, ANNOTATOR_COOKIE, ANNOTATOR_SECONDS, Auth
from memeapp.labels import MAMI
from memeapp.ui.label_routes import label_routes
from memeapp.ui.return_routes import return_routes
from memeapp.ui.session_routes import session_routes
from tests.api.conftest import FORGED, Client, Hall, Tab, judgement
from tests.conftest import PASSWORD, SUGGESTION, FakeApp, open_session

ADMIN_ACTIONS = ("admin_retrain", "admin_again", "admin_cancel")
ADMIN_VIEWS = ("admin_load", "admin_open", "admin_look", "admin_login", "admin_enter")
NO = dict.fromkeys(MAMI.names, False)
KEY = "0123456789abcdef"
TAB = {"tab": "tab-00001"}

LABEL_ROUTES: dict[str, dict[str, Any] | None] = {
    "label/open": TAB,
    "label/next": TAB,
    "label/vote": {**TAB, "meme": "{meme}", "key": KEY, "labels": NO},
    "label/undo": {**TAB, "key": "undoing with this"},
    "label/history": None,
    "label/preferences": {**TAB, "blur": False},
    "label/renew": TAB,
    "label/close": TAB,
    "label/progress": None,
    "label/link": {"page": "http://here/"},
}
"""Address → what is sent; None: a GET."""
OPEN_ROUTES = {"join/{token}", "label/invite/{token}", "label/join"}
BACK_ROUTES = {"back/{token}", "label/back/{token}", "label/back"}
"""For whoever has the link."""
SESSION_ROUTES: dict[str, dict[str, Any] | None] = {
    "sessions": None,
    "sessions/": {"name": "A new one"},
    "sessions/{session_id}/open": {"on": False},
    "sessions/{session_id}/invites": {},
    "sessions/invites/{token}/revoke": {},
    "label/people/{annotator_id}/link": {},
    "sessions/people/{annotator_id}/admit": {"on": False},
    "sessions/people/{annotator_id}/count": {"on": False},
    "sessions/people/{annotator_id}/warn": {"text": "Look again."},
    "sessions/preview": {},
    "sessions/{session_id}/plan": None,
    "sessions/{session_id}/change": {"name": "Another name"},
    "sessions/{session_id}/picture": None,
    "sessions/{session_id}/exposure": None,
    "sessions/{session_id}/warnings": None,
    "sessions/{session_id}/quality": None,
    "sessions/{session_id}/disputed": None,
    "sessions/{session_id}/decide": {"meme": "{meme}", "labels": NO, "key": KEY},
    "sessions/{session_id}/gold": {"memes": 3},
    "sessions/invites/{token}/code.svg": None,
}


def paths(routes: APIRouter) -> list[str]:
    return sorted(str(route.path).lstrip("/") for route in routes.routes)  # type: ignore[attr-defined]


def test_the_tables_of_this_file_name_every_route_of_labelling(fake: FakeApp) -> None:
    labels = label_routes(fake, lambda *_: Response())  # type: ignore[arg-type]
    back = return_routes(fake, lambda *_: Response())  # type: ignore[arg-type]
    admin = {route for route in SESSION_ROUTES if route.startswith("label/")}
    assert sorted(paths(labels) + paths(back)) == sorted(
        [*LABEL_ROUTES, *OPEN_ROUTES, *BACK_ROUTES, *admin]
    )
    sessions = session_routes(fake)  # type: ignore[arg-type]
    assert paths(sessions) == sorted(route.rstrip("/") for route in {*SESSION_ROUTES} - admin)


class Scene:
    """A session with Ada, who has judged a meme, and what stands for the names in the routes."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.invite = hall.room(guidelines="These are the guidelines.", suggestion=SUGGESTION)
        self.id = hall.session_id(self.invite)
        self.ada = hall.person(self.invite)
        self.saved = self.ada.vote(self.ada.open()["cards"][0], "misogynous", note="a note")
        self.meme = self.ada.told("next")["cards"][0]["meme"]

    def send(self, http: httpx.Client, route: str, body: dict[str, Any] | None) -> httpx.Response:
        address = route.rstrip("/").format(
            session_id=self.id, token=self.invite, annotator_id=self.hall.id_of(self.ada)
        )
        if body is None:
            return http.get(address, params={"address": f"{self.hall.address}join/{self.invite}"})
        if body.get("meme") == "{meme}":
            body = {**body, "meme": self.meme}
        return http.post(address, json=body)

    def state(self) -> object:
        """Everything that a route of labelling can change."""
        labelling, store = self.hall.app.labelling, self.hall.app.store
        return (
            len(labelling.sessions()),
            labelling.session(self.id),
            labelling.invites(self.id),
            labelling.people(self.id),
            store.all_votes(self.id),
            store.gold(self.id),
        )


@pytest.fixture
def scene(hall: Hall) -> Scene:
    return Scene(hall)


def in_the_past(app: FakeApp, seconds: int) -> Auth:
    """An auth of the same folder that signs as it did then."""
    return Auth(app.settings.data, PASSWORD, clock=lambda: time.time() - seconds - 60)


@pytest.fixture(params=["visitor", "annotator", "forged", "swapped", "expired"])
def not_the_admin(request: pytest.FixtureRequest, hall: Hall, scene: Scene) -> httpx.Client:
    http = scene.ada.http if request.param == "annotator" else hall.visitor()
    token = {
        "forged": lambda: FORGED,
        "swapped": lambda: hall.app.auth.annotator_token("admin"),
        "expired": lambda: in_the_past(hall.app, ADMIN_SECONDS).admin_token(PASSWORD),
    }.get(request.param)
    if token:
        http.cookies.set(ADMIN_COOKIE, token())
    return http


@pytest.fixture(params=["visitor", "admin", "forged", "swapped", "expired"])
def in_no_session(request: pytest.FixtureRequest, hall: Hall, scene: Scene) -> httpx.Client:
    http = hall.admin() if request.param == "admin" else hall.visitor()
    token = {
        "forged": lambda: FORGED,
        "swapped": lambda: hall.app.auth.admin_token(PASSWORD),
        "expired": lambda: in_the_past(hall.app, ANNOTATOR_SECONDS).annotator_token(
            hall.id_of(scene.ada)
        ),
    }.get(request.param)
    if token:
        http.cookies.set(ANNOTATOR_COOKIE, token())
    return http


def test_sessions_are_the_admins_alone(not_the_admin: httpx.Client, scene: Scene) -> None:
    before = scene.state()
    for route, body in SESSION_ROUTES.items():
        reply = scene.send(not_the_admin, route, body)
        assert (reply.status_code, reply.json()) == (403, {"detail": "Log in as admin first."})
    assert scene.state() == before


def test_an_admin_gets_through_to_every_route_of_sessions(hall: Hall, scene: Scene) -> None:
    admin = hall.admin()
    late = ("sessions/invites/{token}/revoke", "sessions/{session_id}/open")
    for route in sorted(SESSION_ROUTES, key=lambda route: route in late):
        reply = scene.send(admin, route, SESSION_ROUTES[route])
        # The link is not valid any more once the session is closed; everything else is done.
        assert reply.status_code == 200, (route, reply.text)


def test_judging_is_for_people_of_a_session_alone(
    in_no_session: httpx.Client, scene: Scene
) -> None:
    before = scene.state()
    for route, body in LABEL_ROUTES.items():
        reply = scene.send(in_no_session, route, body)
        assert (reply.status_code, reply.json()) == (
            401,
            {"detail": "Join a session first; you need its link."},
        ), route
    assert scene.state() == before


def test_a_member_gets_through_to_every_route_of_judging(scene: Scene) -> None:
    for route, body in LABEL_ROUTES.items():
        reply = scene.send(scene.ada.http, route, body)
        assert reply.status_code == 200, (route, reply.text)


def test_somebody_who_was_taken_out_is_refused_everywhere(hall: Hall, scene: Scene) -> None:
    hall.app.labelling.revoke_person(hall.id_of(scene.ada))
    before = scene.state()
    for route, body in LABEL_ROUTES.items():
        reply = scene.send(scene.ada.http, route, body)
        assert reply.status_code == 403, route
        assert "You were taken out of this session" in reply.json()["detail"]
    assert scene.ada.http.get(f"media/{scene.meme}").status_code == 403
    assert scene.state() == before


def test_somebody_of_another_session_sees_and_changes_nothing_of_this_one(
    hall: Hall, scene: Scene
) -> None:
    stranger = hall.person(hall.room(meme_ids=[hall.app.memes[0].id]), "Eve")
    before = scene.state()
    saved = scene.saved["saved"]["id"]
    own = stranger.open()["cards"][0]
    replies = [
        stranger.post("vote", **judgement({"meme": scene.meme, "key": KEY})),
        stranger.post("vote", **judgement(own, replaces=saved)),
        stranger.post("undo", key="undoing with this"),
    ]
    assert [reply.status_code for reply in replies] == [404, 400, 200]
    assert "is not in this session" in replies[0].json()["detail"]
    assert "not among your last" in replies[1].json()["detail"]
    assert replies[2].json()["undone"] is None
    assert stranger.history() == []
    assert Tab(stranger.http, scene.ada.name).told("renew") == {"kept": 1}
    assert [card["meme"] for card in stranger.told("next")["cards"]] == [own["meme"]]
    stranger.told("close")
    assert scene.state() == before
    assert scene.ada.told("renew") == {"kept": 2}  # the tab of the same name is another one


def test_somebody_of_the_same_session_changes_nothing_of_anybody_elses(
    hall: Hall, scene: Scene
) -> None:
    ben = hall.person(scene.invite, "Ben")
    before = scene.hall.app.store.all_votes(scene.id)
    card = ben.open()["cards"][0]
    reply = ben.post("vote", **judgement(card, replaces=scene.saved["saved"]["id"]))
    assert reply.status_code == 400
    assert ben.undo()["undone"] is None
    assert ben.history() == []
    assert scene.hall.app.store.all_votes(scene.id) == before


def test_a_person_who_is_not_there_any_more_has_to_join_again(hall: Hall) -> None:
    http = hall.visitor()
    http.cookies.set(ANNOTATOR_COOKIE, hall.app.auth.annotator_token("0123456789abcdef"))
    for route, body in LABEL_ROUTES.items():
        reply = http.get(route) if body is None else http.post(route, json=body)
        assert reply.status_code == 404, route
        assert "join the session again" in reply.json()["detail"]
    assert http.get(f"media/{hall.app.memes[0].id}").status_code == 404


def test_an_imported_name_cannot_judge(hall: Hall) -> None:
    name = hall.app.store.named_annotator("mami", "import")
    http = hall.visitor()
    http.cookies.set(ANNOTATOR_COOKIE, hall.app.auth.annotator_token(name.id))
    reply = Tab(http).post("open")
    assert reply.status_code == 404
    assert "You are in no session" in reply.json()["detail"]


@pytest.fixture(params=["visitor", "annotator", "forged", "swapped", "expired"])
def no_admin(request: pytest.FixtureRequest, client: Client, fake: FakeApp) -> Client:
    if request.param == "annotator":
        client.become_annotator(open_session(fake))
    elif request.param == "forged":
        client.http.cookies.set(ADMIN_COOKIE, FORGED)
    elif request.param == "swapped":
        client.http.cookies.set(ADMIN_COOKIE, fake.auth.annotator_token("admin"))
    elif request.param == "expired":
        old = in_the_past(fake, ADMIN_SECONDS).admin_token(PASSWORD)
        client.http.cookies.set(ADMIN_COOKIE, old)
    return client


def test_admin_actions_are_refused_to_everybody_else_by_every_route(
    no_admin: Client, fake: FakeApp
) -> None:
    for name in ADMIN_ACTIONS:
        for route in Client.ROUTES:
            answer = no_admin.send(route, name, [], {"encoder": "embedded"})
            assert answer.data is None, f"{name} by {route} was let through"
    assert fake.jobs.job is None


def test_admin_views_show_nothing_to_everybody_else_by_any_route(no_admin: Client) -> None:
    for name in ADMIN_VIEWS:
        data = [""] if name in ("admin_login", "admin_enter") else []
        for route in Client.ROUTES:
            answer = no_admin.send(route, name, data)
            assert "Memes and votes" not in answer.text, f"{name} by {route} told"
            assert "v0001" not in answer.text


def test_the_page_and_its_configuration_hold_nothing_of_the_admin_or_of_sessions(
    client: Client, fake: FakeApp
) -> None:
    invite = open_session(fake, "A secret session", guidelines="secret guidelines")
    for path in ("", f"?join={invite}", "config", "gradio_api/info"):
        page = client.http.get(path).text
        assert "Memes and votes" not in page
        assert "v0001" not in page
        assert "secret" not in page
        assert invite not in page
        assert "Meme number" not in page


@pytest.mark.parametrize("route", Client.ROUTES)
def test_an_admin_gets_through_by_every_route(client: Client, fake: FakeApp, route: str) -> None:
    client.become_admin(PASSWORD)
    assert "Memes and votes" in client.send(route, "admin_load", []).text
    assert "Encoding memes" in client.send(route, "admin_retrain", []).text
    assert fake.jobs.job is not None


@pytest.mark.parametrize("route", ["join", "run", "api"])  # "call" carries no event data
@pytest.mark.parametrize(
    ("sent", "taken"),
    [("ViT-L-14/openai", "ViT-L-14/openai"), (None, "embedded"), (["a"], "['a']")],
)
def test_the_encoder_that_an_admin_names_reaches_the_job(
    client: Client, fake: FakeApp, route: str, sent: object, taken: str
) -> None:
    client.become_admin(PASSWORD)
    client.send(route, "admin_retrain", [], {"encoder": sent})
    assert fake.jobs.job is not None
    assert fake.jobs.job.encoder == taken


def test_one_person_can_be_admin_and_annotator_and_leave_one_role(hall: Hall) -> None:
    person = hall.person(hall.room())
    person.http.post("auth/admin", json={"password": PASSWORD}).raise_for_status()
    assert person.http.get("sessions").status_code == 200
    assert person.open()["cards"][0]["text"] == "Meme number 1"
    person.http.post("auth/leave", json={"role": "admin"}).raise_for_status()
    assert person.http.get("sessions").status_code == 403
    assert person.open()["cards"][0]["text"] == "Meme number 1"
    person.http.post("auth/leave", json={"role": "annotator"}).raise_for_status()
    assert person.post("open").status_code == 401


def test_nobody_becomes_an_annotator_by_a_name_alone(hall: Hall) -> None:
    http = hall.visitor()
    hall.room()
    for route, body in (
        ("auth/annotator", {"name": "Ada"}),
        ("label/join", {"name": "Ada"}),
        ("label/join", {"name": "Ada", "invite": ""}),
        ("label/join", {"name": "Ada", "invite": "nowhere"}),
        ("label/join", {"name": "Ada", "invite": "%"}),
    ):
        reply = http.post(route, json=body)
        assert reply.status_code in (404, 405, 422), (route, body)
        assert "set-cookie" not in reply.headers
    assert http.get("join/nowhere").status_code == 404
