"""The admin's labelling sessions as a person meets them on the Admin page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from memeapp.judging import Suggestions
from tests.browser.conftest import PHONE, enter, fits, log_in
from tests.conftest import FakeApp, join, open_session

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def guest(browser: Browser) -> Iterator[Page]:
    """Somebody in another browser."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


def session(page: Page, name: str = "Room") -> Locator:
    return page.locator("article.session").filter(
        has=page.get_by_role("heading", name=name, exact=True)
    )


@contextmanager
def person(address: str, invite: str, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address) as http:
        join(http, invite, name)
        yield http


def judge(http: httpx.Client, *yes: str, note: str = "") -> None:
    """Answer the next meme."""
    shown = http.post("label/next", json={"tab": "tab-00001"}).json()["cards"][0]
    labels = ("misogynous", "shaming", "stereotype", "objectification", "violence")
    said = {
        "tab": "tab-00001",
        "meme": shown["meme"],
        "key": shown["key"],
        "labels": {label: label in yes for label in labels},
        "note": note,
    }
    http.post("label/vote", json=said).raise_for_status()


def test_sessions_are_not_shown_before_the_login_and_go_with_the_logout(
    page: Page, fake: FakeApp
) -> None:
    open_session(fake)
    page.get_by_role("tab", name="Admin").click()
    expect(page.get_by_label("Admin password")).to_be_visible()
    expect(page.locator("article.session")).to_have_count(0)
    expect(page.locator(".sessions")).to_be_hidden()
    log_in(page)
    expect(session(page)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator(".sessions")).to_be_hidden()


def test_an_admin_opens_a_session_somebody_comes_and_is_taken_out_and_it_is_closed(
    page: Page, fake: FakeApp, guest: Page
) -> None:
    log_in(page)
    page.get_by_label("Name", exact=True).fill("Monday evening")
    page.get_by_label("Guidelines (Markdown)").fill("Judge the **meme**.")
    page.get_by_label("Answers wanted for each meme").fill("1")
    page.get_by_label("The model's answer").select_option("mixed")
    page.get_by_label("Minutes after which people are asked to take a break").fill("10")
    page.get_by_label("Show everybody who has judged how many").check()
    page.get_by_role("button", name="Open the session").click()
    shown = session(page, "Monday evening")
    expect(shown.locator("[data-state]")).to_have_text(
        "Open · 0 of 3 memes done · 0 people, 0 at work"
    )
    plan = fake.labelling.session(1).plan
    assert (plan.votes_per_meme, plan.break_minutes, plan.leaderboard) == (1, 10, True)
    assert plan.suggestions is Suggestions.MIXED
    assert plan.policy == {"random": 0.4, "uncertain": 0.3, "far": 0.2, "relabel": 0.1}
    assert plan.open_until is None
    assert fake.ranker.starts == 1

    shown.locator("img[alt='QR code of the invite link']").evaluate("image => image.decode()")
    link = shown.locator("[data-address]").get_attribute("href") or ""
    guest.goto(link)
    guest.get_by_label("Your display name").fill("Ada")
    guest.get_by_role("button", name="Start", exact=True).click()
    expect(guest.locator("form[data-card]")).to_be_visible()
    guest.keyboard.press("Enter")
    expect(guest.locator("[data-judged]")).to_have_text("1 judged")

    expect(shown.locator("[data-state]")).to_have_text(
        "Open · 1 of 3 memes done · 1 people, 1 at work"
    )
    expect(shown.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "33")
    expect(shown.locator(".percent")).to_have_text("1 of 3")
    shown.get_by_text("People (1)").click()
    row = shown.locator("[data-people] li")
    expect(row).to_contain_text("Ada · 1 judged")
    row.get_by_role("button", name="Take out").click()
    expect(row).to_contain_text("Ada · 1 judged · taken out")
    guest.keyboard.press("Enter")
    expect(guest.get_by_role("alert").filter(visible=True)).to_contain_text("You were taken out")
    row.get_by_role("button", name="Let in again").click()
    expect(row.get_by_role("button", name="Take out")).to_be_visible()
    row.get_by_role("button", name="Link for them").click()
    elsewhere = page.context.browser.new_context() if page.context.browser else None
    assert elsewhere
    other = elsewhere.new_page()
    other.goto(str(row.get_by_role("link").get_attribute("href")))
    other.get_by_role("button", name="Go on", exact=True).click()
    expect(other.locator("form[data-card]")).to_be_visible()
    elsewhere.close()
    row.get_by_role("button", name="Leave votes out").click()
    expect(row).to_contain_text("not counted")
    row.get_by_role("button", name="Count votes").click()
    expect(row.get_by_role("button", name="Leave votes out")).to_be_visible()

    shown.get_by_role("button", name="Revoke").click()
    expect(shown.locator(".invite")).to_have_count(0)
    assert httpx.get(link).status_code == 404
    shown.get_by_role("button", name="New link").click()
    expect(shown.locator(".invite")).to_have_count(1)
    shown.get_by_role("button", name="Close", exact=True).click()
    expect(shown.locator("[data-state]")).to_contain_text("Closed")
    expect(shown.locator(".invite")).to_have_count(0)
    expect(shown.get_by_role("button", name="New link")).to_be_hidden()
    shown.get_by_role("button", name="Open again").click()
    expect(shown.locator("[data-state]")).to_contain_text("Open ·")
    expect(shown.locator(".invite")).to_have_count(1)
    assert len(fake.votes()) == 1


