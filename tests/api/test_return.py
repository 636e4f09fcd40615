"""Personal links over HTTP: go on in another browser, for as long as one belongs to the session."""

from __future__ import annotations

import time

import httpx
import pytest
import segno

from memeapp.auth import ANNOTATOR_COOKIE, RETURN_SECONDS, Auth
from tests.api.conftest import FORGED, Hall, Tab
from tests.conftest import PASSWORD


def own_link(hall: Hall, ada: Tab) -> str:
    """The token of a personal link."""
    reply = ada.http.post("label/link", json={"page": hall.address})
    assert reply.status_code == 200, reply.text
    address = str(reply.json()["address"])
    assert address.startswith(f"{hall.address}back/")
    return address.removeprefix(f"{hall.address}back/")


def go_on(http: httpx.Client, token: str) -> httpx.Response:
    return http.post("label/back", json={"token": token})


def all_ways(http: httpx.Client, token: str) -> list[httpx.Response]:
    return [http.get(f"back/{token}"), http.get(f"label/back/{token}"), go_on(http, token)]


def test_somebody_goes_on_in_another_browser_as_the_same_person(hall: Hall) -> None:
    ada = hall.person(hall.room())
    ada.vote(ada.open()["cards"][0])
    token = own_link(hall, ada)
    phone = hall.visitor()
    entered = phone.get(f"back/{token}")
    assert (entered.status_code, entered.headers["location"]) == (303, f"../?back={token}")
    whose = phone.get(f"label/back/{token}").json()
    assert whose == {"name": "Ada", "session": ada.open()["session"]["name"]}
    assert not phone.cookies  # to look at a link is not to use it
    assert go_on(phone, token).status_code == 200
    page = Tab(phone, "tab-00002").open()
    assert (page["name"], page["judged"]) == ("Ada", 1)
    assert hall.id_of(Tab(phone)) == hall.id_of(ada)
    assert ada.open()["judged"] == 1  # the first browser stays in


def test_who_was_taken_out_does_not_come_back_by_their_link(hall: Hall) -> None:
    ada = hall.person(hall.room())
    token = own_link(hall, ada)
    hall.app.labelling.revoke_person(hall.id_of(ada))
    http = hall.visitor()
    for reply in all_ways(http, token):
        assert reply.status_code in (403, 404)
        assert "You were taken out of this session" in reply.text
    assert not http.cookies
    assert ada.http.post("label/link", json={"page": hall.address}).status_code == 403
    hall.app.labelling.revoke_person(hall.id_of(ada), revoked=False)
    assert go_on(http, token).status_code == 200


@pytest.mark.parametrize(
    "how", ["forged", "expired", "a cookie", "of nobody", "of the adjudicator"]
)
def test_a_link_that_is_not_valid_says_so_and_lets_nobody_in(hall: Hall, how: str) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    auth, then = hall.app.auth, time.time() - RETURN_SECONDS - 60
    judge = hall.app.store.named_annotator("adjudication", "decision", hall.session_id(invite))
    token, words = {
        "forged": (FORGED, "not valid here"),
        "expired": (
            Auth(hall.app.settings.data, PASSWORD, clock=lambda: then).return_token(
                hall.id_of(ada)
            ),
            "run out",
        ),
        "a cookie": (auth.annotator_token(hall.id_of(ada)), "not valid here"),
        "of nobody": (auth.return_token("nobody"), "no annotator"),
        "of the adjudicator": (auth.return_token(judge.id), "in no session"),
    }[how]
    http = hall.visitor()
    for reply in all_ways(http, token):
        assert reply.status_code in (403, 404)
        assert words in reply.text
        assert "set-cookie" not in reply.headers
    assert Tab(http).post("open").status_code == 401


@pytest.mark.parametrize("page", ["", "javascript:alert(1)/", "http://here/?x=/", "http://here"])
def test_a_personal_link_stands_on_the_address_of_a_page(hall: Hall, page: str) -> None:
    ada = hall.person(hall.room())
    assert ada.http.post("label/link", json={"page": page}).status_code == 422


def test_the_code_is_a_picture_of_the_address(hall: Hall) -> None:
    ada = hall.person(hall.room())
    told = ada.http.post("label/link", json={"page": "https://example.org/memes/"}).json()
    assert told["address"].startswith("https://example.org/memes/back/")
    made = segno.make(told["address"], error="m")
    assert told["code"] == made.svg_data_uri(scale=5, border=3, light="white")


def test_only_the_admin_makes_a_link_for_somebody_else(hall: Hall) -> None:
    ada, ben = hall.person(hall.room()), hall.person(hall.room(), "Ben")
    route = f"label/people/{hall.id_of(ada)}/link"
    for http in (hall.visitor(), ben.http, ada.http):
        reply = http.post(route)
        assert (reply.status_code, "token" in reply.text) == (403, False)
    token = hall.admin().post(route).json()["token"]
    phone = hall.visitor()
    assert go_on(phone, token).status_code == 200
    assert hall.app.auth.identity(dict(phone.cookies)).annotator_id == hall.id_of(ada)
    assert phone.cookies[ANNOTATOR_COOKIE] != token


def test_the_admin_is_told_why_there_is_no_link(hall: Hall) -> None:
    ada, admin = hall.person(hall.room()), hall.admin()
    assert admin.post("label/people/nobody/link").status_code == 404
    hall.app.labelling.revoke_person(hall.id_of(ada))
    reply = admin.post(f"label/people/{hall.id_of(ada)}/link")
    assert (reply.status_code, reply.json()["detail"]) == (409, "Let this person in again first.")
