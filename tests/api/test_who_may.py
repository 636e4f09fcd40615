"""No way into an admin's or annotator's handler but with a cookie of ours."""

from __future__ import annotations

from typing import Any

import pytest

from memeapp.auth import ADMIN_COOKIE, ANNOTATOR_COOKIE
from tests.api.conftest import Client
from tests.conftest import PASSWORD, FakeApp

ADMIN_ACTIONS = ("admin_retrain", "admin_cancel", "admin_promote")
ADMIN_VIEWS = ("admin_load", "admin_open", "admin_look", "admin_login", "admin_enter")
FORGED = "ImFkbWluIg.aXQga.c2lnbmF0dXJl"


def vote(key: str = "0123456789abcdef", number: int = 1, **changes: Any) -> dict[str, Any]:
    """What the annotation card sends."""
    return {
        "meme": f"{number:064x}",
        "key": key,
        "labels": ["misogynous", "stereotype"],
        "seconds": 3.5,
        "revealed": True,
    } | changes


@pytest.fixture(params=["visitor", "annotator", "forged", "swapped"])
def no_admin(request: pytest.FixtureRequest, client: Client, fake: FakeApp) -> Client:
    if request.param == "annotator":
        client.become_annotator("Ada")
    elif request.param == "forged":
        client.http.cookies.set(ADMIN_COOKIE, FORGED)
    elif request.param == "swapped":
        client.http.cookies.set(ADMIN_COOKIE, fake.auth.annotator_token("admin"))
    return client


@pytest.fixture(params=["visitor", "admin", "forged", "swapped"])
def no_annotator(request: pytest.FixtureRequest, client: Client, fake: FakeApp) -> Client:
    if request.param == "admin":
        client.become_admin(PASSWORD)
    elif request.param == "forged":
        client.http.cookies.set(ANNOTATOR_COOKIE, FORGED)
    elif request.param == "swapped":
        client.http.cookies.set(ANNOTATOR_COOKIE, fake.auth.admin_token(PASSWORD))
    return client


def test_admin_actions_are_refused_to_everybody_else_by_every_route(
    no_admin: Client, fake: FakeApp
) -> None:
    for name in ADMIN_ACTIONS:
        for route in Client.ROUTES:
            answer = no_admin.send(route, name, [], {"version": "v0001-20260102"})
            assert answer.data is None, f"{name} by {route} was let through"
    assert fake.jobs.job is None
    assert fake.training.now == "shipped-1"


def test_admin_views_show_nothing_to_everybody_else_by_any_route(no_admin: Client) -> None:
    for name in ADMIN_VIEWS:
        data = [""] if name in ("admin_login", "admin_enter") else []
        for route in Client.ROUTES:
            answer = no_admin.send(route, name, data)
            assert "Memes and votes" not in answer.text, f"{name} by {route} told"
            assert "v0001" not in answer.text


def test_a_vote_is_refused_to_everybody_else_by_every_route(
    no_annotator: Client, fake: FakeApp
) -> None:
    for route in Client.ROUTES:
        answer = no_annotator.send(route, "annotate_vote", [], vote())
        assert answer.data is None, f"{route} let a vote through"
    assert fake.labelling.votes == []


def test_nobody_but_an_annotator_is_shown_a_meme(no_annotator: Client) -> None:
    for name in ("annotate_load", "annotate_open", "annotate_start", "annotate_enter"):
        data = [""] if name in ("annotate_start", "annotate_enter") else []
        for route in Client.ROUTES:
            assert "Meme number" not in no_annotator.send(route, name, data).text


def test_the_page_and_its_configuration_hold_nothing_of_the_admin(client: Client) -> None:
    for path in ("", "config", "gradio_api/info"):
        page = client.http.get(path).text
        assert "Memes and votes" not in page
        assert "v0001" not in page


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


@pytest.mark.parametrize("route", ["join", "run", "api"])  # "call" carries no event data
def test_an_annotator_gets_through_by_every_route(
    client: Client, fake: FakeApp, route: str
) -> None:
    client.become_annotator("Ada")
    assert "Meme number 1" in client.send(route, "annotate_load", []).text
    answer = client.send(route, "annotate_vote", [], vote())
    assert "Meme number 2" in answer.text
    assert [(saved.meme_id, saved.seconds, saved.revealed) for saved in fake.labelling.votes] == [
        (f"{1:064x}", 3.5, True)
    ]


def test_one_person_can_be_admin_and_annotator_and_leave_one_role(client: Client) -> None:
    client.become_annotator("Ada")
    client.become_admin(PASSWORD)
    assert "Memes and votes" in client.send("call", "admin_load", []).text
    assert "Meme number 1" in client.send("call", "annotate_load", []).text
    client.http.post("auth/leave", json={"role": "admin"}).raise_for_status()
    assert "Memes and votes" not in client.send("call", "admin_load", []).text
    assert "Meme number 1" in client.send("call", "annotate_load", []).text
    client.http.post("auth/leave", json={"role": "annotator"}).raise_for_status()
    assert "Meme number 1" not in client.send("call", "annotate_load", []).text