def test_a_plan_that_cannot_work_is_told_and_what_was_typed_stays(
    page: Page, fake: FakeApp
) -> None:
    open_session(fake, "Monday")
    log_in(page)
    page.get_by_text("Open a session").click()
    name = page.get_by_label("Name", exact=True)
    name.fill("monday")
    page.get_by_label("Guidelines (Markdown)").fill("Long ones")
    page.get_by_role("button", name="Open the session").click()
    trouble = page.locator(".sessions [data-trouble]")
    expect(trouble).to_contain_text("There is a session 'monday' already")
    expect(page.get_by_label("Guidelines (Markdown)")).to_have_value("Long ones")
    for queue in page.locator("[data-queue]").all():
        queue.fill("0")
    name.fill("Tuesday")
    page.get_by_role("button", name="Open the session").click()
    expect(trouble).to_contain_text("Every queue has the share 0")
    page.get_by_label("Drawn by chance", exact=True).fill("100")
    page.get_by_role("button", name="Open the session").click()
    expect(session(page, "Tuesday")).to_be_visible()
    expect(trouble).to_be_hidden()
    assert len(fake.labelling.sessions()) == 2


def test_a_link_is_copied(page: Page, fake: FakeApp, address: str) -> None:
    invite = open_session(fake)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(page)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{address}join/{invite}"


def test_a_session_is_open_until_the_local_time_that_was_chosen(page: Page, fake: FakeApp) -> None:
    log_in(page)
    page.get_by_label("Name", exact=True).fill("Until noon")
    page.get_by_label("Open until").fill("2099-06-01T12:00")
    page.get_by_role("button", name="Open the session").click()
    expect(session(page, "Until noon")).to_be_visible()
    here = page.evaluate("new Date('2099-06-01T12:00').toISOString()")
    until = fake.labelling.session(1).plan.open_until
    assert until is not None
    assert until[:19] == here[:19]
    assert until.endswith("+00:00")


def test_agreement_and_people_are_shown_when_asked_for(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake)
    for name in ("Ada", "Ben"):
        with person(address, invite, name) as http:
            for _ in fake.memes:
                judge(http, "misogynous")
    log_in(page)
    shown = session(page)
    shown.get_by_text("Agreement, and what the model's answer does").click()
    quality = shown.locator("[data-quality]")
    expect(quality.get_by_role("heading", name="How far people agree")).to_be_visible()
    expect(quality.get_by_role("row").filter(has_text="Misogynous").first).to_contain_text("100 %")
    expect(quality.get_by_role("row").filter(has_text="Ada")).to_contain_text("3")
    assert fits(page)


