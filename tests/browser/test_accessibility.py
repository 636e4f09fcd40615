"""What axe-core finds on the three pages: nothing serious."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from memeapp.judging import Suggestions
from tests.browser.conftest import PHONE, enter, log_in
from tests.browser.test_sessions import judge
from tests.conftest import (
    FAKE_BAND,
    FAKE_REASONS,
    SUGGESTION,
    FakeApp,
    join,
    open_session,
    picture_bytes,
)

pytestmark = pytest.mark.browser

SCREENS = [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE]
IDS = ["light", "dark", "phone"]
BAD = ("serious", "critical")


def findings(page: Page, within: str) -> list[str]:
    """The serious and critical ones, with the elements."""
    found: list[dict[str, Any]] = Axe().run(page, within).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in BAD
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("page", SCREENS, indirect=True, ids=IDS)
def test_the_classify_page_is_accessible(page: Page, fake: FakeApp) -> None:
    assert findings(page, "body") == []
    fake.classifier.reasons, fake.classifier.band = FAKE_REASONS, FAKE_BAND
    fake.classifier.chances = (0.55, 0.03, 0.67, 0.45, 0.02)
    page.locator("#classify-picture input[type=file]").set_input_files(
        {"name": "meme.png", "mimeType": "image/png", "buffer": picture_bytes()}
    )
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.locator("#classify-result article")).to_be_visible()
    page.get_by_text("How often, label by label").click()
    assert findings(page, "body") == []


@pytest.mark.parametrize("page", SCREENS, indirect=True, ids=IDS)
def test_the_annotate_page_is_accessible_from_the_link_to_each_dialog(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(
        fake,
        suggestion=SUGGESTION,
        suggestions=Suggestions.MIXED,
        guidelines="# Rules\n\n- one\n- [two](https://example.org)\n\n| a | b |\n|-|-|\n| 1 | 2 |",
    )
    page.get_by_role("tab", name="Annotate").click()
    expect(page.get_by_role("heading", name="Labelling is by invitation")).to_be_visible()
    assert findings(page, "body") == []
    page.goto(f"{address}join/{invite}")
    page.locator("[data-view=join]").get_by_text("Guidelines").click()
    assert findings(page, "body") == []
    enter(page, address, invite)
    page.get_by_text("Add a note").click()
    assert findings(page, "body") == []
    page.locator("[data-reveal]").click()
    assert findings(page, "body") == []
    page.get_by_role("button", name="Save and next").click()
    expect(page.locator("[data-judged]")).to_have_text("1 judged")
    assert findings(page, "body") == []
    for button in ("Guidelines", "My last 20", "View", "Keys", "Skip"):
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert findings(page, "dialog[open]") == [], button
        page.get_by_role("dialog").locator("[data-close]").click()
    page.evaluate("document.querySelector('[data-dialog=break]').showModal()")
    assert findings(page, "dialog[open]") == []
    page.get_by_role("dialog").locator("[data-close]").click()
    fake.labelling.close(1)
    page.get_by_role("button", name="Save and next").click()
    expect(page.get_by_role("heading", name="Nothing for you right now")).to_be_visible()
    assert findings(page, "body") == []


@pytest.mark.parametrize("page", SCREENS, indirect=True, ids=IDS)
def test_the_admin_page_is_accessible_with_its_sessions(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake, suggestion=SUGGESTION)
    for name, yes in (("Ada", ["misogynous"]), ("Ben", [])):
        with httpx.Client(base_url=address) as http:
            join(http, invite, name)
            judge(http, *yes, note="a note")
    page.get_by_role("tab", name="Admin").click()
    expect(page.get_by_label("Admin password")).to_be_visible()
    assert findings(page, "body") == []
    log_in(page)
    shown = page.locator("article.session")
    expect(shown).to_be_visible()
    assert findings(page, "body") == []
    expect(shown.get_by_role("heading", name="What people say")).to_be_visible()
    expect(page.get_by_role("heading", name="Memes in and out")).to_be_visible()
    parts = ("People (2)", "Agreement, and what", "Adjudicate", "What people have", "Change")
    for part in ("Open a session", *parts):
        page.locator("summary").filter(has_text=part).first.click()
    expect(shown.locator("form.dispute")).to_be_visible()
    expect(shown.locator("[data-quality] table")).to_have_count(3)
    shown.get_by_role("button", name="Show the picture").click()
    assert findings(page, "body") == []
