"""The Admin page around trainings: a token shown once, triggers, a dry run, a job started again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from memeapp.tokens import RETRAIN
from memeapp.types import JobState, LossCurve
from tests.browser.conftest import PHONE, fits, log_in
from tests.conftest import FakeApp


@pytest.mark.parametrize("page", [{}, PHONE], indirect=True, ids=["desktop", "phone"])
def test_an_admin_sets_triggers_makes_a_token_once_and_asks_what_would_be_learned(
    page: Page, fake: FakeApp
) -> None:
    log_in(page)
    card = page.locator("#admin-retraining")
    card.get_by_label("After so many newly judged memes").fill("50")
    card.get_by_label("Every day at").fill("03:30")
    card.get_by_role("button", name="Save").click()
    expect(card.locator("[data-how]")).to_contain_text("majority, blind votes")
    page.reload()
    page.get_by_role("tab", name="Admin").click()
    expect(card.get_by_label("After so many newly judged memes")).to_have_value("50")
    set_ = fake.store.retraining()
    assert (set_.after_labels, set_.daily_at) == (50, "03:30")

    card.get_by_label("Name of the program").fill("<b>nightly</b>")
    card.get_by_role("button", name="Make a token").click()
    shown = card.locator("[data-key]")
    expect(card.locator("[data-made]")).to_be_visible()
    key = shown.inner_text()
    assert fake.tokens.check(f"Bearer {key}", RETRAIN).name == "<b>nightly</b>"
    expect(card.locator("[data-tokens]")).to_contain_text("<b>nightly</b>")
    card.get_by_role("button", name="Hide").click()
    assert key not in page.content()
    card.get_by_role("button", name="Revoke the token of <b>nightly</b>").click()
    expect(card.locator("[data-tokens]")).to_contain_text("revoked")

    page.get_by_role("button", name="What would it learn from").click()
    dialog = page.get_by_role("dialog", name="What a training would learn from")
    expect(dialog).to_contain_text("It can start now.")
    expect(dialog.locator("[data-dry-counts]")).to_contain_text("Unlabelled")
    assert fits(page)
    dialog.get_by_role("button", name="Close").click()
    assert fake.jobs.job is None


def test_a_job_that_was_killed_shows_its_curve_and_is_started_again(
    page: Page, fake: FakeApp
) -> None:
    fake.jobs.start("embedded")
    fake.jobs.move(
        state=JobState.FAILED,
        message="It was killed.",
        losses=(LossCurve("Learning", 60, ((1, 0.9), (2, 0.8))),),
    )
    log_in(page)
    dashboard = page.locator("#admin-dashboard")
    curve = dashboard.get_by_role("img", name="the loss went from 0.9 to 0.8 in 2 epochs")
    expect(curve).to_be_visible()
    dashboard.get_by_role("button", name="Start again").click()
    expect(dashboard.locator(".job")).to_have_attribute("data-state", "running")
    assert fake.jobs.job is not None and fake.jobs.job.state is JobState.RUNNING