def test_the_admin_decides_where_people_disagree(page: Page, fake: FakeApp, address: str) -> None:
    invite = open_session(fake)
    with person(address, invite, "Ada") as ada, person(address, invite, "Ben") as ben:
        judge(ada, "misogynous", "violence", note=HOSTILE)
        judge(ben)
    log_in(page)
    shown = session(page)
    shown.get_by_text("Adjudicate").click()
    form = shown.locator("form.dispute")
    expect(form.locator(".meme-text")).to_have_text("Meme number 1")
    expect(form.locator(".voices li")).to_have_text(
        [f"Voice 1: misogynous, violence — “{HOSTILE}”", "Voice 2: nothing applies"]
    )
    for name in ("Ada", "Ben"):
        expect(form).not_to_contain_text(name)
    expect(form.locator("img")).to_be_hidden()
    form.get_by_role("button", name="Show the picture").click()
    form.locator("img").evaluate("image => image.decode()")
    expect(form.locator("img")).to_be_visible()
    form.get_by_label("Violence").focus()
    page.keyboard.press("5")
    expect(form.get_by_label("Misogynous")).to_be_checked()
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    expect(shown.locator("[data-disputed]")).to_contain_text("There is nothing to decide")
    decision = fake.votes()[-1]
    assert [label for label, yes in decision.labels.items() if yes] == ["misogynous", "violence"]
    assert decision.judgement.reason == "guideline"


def test_hostile_names_are_shown_and_never_run(page: Page, fake: FakeApp, address: str) -> None:
    invite = open_session(fake, HOSTILE)
    with person(address, invite, f"{HOSTILE} 2"):
        log_in(page)
    shown = session(page, HOSTILE)
    shown.get_by_text("People (1)").click()
    expect(shown.locator("[data-people]")).to_contain_text(f"{HOSTILE} 2 · 0 judged")
    expect(shown.locator("img[src=x]")).to_have_count(0)


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_sessions_fit_on_a_phone(page: Page, fake: FakeApp, address: str) -> None:
    invite = open_session(fake, "W" * 40)
    with person(address, invite, "W" * 40) as ada, person(address, invite, "Ben") as ben:
        judge(ada, "misogynous", note="n" * 200)
        judge(ben)
    log_in(page)
    shown = session(page, "W" * 40)
    for part in ("People (2)", "Agreement, and what", "Adjudicate", "What people have", "Change"):
        shown.locator("summary").filter(has_text=part).tap()
    expect(shown.locator("[data-exposure] tbody tr")).to_have_count(2)
    expect(shown.get_by_label("Name", exact=True)).to_have_value("W" * 40)
    expect(shown.locator("[data-picture] svg")).to_have_count(5)
    expect(shown.locator("form.dispute")).to_be_visible()
    expect(shown.locator("[data-quality] table")).to_have_count(3)
    assert fits(page)


def test_the_link_of_one_browser_is_no_way_in_for_the_admin_page(
    page: Page, fake: FakeApp, address: str
) -> None:
    enter(page, address, open_session(fake))
    page.get_by_role("tab", name="Admin").click()
    expect(page.get_by_label("Admin password")).to_be_visible()
    expect(page.locator(".sessions")).to_be_hidden()


def test_the_picture_of_a_session_is_open_and_tells_how_it_goes(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake, votes_per_meme=2)
    with person(address, invite, "Ada") as ada, person(address, invite, "Ben") as ben:
        judge(ada, "misogynous")
        judge(ben)
        log_in(page)
        picture = session(page).locator("[data-picture]")
        facts = picture.locator(".counts > div")
        expect(facts.filter(has_text="Memes done")).to_contain_text("1 of 3")
        expect(facts.filter(has_text="Answers an hour, now")).to_contain_text("24")
        expect(facts.filter(has_text="Time left")).to_contain_text("10 min")
        expect(facts.filter(has_text="Judged unseen")).to_contain_text("100 %")
        row = picture.get_by_role("row").filter(has_text="Misogynous")
        expect(row).to_contain_text("50 %")
        expect(row.get_by_role("img", name="50 % at first, 50 % now")).to_be_visible()
        mix = picture.get_by_role("row").filter(has_text="The model is unsure")
        expect(mix).to_contain_text("100 %")


def test_a_session_without_answers_has_no_speed_yet(page: Page, fake: FakeApp) -> None:
    open_session(fake)
    log_in(page)
    left = session(page).locator("[data-picture] .counts > div").filter(has_text="Time left")
    expect(left).to_contain_text("not known yet")


