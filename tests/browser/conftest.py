"""Debian's Chromium, driven by Playwright, in front of fakes behind a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import FakeApp, serving

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.fixture(scope="package")  # its event loop would be in the way of other tests' loops
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


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
    page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    page.goto(address)
    expect(page.locator("#classify-status")).to_contain_text("Ready")
    yield page
    context.close()
    assert errors == []
