"""The admin's versions and what was done, in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, fits, log_in
from tests.conftest import FakeApp

TRAINED, SHIPPED = "v0001-20260102", "shipped-1"


def test_two_versions_are_chosen_to_be_compared_and_a_third_takes_a_place(page: Page) -> None:
    log_in(page)
    link = page.get_by_role("link", name="Compare the two")
    expect(link).to_be_hidden()
    page.get_by_label(f"Compare {TRAINED}").check()
    expect(link).to_be_hidden()
    page.get_by_label(f"Compare {SHIPPED}").check()
    expect(link).to_have_attribute("href", f"versions/compare?a={TRAINED}&b={SHIPPED}")
    page.get_by_label(f"Compare {TRAINED}").uncheck()
    expect(link).to_be_hidden()


def test_a_version_is_deleted_only_after_a_question(page: Page, fake: FakeApp) -> None:
    log_in(page)
    row = page.locator(f"tr[data-version='{TRAINED}']")
    expect(row).to_contain_text(f"after {SHIPPED}")
    row.get_by_role("button", name="Delete").click()
    row.get_by_role("button", name="Keep it").click()
    assert [one.name for one in fake.registry.versions()] == [TRAINED, SHIPPED]
    row.get_by_role("button", name="Delete").click()
    row.get_by_role("button", name="Delete for good").click()
    expect(row).to_have_count(0)
    assert [one.name for one in fake.registry.versions()] == [SHIPPED]
    expect(page.locator("#admin-audit tbody tr").first).to_contain_text("version.delete")


def test_a_file_that_is_no_version_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    log_in(page)
    (tmp_path / "words.zip").write_text("words")
    card = page.locator("#admin-versions")
    card.get_by_text("Bring in a version from a file").click()
    card.get_by_label(re.compile("File that was downloaded")).set_input_files(
        tmp_path / "words.zip"
    )
    card.get_by_role("button", name="Upload the version").click()
    expect(card.get_by_role("alert")).to_contain_text("no bundle of a version")


def test_older_lines_of_what_was_done_come_at_a_press_and_stay(page: Page, fake: FakeApp) -> None:
    for number in range(25):
        fake.store.note("admin", "session.close", f"Room {number} <b>")
    log_in(page)
    rows = page.locator("#admin-audit tbody tr")
    expect(rows).to_have_count(20)
    page.get_by_role("button", name="Show older lines").click()
    expect(rows).to_have_count(26)
    expect(rows.last).to_contain_text("Room 0 <b>")
    page.locator(f"[data-event=promote][data-version='{TRAINED}']").click()
    expect(rows).to_have_count(27)
    expect(rows.first).to_contain_text("version.promote")


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_versions_and_what_was_done_fit_a_phone(page: Page) -> None:
    log_in(page)
    expect(page.locator("#admin-audit tbody tr")).to_have_count(1)
    page.locator("#admin-versions .act").first.scroll_into_view_if_needed()
    assert fits(page)
