"""Receipts over HTTP: for the admin alone, as pages and as a file, and hostile ones as words."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from memeapp.auth import ADMIN_COOKIE
from memeapp.learn.curve import Curve
from memeapp.service import recent
from memeapp.service.flips import Change, Flip, Flips, Turned
from memeapp.service.receipt import FILE, SCHEMA, Receipt
from memeapp.service.versus import Versus
from memeapp.ui import receipt_routes as module
from memeapp.ui.receipt_routes import receipt_routes
from tests.api.conftest import FORGED, Client
from tests.conftest import PASSWORD, FakeApp, add_meme

TRAINED, SHIPPED = "v0001-20260102", "shipped-1"
ROUTES = ["versions/compare", "versions/{name}/receipt", "versions/{name}/receipt.json"]
ADDRESSES = [
    f"versions/compare?a={SHIPPED}&b={TRAINED}",
    f"versions/{TRAINED}/receipt",
    f"versions/{TRAINED}/receipt.json",
]
HTML = {"Accept": "text/html"}
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def admin(client: Client) -> httpx.Client:
    client.become_admin(PASSWORD)
    return client.http


def folder(fake: FakeApp) -> Path:
    path = fake.registry.find(TRAINED).path
    assert path is not None
    return path


def give_receipt(fake: FakeApp) -> Receipt:
    """The trained version gets one, with two memes that flipped: one here, one not."""
    change = Change("misogynous", 0.25, 0.75, False, True, 2, 1)
    flips = Flips(
        3,
        2,
        (Turned("misogynous", 2, 0, 1, 0),),
        (Flip(fake.memes[0].id, True, (change,)), Flip("0" * 64, False, (change,))),
    )
    receipt = Receipt(
        SCHEMA,
        "2026-01-02T03:04:05.000+00:00",
        SHIPPED,
        "embedded-1",
        "best",
        {"labelled": 120},
        {},
        (),
        Curve((), 7, "7 labelled memes are held out; at least 50 are needed.", ()),
        flips,
        (),
        (HOSTILE,),
    )
    (folder(fake) / FILE).write_bytes(receipt.to_bytes())
    return receipt


def test_the_table_of_this_file_names_every_route_of_receipts(fake: FakeApp) -> None:
    routes = receipt_routes(fake).routes  # type: ignore[arg-type]
    assert [route.path.lstrip("/") for route in routes] == ROUTES  # type: ignore[attr-defined]


@pytest.mark.parametrize("route", ADDRESSES)
@pytest.mark.parametrize("cookie", ["", FORGED])
def test_nobody_but_the_admin_sees_a_receipt(
    client: Client, fake: FakeApp, route: str, cookie: str
) -> None:
    give_receipt(fake)
    if cookie:
        client.http.cookies.set(ADMIN_COOKIE, cookie)
    refused = client.http.get(route)
    assert refused.status_code == 403
    assert refused.json() == {"detail": "Log in as admin first."}


def test_a_browser_that_may_not_gets_a_page_with_the_way_back(client: Client) -> None:
    for address, root in ((ADDRESSES[0], "../"), (ADDRESSES[1], "../../")):
        refused = client.http.get(address, headers=HTML)
        assert refused.status_code == 403
        assert "For admins only" in refused.text
        assert f'href="{root}"' in refused.text
        assert TRAINED not in refused.text


def test_a_receipt_is_a_page_and_a_file(fake: FakeApp, admin: httpx.Client) -> None:
    receipt = give_receipt(fake)
    page = admin.get(ADDRESSES[1], headers=HTML)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "private, no-store"
    assert f"../../media/{fake.memes[0].id}" in page.text
    assert fake.memes[0].text in page.text
    assert "0" * 64 not in page.text and "is not here" in page.text
    assert "7 labelled memes are held out" in page.text
    assert HOSTILE not in page.text and "&lt;script&gt;" in page.text
    file = admin.get(ADDRESSES[2])
    assert file.headers["content-type"] == "application/json"
    assert f"{TRAINED}-receipt.json" in file.headers["content-disposition"]
    assert Receipt.from_bytes(file.content) == receipt


def test_a_version_without_a_receipt_has_a_page_that_says_so(admin: httpx.Client) -> None:
    for name in (TRAINED, SHIPPED):
        page = admin.get(f"versions/{name}/receipt")
        assert page.status_code == 200
        assert f"{name} has no receipt" in page.text
        file = admin.get(f"versions/{name}/receipt.json")
        assert file.status_code == 404 and "has no receipt" in file.json()["detail"]
    assert "0.781 (0.751 to 0.811)" in admin.get(ADDRESSES[1]).text


@pytest.mark.parametrize("content", ["", "{}", json.dumps({"schema": 1, "labels": HOSTILE})])
def test_a_damaged_receipt_is_told_of_and_hides_nothing_else(
    fake: FakeApp, admin: httpx.Client, content: str
) -> None:
    (folder(fake) / FILE).write_text(content)
    page = admin.get(ADDRESSES[1])
    assert page.status_code == 200
    assert FILE in page.text and HOSTILE not in page.text
    assert "0.781 (0.751 to 0.811)" in page.text
    assert admin.get(ADDRESSES[2]).status_code == 400


def test_a_version_that_is_not_there_is_a_404(admin: httpx.Client) -> None:
    for address in (
        "versions/v9999/receipt",
        "versions/v9999/receipt.json",
        f"versions/compare?a=v9999&b={TRAINED}",
        f"versions/compare?a={TRAINED}&b=%3Cscript%3E",
    ):
        missing = admin.get(address)
        assert missing.status_code == 404
        assert "There is no model version" in missing.json()["detail"]
    page = admin.get(f"versions/compare?a={TRAINED}&b={HOSTILE}", headers=HTML)
    assert page.status_code == 404 and HOSTILE not in page.text
    assert admin.get("versions/compare", params={"a": TRAINED}).status_code == 422


def test_versions_that_cannot_be_measured_are_still_shown_beside_each_other(
    fake: FakeApp, admin: httpx.Client
) -> None:
    page = admin.get(f"versions/compare?a={TRAINED}&b={SHIPPED}", headers=HTML)
    assert page.status_code == 200
    assert "They cannot be measured" in page.text
    assert "cannot be loaded" in page.text
    assert page.text.index(f"<th>{SHIPPED}</th>") and "embedded-1" in page.text


class Compared:
    """Stands in for the comparison; counts how many are under way at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.inside = self.most = 0

    def __call__(self, store: Any, registry: Any, schema: Any, a: str, b: str, rule: Any) -> Versus:
        self.asked.append((a, b))
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(0.1)
        self.inside -= 1
        return Versus(registry.find(a), registry.find(b), 0, "Nothing to measure on.")


def test_versions_are_compared_once_for_all_who_ask_and_one_pair_at_a_time(
    fake: FakeApp, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "CHEAP", 0.0)
    monkeypatch.setattr(recent, "LASTS", 10**9)
    compared = Compared()
    monkeypatch.setattr(module, "compare", compared)
    pairs = [(SHIPPED, TRAINED), (TRAINED, SHIPPED), (TRAINED, TRAINED)] * 2
    addresses = [f"versions/compare?a={a}&b={b}" for a, b in pairs]
    with ThreadPoolExecutor(len(addresses)) as pool:
        assert {page.status_code for page in pool.map(admin.get, addresses)} == {200}
    assert sorted(compared.asked) == [(SHIPPED, TRAINED), (TRAINED, TRAINED)]
    assert compared.most == 1
    add_meme(fake.store, 99)  # an import: what was worked out before is of yesterday
    admin.get(addresses[0])
    assert compared.asked[2:] == [(SHIPPED, TRAINED)]
