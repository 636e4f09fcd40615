"""The three pages as a person meets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from memeapp.errors import NotFound
from memeapp.types import JobState
from tests.conftest import (
    FAKE_BAND,
    FAKE_REASONS,
    OCR_TEXT,
    PASSWORD,
    FakeApp,
    fake_app,
    picture_bytes,
    serving,
)

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `${alert(3)}` \\x3cscript>"


def drop_picture(page: Page, content: bytes | None = None, name: str = "meme.png") -> None:
    page.locator("#classify-picture input[type=file]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": content or picture_bytes()}
    )


def ask(page: Page) -> None:
    page.get_by_role("button", name="Classify", exact=True).click()


def join(page: Page, name: str = "Ada") -> None:
    page.get_by_role("tab", name="Annotate").click()
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#annotate-card form")).to_be_visible()


def log_in(page: Page) -> None:
    page.get_by_role("tab", name="Admin").click()
    page.get_by_label("Admin password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator("#admin-dashboard .versions")).to_be_visible()


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
def test_an_unsure_answer_shows_its_zone_and_its_reasons(page: Page, fake: FakeApp) -> None:
    fake.classifier.reasons, fake.classifier.band = FAKE_REASONS, FAKE_BAND
    fake.classifier.chances = (0.55, 0.03, 0.67, 0.45, 0.02)
    join(page)
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

    near = result.locator(".neighbour").first
    expect(near.locator("p")).to_be_hidden()
    expect(near.locator("img")).to_be_hidden()
    near.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(near.locator("p")).to_have_text("the first meme like it")
    near.locator("img").evaluate("image => image.decode()")
    viewport = page.viewport_size
    assert viewport is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


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


def test_an_annotator_needs_nothing_but_the_keyboard(page: Page, fake: FakeApp) -> None:
    page.get_by_role("tab", name="Annotate").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Your name").focus()
    page.keyboard.type("Robin 123")  # r and digits are typed here, not taken for shortcuts
    page.keyboard.press("Enter")
    card = page.locator("#annotate-card")
    expect(card).to_contain_text("Meme number 1")
    expect(card.locator("figure")).to_have_class("covered")
    page.keyboard.press("r")
    expect(card.locator("figure")).not_to_have_class("covered")
    page.keyboard.press("3")
    expect(card.get_by_label("Misogynous")).to_be_checked()
    expect(card.get_by_label("Stereotype")).to_be_checked()
    page.keyboard.press("Enter")

    expect(card).to_contain_text("Meme number 2")
    expect(card).to_contain_text("1 judged · 2 left")
    expect(card.locator("figure")).to_have_class("covered")
    expect(card.locator("input:checked")).to_have_count(0)
    page.keyboard.press("5")
    page.keyboard.press("1")  # without the parent there is no kind
    expect(card.locator("input:checked")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(card).to_contain_text("Meme number 3")
    page.keyboard.press("Enter")
    expect(card).to_contain_text("Nothing left to judge")

    first, second, third = fake.labelling.votes
    assert [label for label, yes in first.labels.items() if yes] == ["misogynous", "stereotype"]
    assert first.revealed
    assert first.seconds > 0
    assert not any(second.labels.values())
    assert not third.revealed
    assert len({first.key, second.key, third.key}) == 3


def test_a_refresh_keeps_the_annotator_and_the_votes(page: Page, fake: FakeApp) -> None:
    join(page)
    page.keyboard.press("Enter")
    expect(page.locator("#annotate-card")).to_contain_text("Meme number 2")
    page.reload()
    page.get_by_role("tab", name="Annotate").click()
    expect(page.locator("#annotate-card")).to_contain_text("Meme number 2")
    expect(page.locator("#annotate-card")).to_contain_text("1 judged · 2 left")
    assert len(fake.labelling.votes) == 1


def test_a_vote_that_was_not_saved_keeps_the_ticks_and_can_be_sent_again(
    page: Page, fake: FakeApp
) -> None:
    join(page)
    fake.labelling.error = NotFound("The disk is full; make room.")
    card = page.locator("#annotate-card")
    page.keyboard.press("2")
    card.get_by_role("button", name="Submit and next").click()
    expect(page.locator("#annotate-problem")).to_contain_text("Not saved. The disk is full")
    expect(card.get_by_label("Shaming")).to_be_checked()
    fake.labelling.error = None
    card.get_by_role("button", name="Submit and next").click()
    expect(card).to_contain_text("Meme number 2")
    assert fake.labelling.votes[0].labels["shaming"]


def test_a_hostile_text_is_shown_and_never_run(page: Page, fake: FakeApp) -> None:
    fake.labelling.memes[0] = replace(fake.labelling.memes[0], text=HOSTILE)
    join(page, "<b>Ada</b> ${alert(4)}")
    expect(page.locator(".meme-text")).to_have_text(HOSTILE)
    expect(page.locator(".who")).to_contain_text("<b>Ada</b> ${alert(4)}")


def test_leaving_asks_for_a_name_again(page: Page) -> None:
    join(page)
    page.get_by_role("button", name="Not you? Leave").click()
    expect(page.get_by_label("Your name")).to_be_visible()
    expect(page.locator("#annotate-card form")).to_have_count(0)


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
    fake.training.now = "v0001-20260102"  # news: the dashboard is drawn again
    expect(dashboard.locator("tr.current")).to_contain_text("v0001-20260102")
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
    row.get_by_role("button").click()
    expect(row).to_contain_text("in use")
    assert fake.training.now == "v0001-20260102"
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Admin password")).to_be_visible()
    expect(page.locator("#admin-dashboard section")).to_have_count(0)


def test_everything_works_behind_a_path_prefix(browser: Browser, tmp_path: Path) -> None:
    fake = fake_app(tmp_path, root_path="/memes")
    with serving(fake) as address:
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(address)
        expect(page.locator("#classify-status")).to_contain_text("Ready")
        drop_picture(page)
        expect(page.locator("#classify-picture img")).to_be_visible()
        ask(page)
        expect(page.locator("#classify-result article")).to_be_visible()
        join(page)
        page.evaluate("document.querySelector('#annotate-card img').decode()")
        page.keyboard.press("Enter")
        expect(page.locator("#annotate-card")).to_contain_text("Meme number 2")
        log_in(page)
        page.close()
    assert len(fake.labelling.votes) == 1


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_nothing_scrolls_sideways_on_a_phone_and_targets_are_large(page: Page) -> None:
    def fits() -> bool:
        width: int = page.evaluate("document.documentElement.scrollWidth")
        return width <= 390

    drop_picture(page)
    expect(page.locator("#classify-picture img")).to_be_visible()
    ask(page)
    expect(page.locator("#classify-result article")).to_be_visible()
    assert fits()
    join(page)
    assert fits()
    for target in page.locator("#annotate-card label, #annotate-card button").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    log_in(page)
    assert fits()
