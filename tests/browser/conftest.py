"""Debian's Chromium, driven by Playwright, in front of `fake_app` behind a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

from tests.conftest import PASSWORD, FakeApp, open_session, serving

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def enter(page: Page, address: str, invite: str, name: str = "Ada") -> None:
    """Come by the link of an invite and choose a name."""
    page.goto(f"{address}join/{invite}")
    page.get_by_label("Your display name").fill(name)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("[data-card], [data-empty]").filter(visible=True)).to_be_visible()


def log_in(page: Page) -> None:
    page.get_by_role("tab", name="Admin").click()
    page.get_by_label("Admin password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator("#admin-versions .versions")).to_be_visible()


def fits(page: Page) -> bool:
    """Whether nothing scrolls sideways."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return not wide


@pytest.fixture(scope="package")  # its event loop would be in the way of other tests' loops
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def invite(fake: FakeApp) -> str:
    """The token of a link into a session on all memes."""
    return open_session(fake, "Monday")


@pytest.fixture
def address(fake: FakeApp) -> Iterator[str]:
    with serving(fake) as address:
        yield address


@pytest.fixture(params=[{}], ids=["desktop"])
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The open app; fails the test if the page raised an error or a dialog opened."""
    errors: list[str] = []
    context = browser.new_context(**request.param)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: errors.append(str(error)))

    def refuse(dialog: Dialog) -> None:
        errors.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.goto(address)
    expect(page.locator("#classify-status")).to_contain_text("Ready")
    yield page
    context.close()
    assert errors == []
