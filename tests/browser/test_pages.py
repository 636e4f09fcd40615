"""The Classify and Admin pages as a person meets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from memeapp.types import JobState
from tests.browser.conftest import PHONE, enter, fits, log_in
from tests.conftest import (
    FAKE_BAND,
    FAKE_REASONS,
    OCR_TEXT,
    FakeApp,
    fake_app,
    open_session,
    picture_bytes,
    serving,
)

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `${alert(3)}` \\x3cscript>"


def drop_picture(page: Page, content: bytes | None = None, name: str = "meme.png") -> None:
    page.locator("#classify-picture input[type=file]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": content or picture_bytes()}
    )


def ask(page: Page) -> None:
    page.get_by_role("button", name="Classify", exact=True).click()


def test_a_picture_goes_in_and_both_answers_come_out(page: Page, fake: FakeApp) -> None:
    drop_picture(page)
    expect(page.locator("#classify-picture img")).to_be_visible()
    fake.classifier.gate.clear()
    ask(page)
    expect(page.locator("#classify-result")).to_contain_text("Reading the text in the picture")
    fake.classifier.gate.set()
    result = page.locator("#classify-result")
    expect(result.get_by_role("heading", level=2)).to_contain_text("does not read this meme")
    expect(page.get_by_label("Text in the picture")).to_have_value(OCR_TEXT)
    expect(result.locator("li")).to_have_count(4)
    expect(result).to_contain_text("model shipped-1 · encoder embedded-1 · OCR rapidocr · 0.42 s")

    page.get_by_label("Text in the picture").fill("Yes, she said")
    ask(page)
    expect(result.get_by_role("heading", level=2)).to_contain_text("reads this meme as misogynous")
    expect(result.locator("li[data-label=stereotype]")).to_contain_text("✓ applies")
    expect(result.locator("li[data-label=violence]")).to_contain_text("does not apply")
    expect(result).to_contain_text("text as typed")


@pytest.mark.parametrize("page", [{}, PHONE], indirect=True, ids=["desktop", "phone"])
def test_an_unsure_answer_shows_its_zone_and_its_reasons(
    page: Page, fake: FakeApp, address: str
) -> None:
    fake.classifier.band = FAKE_BAND
    fake.classifier.chances = (0.55, 0.03, 0.67, 0.45, 0.02)
    near = fake.memes[:2]
    fake.classifier.reasons = replace(
        FAKE_REASONS,
        neighbours=tuple(
            replace(like, meme_id=meme.id)
            for like, meme in zip(FAKE_REASONS.neighbours, near, strict=True)
        ),
    )
    enter(page, address, open_session(fake))
    page.get_by_role("tab", name="Classify").click()
    drop_picture(page)
    expect(page.locator("#classify-picture img")).to_be_visible()
    ask(page)
    result = page.locator("#classify-result")
    expect(result.get_by_role("heading", level=2)).to_contain_text("Unsure")
    expect(result.locator("[data-unlike]")).to_contain_text("The picture is unlike anything")
    zone, bar = (
        result.locator(name).first.bounding_box() for name in (".bar .zone", ".bar[role=img]")
    )
    assert zone is not None
    assert bar is not None
    assert (zone["x"] - bar["x"]) / bar["width"] == pytest.approx(0.42, abs=0.01)
    assert zone["width"] / bar["width"] == pytest.approx(0.18, abs=0.01)
    result.get_by_text("How often, label by label").click()
    expect(result.locator(".bands tbody tr")).to_have_count(5)
    expect(result.locator("[data-why=misogynous]")).to_contain_text("kitchen +1.2")

    neighbour = result.locator(".neighbour").first
    expect(neighbour.locator("p")).to_be_hidden()
    expect(neighbour.locator("img")).to_be_hidden()
    neighbour.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(neighbour.locator("p")).to_have_text("the first meme like it")
    neighbour.locator("img").evaluate("image => image.decode()")
    assert fits(page)


def test_another_picture_clears_what_belonged_to_the_one_before(page: Page) -> None:
    drop_picture(page)
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.get_by_label("Picture and text may be kept").check()
    ask(page)
    expect(page.get_by_label("Text in the picture")).to_have_value(OCR_TEXT)
    page.locator("#classify-picture").get_by_label("Remove Image").or_(
        page.locator("#classify-picture").get_by_label("Clear")
    ).first.click()
    expect(page.get_by_label("Text in the picture")).to_have_value("")
    expect(page.locator("#classify-result article")).to_have_count(0)
    expect(page.get_by_label("Picture and text may be kept")).not_to_be_checked()


def test_an_example_is_one_click_and_has_a_name(page: Page) -> None:
    page.get_by_role("button", name="Example: coffee").click()
    expect(page.locator("#classify-picture img")).to_be_visible()
    ask(page)
    expect(page.locator("#classify-result article")).to_be_visible()


def test_a_text_typed_before_the_picture_stays(page: Page) -> None:
    page.get_by_label("Text in the picture").fill("typed first")
    drop_picture(page)
    expect(page.locator("#classify-picture img")).to_be_visible()
    ask(page)
    expect(page.locator("#classify-result")).to_contain_text("text as typed")
    expect(page.get_by_label("Text in the picture")).to_have_value("typed first")


def test_a_file_that_is_no_picture_is_refused_on_the_page(page: Page) -> None:
    drop_picture(page, b"this is a text", "notes.png")
    expect(page.locator("#classify-result")).to_contain_text("notes.png")
    expect(page.locator("#classify-result")).to_contain_text("Sorry.")


def test_a_wrong_password_is_told_and_shows_nothing(page: Page) -> None:
    page.get_by_role("tab", name="Admin").click()
    page.get_by_label("Admin password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#admin-message")).to_contain_text("not the admin password")
    expect(page.locator("#admin-dashboard section")).to_have_count(0)


def test_an_admin_retrains_and_the_progress_survives_a_refresh(page: Page, fake: FakeApp) -> None:
    log_in(page)
    dashboard = page.locator("#admin-dashboard")
    expect(dashboard).to_contain_text("61 of 120")
    dashboard.get_by_role("button", name="Retrain").click()
    expect(dashboard.get_by_role("progressbar")).to_be_visible()
    expect(dashboard.get_by_role("button", name="Retrain")).to_be_disabled()
    page.reload()
    page.get_by_role("tab", name="Admin").click()
    expect(dashboard.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "25")
    fake.jobs.move(progress=0.5, stage="Learning")
    expect(dashboard.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    fake.jobs.move(state=JobState.FINISHED, progress=1.0, message="v0001-20260102: A 0.781.")
    expect(dashboard).to_contain_text("v0001-20260102: A 0.781.")
    expect(dashboard.get_by_role("button", name="Retrain")).to_be_enabled()


def test_an_admin_chooses_an_encoder_and_what_is_typed_survives_news(
    page: Page, fake: FakeApp
) -> None:
    log_in(page)
    dashboard = page.locator("#admin-dashboard")
    field = dashboard.get_by_label("Encoder")
    expect(field).to_have_attribute("placeholder", "embedded")
    offered = dashboard.locator("datalist option").evaluate_all("all => all.map(one => one.value)")
    assert offered == ["embedded", "ViT-L-14/openai"]
    field.fill(HOSTILE)
    fake.registry.promote("v0001-20260102")  # news: the dashboard is drawn again
    expect(dashboard).to_contain_text("Version v0001-20260102")
    expect(field).to_have_value(HOSTILE)
    dashboard.get_by_role("button", name="Retrain").click()
    expect(dashboard.locator("[data-job]")).to_contain_text(HOSTILE)
    expect(field).to_be_disabled()
    fake.jobs.move(stage="Encoding pictures: 64 of 420, 12 memes/s, about 30 s left")
    expect(dashboard.locator(".stage")).to_contain_text("64 of 420, 12 memes/s")
    fake.jobs.move(state=JobState.FAILED, message="There is no such encoder: take `embedded`.")
    expect(dashboard.locator(".job")).to_contain_text("take `embedded`")
    expect(field).to_have_value(HOSTILE)  # to be mended


def test_an_admin_cancels_a_job(page: Page, fake: FakeApp) -> None:
    log_in(page)
    page.get_by_role("button", name="Retrain").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#admin-dashboard [data-state=cancelled]")).to_be_visible()
    assert fake.jobs.job is not None
    assert fake.jobs.job.state is JobState.CANCELLED


def test_too_few_labels_are_told_in_the_words_of_the_service(page: Page, fake: FakeApp) -> None:
    fake.jobs.too_few = "3 labelled memes are not held out; a retrain needs at least 30."
    log_in(page)
    page.get_by_role("button", name="Retrain").click()
    expect(page.locator("#admin-message")).to_contain_text("a retrain needs at least 30")


def test_an_admin_chooses_another_version_and_logs_out(page: Page, fake: FakeApp) -> None:
    log_in(page)
    row = page.locator("tr[data-version='v0001-20260102']")
    expect(row).to_contain_text("0.781 0.751–0.811")
    row.locator("[data-event=promote]").click()
    expect(row).to_contain_text("in use")
    expect(page.locator("tr[data-version='shipped-1']")).to_contain_text("Roll back to")
    expect(page.locator("#admin-audit [data-list]")).to_contain_text("version.promote")
    assert fake.training.now == "v0001-20260102"
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Admin password")).to_be_visible()
    expect(page.locator("#admin-dashboard section")).to_have_count(0)
    expect(page.locator("#admin-versions .card")).to_be_hidden()
    expect(page.locator("#admin-audit .card")).to_be_hidden()


def test_everything_works_behind_a_path_prefix(browser: Browser, tmp_path: Path) -> None:
    fake = fake_app(tmp_path, root_path="/memes")
    invite = open_session(fake)
    with serving(fake) as address:
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(address)
        expect(page.locator("#classify-status")).to_contain_text("Ready")
        drop_picture(page)
        expect(page.locator("#classify-picture img")).to_be_visible()
        ask(page)
        expect(page.locator("#classify-result article")).to_be_visible()
        log_in(page)
        link = page.locator("[data-address]")
        expect(link).to_have_text(f"{address}join/{invite}")
        page.locator(".invite img").evaluate("image => image.decode()")
        enter(page, address, invite)
        assert page.url == f"{address}?join={invite}"
        page.locator("[data-picture]").evaluate("image => image.decode()")
        page.keyboard.press("Enter")
        expect(page.locator("[data-text]")).to_have_text("Meme number 2")
        page.close()
    assert len(fake.votes()) == 1
    fake.store.close()


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_nothing_scrolls_sideways_on_a_phone(page: Page, fake: FakeApp) -> None:
    open_session(fake, "A session with a long name, on a phone")
    drop_picture(page)
    expect(page.locator("#classify-picture img")).to_be_visible()
    ask(page)
    expect(page.locator("#classify-result article")).to_be_visible()
    assert fits(page)
    log_in(page)
    expect(page.locator("[data-address]")).to_be_visible()
    assert fits(page)
    page.get_by_text("Open a session").click()
    assert fits(page)
