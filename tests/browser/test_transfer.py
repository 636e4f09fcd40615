"""Memes in and out as the admin meets them on the Admin page."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from memeapp.service.incoming import Incoming
from tests.browser.conftest import PHONE, fits, log_in
from tests.conftest import FakeApp, draw_picture, open_session

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two pictures, one of them known already, and one that is none, of a hostile name."""
    path = tmp_path / "evening.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("1.png", draw_picture(1))
        file.writestr("99.png", draw_picture(99))
        file.writestr(HOSTILE, b"no picture")
    return path


def card(page: Page) -> Locator:
    return page.locator("#admin-transfer .transfer")


def choose(page: Page, file: Path) -> None:
    card(page).get_by_label("File, up to").set_input_files(file)
    card(page).get_by_role("button", name="Upload and import").click()


def count(page: Page, name: str) -> Locator:
    return card(page).locator("[data-import] .counts div", has_text=name).locator("dd")


@pytest.mark.parametrize("page", [{}, PHONE], indirect=True, ids=["desktop", "phone"])
def test_a_zip_is_uploaded_and_its_report_read_also_in_another_browser(
    page: Page, browser: Browser, address: str, archive: Path, fake: FakeApp
) -> None:
    expect(card(page)).to_be_hidden()
    log_in(page)
    expect(card(page)).to_contain_text("Nothing has been imported here yet.")
    choose(page, archive)
    job = card(page).locator("[data-import] .job")
    expect(job).to_contain_text("Import of evening.zip: finished")
    expect(count(page, "Memes added")).to_have_text("1")
    expect(count(page, "Known already")).to_have_text("1")
    refused = card(page).get_by_text("Not taken, or not as it is (1)")
    expect(card(page).get_by_text(HOSTILE)).to_be_hidden()
    refused.click()
    expect(card(page).get_by_text(HOSTILE)).to_be_visible()
    assert len(fake.store.memes()) == 4
    assert fits(page)
    page.reload()
    page.get_by_role("tab", name="Admin").click()
    expect(job).to_contain_text("Import of evening.zip: finished")
    context = browser.new_context()
    other = context.new_page()
    other.goto(address)
    log_in(other)
    expect(count(other, "Memes added")).to_have_text("1")
    context.close()
    page.get_by_role("button", name="Log out").click()
    expect(card(page)).to_be_hidden()


def test_an_upload_goes_on_after_a_broken_connection_and_after_a_refresh(
    page: Page, fake: FakeApp, tmp_path: Path
) -> None:
    big = tmp_path / "big.zip"
    with zipfile.ZipFile(big, "w") as file:
        file.writestr("98.png", draw_picture(98))
        file.writestr("noise.txt", b"0123456789abcdef" * 300_000)
    log_in(page)
    pieces: list[int] = []
    broken = 0

    def break_twice(route: Route) -> None:
        nonlocal broken
        pieces.append(int(route.request.url.split("offset=")[1]))
        if len(pieces) in (2, 3):
            broken += 1
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/transfer/uploads/*?offset=*", break_twice)
    choose(page, big)
    expect(card(page).locator("[data-import] .job")).to_contain_text("Import of big.zip: finished")
    assert broken == 2
    assert pieces[:4] == [0, 2**20, 2**20, 2**20], "a piece that had arrived was sent again"

    stuck = tmp_path / "stuck.zip"
    stuck.write_bytes(big.read_bytes() + b" ")
    page.unroute_all()
    page.route("**/transfer/uploads/*?offset=*", lambda route: route.abort("connectionreset"))
    choose(page, stuck)
    expect(card(page).locator("[data-sent]")).to_contain_text("The connection broke")
    page.reload()
    page.get_by_role("tab", name="Admin").click()
    row = card(page).locator("[data-waiting] li")
    expect(row).to_contain_text("stuck.zip: 0 bytes of")
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    assert Incoming(fake.settings.data, 1).all() == []


def test_an_import_at_work_is_shown_and_cancelled_and_taken_up_again(
    page: Page, fake: FakeApp, archive: Path
) -> None:
    log_in(page)
    fake.imports.gate.clear()
    choose(page, archive)
    job = card(page).locator("[data-import] .job")
    expect(job).to_contain_text("Import of evening.zip: starting")
    expect(job.get_by_role("progressbar")).to_be_visible()
    job.get_by_role("button", name="Cancel").click()
    fake.imports.gate.set()
    expect(job).to_contain_text("Import of evening.zip: cancelled")
    expect(job).to_contain_text("What came in is kept")
    row = card(page).locator("[data-waiting] li")
    expect(row).to_contain_text("evening.zip has arrived and is not imported.")
    row.get_by_role("button", name="Import").click()
    expect(count(page, "Memes added")).to_have_text("1")
    expect(row).to_have_count(0)


def test_a_file_that_is_not_taken_is_told(page: Page, tmp_path: Path, fake: FakeApp) -> None:
    log_in(page)
    (tmp_path / "notes.txt").write_text("words")
    choose(page, tmp_path / "notes.txt")
    expect(card(page).get_by_role("alert")).to_contain_text("'notes.txt' is not taken")
    (tmp_path / "broken.zip").write_text("words")
    choose(page, tmp_path / "broken.zip")
    job = card(page).locator("[data-import] .job")
    expect(job).to_contain_text("Import of broken.zip: failed")
    expect(job).to_contain_text("broken.zip is no zip or is damaged")
    expect(card(page).get_by_role("alert")).to_be_hidden()


def test_an_export_is_made_and_downloaded(page: Page, fake: FakeApp) -> None:
    open_session(fake, "Monday", meme_ids=[fake.memes[0].id])
    log_in(page)
    card(page).get_by_label("Format").select_option("csv")
    card(page).get_by_label("Which").select_option(label="Session Monday")
    card(page).get_by_role("button", name="Make the export").click()
    link = card(page).locator("[data-ready] a")
    expect(link).to_be_visible()
    expect(card(page).locator("[data-ready] li")).to_contain_text("1 memes")
    with page.expect_download() as downloading:
        link.click()
    assert downloading.value.suggested_filename == link.inner_text()
    content = downloading.value.path().read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        (labels,) = (name for name in file.namelist() if name.endswith("labels.csv"))
        (row,) = csv.DictReader(io.StringIO(file.read(labels).decode()))
    assert row["id"] == fake.memes[0].id


def test_the_votes_to_train_on_are_chosen_and_stay_while_the_page_is_drawn_again(
    page: Page, fake: FakeApp
) -> None:
    log_in(page)
    page.get_by_text("Which votes, and how they are summed up").click()
    page.get_by_label("The votes on a meme").select_option("mace")
    page.get_by_label("Learn from", exact=True).select_option("all")
    fake.registry.promote("v0001-20260102")  # the dashboard is drawn again
    expect(page.locator("tr.current")).to_have_attribute("data-version", "v0001-20260102")
    expect(page.get_by_label("The votes on a meme")).to_have_value("mace")
    page.get_by_role("button", name="Retrain").click()
    expect(page.locator("[data-job]")).to_be_visible()
    assert fake.jobs.job is not None
    assert fake.jobs.job.options == {"aggregation": "mace", "votes": "all", "by": "admin"}
