"""The card that compares what comes in with what was learned, and the note above the page."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from memeapp.errors import Mismatch
from memeapp.service.compared import Bar, Row, Verdict
from memeapp.service.shift import Shift
from tests.browser.conftest import PHONE, fits, log_in
from tests.conftest import FakeApp

pytestmark = pytest.mark.browser

ROWS = (
    Row(
        "Length of texts",
        "median 31 characters",
        "median 78 characters",
        Verdict.APART,
        "Texts are longer: median 31 → 78 characters.",
        Shift(0.4, 0.0001),
        (Bar("0 to 50", 0.8, 0.1), Bar("<b>50</b> to 100", 0.2, 0.9)),
    ),
    Row("OCR's confidence", "", "median 90 %", Verdict.UNKNOWN, "Nothing to compare with."),
)


def parting(fake: FakeApp) -> None:
    fake.drift.found = replace(
        fake.drift.found, recent=80, rows=ROWS, note="What came in is not like <i>training</i>."
    )


@pytest.mark.parametrize("page", [{}, PHONE], ids=["desktop", "phone"], indirect=True)
def test_an_admin_is_told_what_parts_and_led_to_it(fake: FakeApp, page: Page) -> None:
    parting(fake)
    log_in(page)
    note = page.locator("#admin-drift-note")
    expect(note).to_contain_text("What came in is not like <i>training</i>.")
    note.get_by_role("link", name="Look at the comparison").click()
    card = page.locator("#drift")
    expect(card).to_be_focused()
    expect(card).to_be_in_viewport()
    expect(card.locator("[data-verdict=apart]")).to_contain_text("Parts. Texts are longer")
    expect(card.get_by_role("img")).to_have_attribute(
        "aria-label", "0 to 50: 80 %, now 10 %; <b>50</b> to 100: 20 %, now 90 %"
    )
    assert fits(page)


def test_a_logout_takes_card_and_note_away(fake: FakeApp, page: Page) -> None:
    parting(fake)
    log_in(page)
    expect(page.locator("#admin-drift-note p")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#drift")).to_be_hidden()
    expect(page.locator("#admin-drift-note p")).to_have_count(0)


def test_without_inputs_the_card_says_so_and_nothing_is_noted(page: Page) -> None:
    log_in(page)
    expect(page.locator("#drift")).to_contain_text("Nothing was classified in the last 7 days")
    expect(page.locator("#drift table")).to_have_count(0)
    expect(page.locator("#admin-drift-note p")).to_have_count(0)


def test_what_keeps_it_from_comparing_is_told_on_the_card(fake: FakeApp, page: Page) -> None:
    fake.drift.error = Mismatch("Version v0002 cannot be loaded.")
    log_in(page)
    expect(page.locator("#drift [role=alert]")).to_have_text("Version v0002 cannot be loaded.")
