"""The app under a path behind nginx, with the very file that `deploy/` offers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from memeapp.auth import ADMIN_COOKIE, ANNOTATOR_COOKIE
from memeapp.service.bundle import MAX_BYTES
from tests.browser.conftest import enter, log_in
from tests.browser.test_pages import ask, drop_picture
from tests.conftest import PASSWORD, FakeApp, fake_app, open_session, serving

NGINX = shutil.which(os.environ.get("NGINX", "nginx"), path=f"{os.environ['PATH']}:/usr/sbin")
SITE = Path(__file__).parents[2] / "deploy" / "nginx.conf"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(NGINX is None, reason="nginx is missing; `make test` brings it"),
]

AROUND = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass(frozen=True)
class Proxied:
    app: FakeApp
    origin: str
    """Of nginx: what people see."""
    behind: str
    """The app's own address, which nobody but nginx should reach."""

    @property
    def address(self) -> str:
        return f"{self.origin}/memes/"


def site(port: int, app: str) -> str:
    """`deploy/nginx.conf` for this machine."""
    text = SITE.read_text()
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("server app:7860;", f"server {app};"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    app = fake_app(tmp_path / "data", root_path="/memes", trusted_proxies="127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(app, strips=False) as behind:
        folder = tmp_path / "nginx"
        folder.mkdir()
        (folder / "site.conf").write_text(site(port, httpx.URL(behind).netloc.decode()))
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
        command = [str(NGINX), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30)
        assert checked.returncode == 0, checked.stderr
        nginx = subprocess.Popen(command)
        try:
            found = Proxied(app, f"http://127.0.0.1:{port}", behind)
            reached = httpx.HTTPTransport(retries=8)  # 0.5 s, 1 s … until it listens
            with httpx.Client(transport=reached) as http:
                http.get(f"{found.address}health").raise_for_status()
            yield found
        finally:
            nginx.terminate()
            nginx.wait(30)
    app.store.close()


@dataclass(frozen=True)
class Seen:
    """Everything a page asked for."""

    addresses: list[str]
    sockets: list[str]
    refused: list[str]
    errors: list[str]

    def within(self, address: str) -> bool:
        """Whether it asked for something, and for nothing outside of `address`."""
        return bool(self.addresses) and all(
            one.startswith((address, "data:", "blob:")) for one in self.addresses
        )


def watched(page: Page) -> Seen:
    seen = Seen([], [], [], [])
    page.on("request", lambda request: seen.addresses.append(request.url))
    page.on("websocket", lambda socket: seen.sockets.append(socket.url))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on(
        "response",
        lambda reply: (
            seen.refused.append(f"{reply.status} {reply.url}")
            if reply.status in (404, 405, 413) or reply.status >= 500
            else None
        ),
    )
    return seen


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


def test_all_three_pages_work_behind_nginx_and_nothing_leaves_the_path(
    page: Page, proxied: Proxied
) -> None:
    seen = watched(page)
    invite = open_session(proxied.app)
    page.goto(proxied.address.rstrip("/"))
    assert page.url == proxied.address
    expect(page.locator("#classify-status")).to_contain_text("Ready")

    drop_picture(page)
    expect(page.locator("#classify-picture img")).to_be_visible()
    ask(page)
    expect(page.locator("#classify-result article")).to_be_visible()

    log_in(page)
    expect(page.locator("[data-address]")).to_have_text(f"{proxied.address}join/{invite}")
    page.locator(".invite img").evaluate("image => image.decode()")
    expect(page.locator("#admin-versions tr[data-version]")).to_have_count(2)
    expect(page.locator("#admin-audit [data-list]")).to_contain_text("admin.login")
    expect(page.locator("#admin-drift [data-about]")).to_contain_text("It learned elsewhere")
    page.locator("#admin-versions").get_by_role("link", name="Receipt").first.click()
    expect(page.locator("h1")).to_contain_text("v0001-20260102")
    assert page.url == f"{proxied.address}versions/v0001-20260102/receipt"

    enter(page, proxied.address, invite)
    assert page.url == f"{proxied.address}?join={invite}"
    page.locator("[data-picture]").evaluate("image => image.decode()")
    page.keyboard.press("Enter")
    expect(page.locator("[data-text]")).to_have_text("Meme number 2")
    assert len(proxied.app.votes()) == 1

    cookies = {cookie["name"]: cookie["path"] for cookie in page.context.cookies()}
    assert cookies == {ADMIN_COOKIE: "/memes", ANNOTATOR_COOKIE: "/memes"}
    first, *rest = seen.addresses
    assert first == proxied.address.rstrip("/")
    assert Seen(rest, [], [], []).within(proxied.address)
    assert (seen.sockets, seen.refused, seen.errors) == ([], [], [])


def test_nothing_answers_outside_of_the_path(proxied: Proxied) -> None:
    for path in ("/", "/health", "/config", "/memesx/health"):
        assert httpx.get(f"{proxied.origin}{path}").status_code == 404, path


def test_who_guesses_passwords_holds_up_nobody_else_and_cannot_pretend_to_be_many(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def token(self: object, address: str, password: str) -> str:
        asked.append(address)
        return proxied.app.auth.admin_token(PASSWORD)

    monkeypatch.setattr("memeapp.ui.web.Door.token", token)
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    body = {"password": PASSWORD}
    httpx.post(f"{proxied.address}auth/admin", json=body, headers=forged).raise_for_status()
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=elsewhere) as http:
        http.post(f"{proxied.address}auth/admin", json=body, headers=forged).raise_for_status()
    assert asked == ["127.0.0.1", "127.0.0.2"]


def test_nginx_lets_through_whatever_the_app_takes(proxied: Proxied) -> None:
    limit = next(line.split()[1] for line in SITE.read_text().splitlines() if "max_body" in line)
    assert int(limit.removesuffix("m;")) * 2**20 > MAX_BYTES
    reply = httpx.post(f"{proxied.address}label/join", content=b"x" * (2**20 + 1))
    assert "at most 1,048,576 bytes" in reply.text  # the app's own words


def test_a_page_of_another_site_is_told_from_ours(proxied: Proxied) -> None:
    body = {"password": PASSWORD}
    address = f"{proxied.address}auth/admin"
    ours = httpx.post(address, json=body, headers={"Origin": proxied.origin})
    assert ours.status_code == 200
    other = httpx.post(address, json=body, headers={"Origin": "http://evil.example"})
    assert other.status_code == 403
