"""An admin retrains with the real parts: start, refresh, cancel, start again, a version that passes
the gate, one that does not, its receipt, using it all the same, and rolling back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from memeapp.judging import Judgement, Plan
from memeapp.labels import MAMI
from memeapp.store import Store
from tests.browser.conftest import PHONE, fits, log_in
from tests.browser.real import real_app, write_corpus

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

SHARE = "0.4"
"""Held out: enough of 180 memes for the gate to tell."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def app(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    corpus = tmp_path_factory.mktemp("corpus")
    write_corpus(corpus, 180)
    with real_app(data, [corpus], MEMEAPP_HOLDOUT_SHARE=SHARE) as address:
        yield address


def mislead(data: Path) -> None:
    """Three people say the opposite of what holds, of every meme that can be learned from."""
    store = Store(data)
    memes = store.memes(held_out=False)
    truth = {vote.meme_id: vote.labels["misogynous"] for vote in store.standing_votes(blind=True)}
    session = store.add_session(Plan("Upside down", votes_per_meme=3), [meme.id for meme in memes])
    for name in ("Ada", "Ben", "Cem"):
        person = store.add_annotator(name, session_id=session.id)
        for meme in memes:
            said = dict.fromkeys(MAMI.names, False)
            if not truth[meme.id]:
                said["misogynous"] = said["shaming"] = True
            store.record(person.id, meme.id, Judgement(said), key=f"{name}-{meme.id}"[:64])
    store.close()


def retrained(page: Page, state: str = "finished") -> Locator:
    """Wait for the end of the training and give what the page tells of it."""
    job = page.locator("#admin-dashboard [data-job]")
    expect(job).to_have_attribute(
        "data-state", re.compile("finished|failed|cancelled"), timeout=300_000
    )
    expect(job).to_have_attribute("data-state", state)
    return job.locator(".job-message")


def in_use(page: Page) -> str:
    return page.locator("#admin-versions tr.current").get_attribute("data-version") or ""


def test_retraining_from_start_to_roll_back(browser: Browser, app: str, data: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(app)
    log_in(page)
    versions = page.locator("#admin-versions")
    expect(versions.locator("tr.current")).to_have_count(1)
    shipped = in_use(page)
    job = page.locator("#admin-dashboard [data-job]")

    page.get_by_role("button", name="What would it learn from").click()
    dry = page.get_by_role("dialog")
    expect(dry).to_contain_text(re.compile(r"Misogynous: \d\d of 1\d\d"))
    dry.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Retrain", exact=True).click()
    expect(job).to_have_attribute("data-state", re.compile("queued|running"))
    page.reload()
    page.get_by_role("tab", name="Admin").click()
    expect(job).to_have_attribute("data-state", re.compile("queued|running"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(retrained(page, "cancelled")).to_contain_text("Cancelled by an admin")
    assert in_use(page) == shipped

    page.get_by_role("button", name="Start again", exact=True).click()
    expect(job).to_contain_text("takes up job 1")
    expect(retrained(page)).to_contain_text("answers now")
    first = re.compile("^v0001-")
    expect(versions.locator("tr.current")).to_have_attribute("data-version", first)

    mislead(data)
    page.get_by_role("button", name="Retrain", exact=True).click()
    expect(job).to_contain_text("Job 3")
    told = retrained(page)
    expect(told).to_contain_text("does not answer yet")
    expect(told).to_contain_text("it waits for your decision")
    expect(versions.locator("tr.current")).to_have_attribute("data-version", first)
    row = versions.locator("tr[data-version^=v0002-]")
    expect(row).to_contain_text("did not pass")

    receipt = look_at_receipt(context.new_page(), app, row)
    receipt.close()
    row.get_by_role("button", name=re.compile("^Use")).click()
    expect(versions.locator("tr.current")).to_have_attribute("data-version", re.compile("^v0002-"))
    versions.get_by_role("button", name=re.compile("^Roll back to v0001-")).click()
    expect(versions.locator("tr.current")).to_have_attribute("data-version", first)
    lines = page.locator("#admin-audit tbody tr")
    expect(lines.first).to_contain_text("version.rollback")
    expect(lines.nth(1)).to_contain_text("version.promote")
    context.close()


def look_at_receipt(page: Page, app: str, row: Locator) -> Page:
    """The page says that it is worse, hides the pictures until asked, and fits a phone."""
    address = row.get_by_role("link", name=re.compile("^Receipt")).get_attribute("href")
    page.goto(f"{app}{address}")
    main = page.locator("main")
    expect(main).to_contain_text("It is worse than v0001-")
    expect(main).to_contain_text("snapshot", ignore_case=True)
    expect(page.locator("svg").first).to_be_visible()
    page.set_viewport_size(PHONE["viewport"])
    assert fits(page)
    return page