def test_an_admin_changes_a_plan_in_the_form_it_was_made_with(page: Page, fake: FakeApp) -> None:
    plan = {"guidelines": "Old ones", "policy": {"random": 1.0}, "lease_seconds": 120.0}
    open_session(fake, open_until="2099-06-01T12:00:00.000+00:00", **plan)
    log_in(page)
    shown = session(page)
    shown.get_by_text("Change", exact=True).click()
    form = shown.locator("form")
    expect(form.get_by_label("Guidelines (Markdown)")).to_have_value("Old ones")
    expect(form.get_by_label("Drawn by chance", exact=True)).to_have_value("100")
    expect(form.get_by_label("Unlike everything labelled")).to_have_value("0")
    expect(form.get_by_label("Which memes")).to_have_count(0)
    form.get_by_label("Name", exact=True).fill("Salon")
    form.get_by_label("Guidelines (Markdown)").fill("New ones")
    form.get_by_label("Unlike everything labelled").fill("100")
    form.get_by_text("More", exact=True).click()
    kept = form.get_by_label("Seconds that a meme is kept")
    expect(kept).to_have_value("120")
    kept.fill("60")
    form.get_by_role("button", name="Change the session").click()
    expect(session(page, "Salon")).to_be_visible()
    expect(form).to_have_count(0)
    now = fake.labelling.session(1).plan
    assert (now.guidelines, now.lease_seconds) == ("New ones", 60)
    assert now.policy == {"random": 0.5, "far": 0.5}
    assert now.open_until == "2099-06-01T12:00:00.000+00:00"
    assert (now.votes_per_meme, now.break_exposure) == (3, 600)


def test_a_session_is_opened_on_part_of_the_memes(page: Page, fake: FakeApp) -> None:
    log_in(page)
    page.get_by_label("Name", exact=True).fill("Two of them")
    holds = page.locator("[data-holds]")
    expect(holds).to_have_text("It would hold 3 memes.")
    page.get_by_label("Which memes").select_option("those of the data set test (3)")
    most = page.get_by_label("At most so many")
    most.fill("2")
    most.press("Tab")
    expect(holds).to_have_text("It would hold 2 memes.")
    page.get_by_role("button", name="Open the session").click()
    expect(session(page, "Two of them").locator("[data-state]")).to_contain_text("0 of 2 memes")
    assert len(fake.store.session_meme_ids(1)) == 2


def test_somebody_is_told_before_their_votes_are_left_out(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake)
    labels = ("misogynous", "shaming", "stereotype", "objectification", "violence")
    for name, yes in (("Ada", ()), ("Ben", ()), ("Eve", labels)):
        with person(address, invite, name) as http:
            for _ in fake.memes:
                judge(http, *yes)
    log_in(page)
    shown = session(page)
    shown.get_by_text("People (3)").click()
    row = shown.locator("[data-people] li").filter(has_text="Eve")
    expect(row).to_contain_text("0 of 15 answers are those of most others")
    expect(shown.locator("[data-people] p")).to_have_count(1)
    row.get_by_role("button", name="Tell them").click()
    expect(row).to_contain_text("Told: 0 of 15 answers")
    (eve,) = (one for one in fake.labelling.people(1) if one.name == "Eve")
    assert eve.warning.startswith("0 of 15 answers")
    row.get_by_role("button", name="Take back").click()
    expect(row.get_by_role("button", name="Tell them")).to_be_visible()
    assert fake.store.annotator(eve.id).warning == ""


def test_what_is_typed_into_a_change_stays_while_people_label(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake)
    with person(address, invite, "Ada") as ada:
        log_in(page)
        shown = session(page)
        shown.get_by_text("Change", exact=True).click()
        shown.get_by_label("Guidelines (Markdown)").fill("Half a sent")
        judge(ada)
        expect(shown.locator(".percent").first).to_have_text("1 of 9")
        expect(shown.get_by_label("Guidelines (Markdown)")).to_have_value("Half a sent")
        expect(shown.get_by_label("Guidelines (Markdown)")).to_be_focused()
