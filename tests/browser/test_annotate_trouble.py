"""The Annotate page in trouble: copied tabs, broken connections, lost cookies, breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from memeapp.judging import VoteKind
from tests.browser.conftest import PHONE, enter, fits
from tests.browser.test_annotate import (
    another_tab,
    card,
    open_dialog,
    picture_is_there,
    shows,
    ticked,
    too_small,
)
from tests.conftest import FakeApp, fake_app, open_session

pytestmark = pytest.mark.browser


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApp]:
    app = fake_app(tmp_path, memes=8)
    yield app
    app.store.close()


def alert(page: Page) -> Locator:
    return page.locator("[data-problem]").filter(visible=True)


# Copied tabs


def test_a_duplicated_tab_shows_another_meme_and_both_count(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    page.evaluate("sessionStorage.copied = 'yes'")
    with page.expect_popup() as opened:
        page.evaluate("address => window.open(address)", f"{address}?join={invite}")
    copy = opened.value
    expect(card(copy)).to_be_visible()
    assert copy.evaluate("sessionStorage.copied") == "yes"  # as the browser duplicates a tab
    shows(page, 1)
    expect(copy.locator("[data-text]")).not_to_have_text("Meme number 1")
    copy.keyboard.press("Enter")
    expect(copy.locator("[data-judged]")).to_have_text("1 judged")
    page.bring_to_front()
    page.keyboard.press("Enter")
    expect(page.locator("[data-judged]")).to_have_text("2 judged")
    assert [vote.kind for vote in fake.votes()] == [VoteKind.VOTE] * 2
    assert len({vote.meme_id for vote in fake.votes()}) == 2
    copy.close()


def test_a_tab_keeps_its_id_over_a_refresh(page: Page, address: str, invite: str) -> None:
    enter(page, address, invite)
    ids = []
    for _ in range(3):
        ids.append(page.locator(".labelling").get_attribute("data-tab"))
        page.reload()
        shows(page, 1)
    assert len(set(ids)) == 1
    assert ids[0]


# Broken connections


@pytest.mark.parametrize("lost", ["the question", "the answer"])
def test_an_answer_that_was_not_sent_stays_on_the_page_and_counts_once(
    page: Page, fake: FakeApp, address: str, invite: str, lost: str
) -> None:
    enter(page, address, invite)
    tries: list[str] = []

    def break_off(route: Route) -> None:
        tries.append(route.request.post_data_json["key"])
        if lost == "the answer":
            route.fetch()
        route.abort()

    page.route("**/label/vote", break_off)
    page.keyboard.press("3")
    page.get_by_text("Add a note").click()
    page.get_by_label("Note", exact=True).fill("an old joke")
    for both in (2, 4):  # each time it is sent twice
        with page.expect_event("requestfailed", lambda _, both=both: len(tries) == both):
            page.locator("[data-submit]").click()
        expect(alert(page)).to_contain_text("The server cannot be reached. Nothing is lost")
        expect(card(page)).not_to_have_attribute("aria-busy", "true")
        shows(page, 1)
        expect(card(page).get_by_label("Stereotype")).to_be_checked()
        expect(page.get_by_label("Note", exact=True)).to_have_value("an old joke")
    page.unroute("**/label/vote")
    with page.expect_request("**/label/vote") as sent:
        page.locator("[data-submit]").click()
    shows(page, 2)
    expect(alert(page)).to_have_count(0)
    assert {*tries, sent.value.post_data_json["key"]} == {tries[0]}
    (vote,) = fake.votes()
    assert (vote.key, vote.judgement.note) == (tries[0], "an old joke")
    assert ticked(fake) == [["misogynous", "stereotype"]]


def test_an_undo_without_an_answer_takes_back_one_judgement_when_it_is_tried_again(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    for number in (1, 2):
        shows(page, number)
        page.keyboard.press("Enter")
    shows(page, 3)

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/label/undo", lose_the_answer)
    page.keyboard.press("u")
    expect(alert(page)).to_contain_text("cannot be reached")
    page.unroute("**/label/undo")
    page.keyboard.press("u")
    shows(page, 2)
    page.keyboard.press("u")
    shows(page, 1)
    kinds = [vote.kind for vote in fake.votes()]
    assert kinds == [VoteKind.VOTE] * 2 + [VoteKind.UNDO] * 2


def test_a_picture_that_does_not_load_can_be_tried_again_and_is_not_judged_unseen(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    page.route("**/media/*", lambda route: route.abort())
    enter(page, address, invite)
    words = page.locator("[data-broken]")
    expect(words).to_contain_text("The picture did not load.")
    for key in ("Enter", "n"):
        page.keyboard.press(key)
        expect(alert(page)).to_contain_text("cannot be judged yet. Try again, or skip it.")
    shows(page, 1)
    assert fake.votes() == []
    page.keyboard.press("s")
    page.keyboard.press("2")
    shows(page, 2)  # to pass a meme on needs no picture
    expect(words).to_be_visible()
    page.unroute("**/media/*")
    page.get_by_role("button", name="Try again").click()
    expect(words).to_be_hidden()
    page.keyboard.press("r")
    expect(page.locator("[data-picture]")).to_be_visible()
    assert page.locator("[data-picture]").evaluate("one => one.complete && one.naturalWidth") == 96
    page.keyboard.press("Enter")
    shows(page, 3)
    assert [vote.kind for vote in fake.votes()] == [VoteKind.SKIP, VoteKind.VOTE]


def test_a_picture_that_is_uncovered_but_not_there_yet_is_not_judged(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    held: list[Route] = []
    page.route("**/media/*", lambda route: held.append(route))
    enter(page, address, invite)
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    expect(alert(page)).to_contain_text("The picture is still loading")
    assert fake.votes() == []
    for route in held:
        route.continue_()
    page.unroute("**/media/*")
    picture_is_there(page)
    page.keyboard.press("Enter")
    shows(page, 2)
    assert [vote.judgement.revealed for vote in fake.votes()] == [True]


# Personal links


def test_somebody_goes_on_elsewhere_by_a_personal_link(
    browser: Browser, page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    page.keyboard.press("Enter")
    shows(page, 2)
    dialog = open_dialog(page, "View")
    dialog.get_by_role("button", name="Make a link").click()
    code = dialog.get_by_alt_text("The link as a QR code")
    expect(code).to_be_visible()
    assert code.evaluate("one => one.decode().then(() => one.naturalWidth)") > 100
    link = dialog.get_by_label("Your personal link").input_value()
    assert link.startswith(f"{address}back/")
    page.keyboard.press("Escape")
    open_dialog(page, "View")
    expect(code).to_be_hidden()  # it is not left lying about
    page.keyboard.press("Escape")
    with browser.new_context(**PHONE) as context:  # type: ignore[arg-type]
        phone = context.new_page()
        phone.goto(link)
        expect(phone.get_by_role("heading", name="Go on in “Monday”?")).to_be_visible()
        expect(phone.locator("[data-view=back]")).to_contain_text("This link is for Ada.")
        assert context.cookies() == []  # not before somebody says so
        assert fits(phone)
        assert too_small(phone.locator("[data-view=back]")) == []
        phone.get_by_role("button", name="Go on", exact=True).click()
        expect(phone.locator("[data-view=work] .who")).to_contain_text("Ada in “Monday” · 1 judged")
        assert "back=" not in phone.url
        expect(phone.locator("[data-text]")).not_to_have_text("Meme number 2")  # that one is here
    assert len(fake.labelling.people(1)) == 1


def test_a_personal_link_of_somebody_else_can_be_declined(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    ben = fake.labelling.join(invite, "Ben")
    page.goto(f"{address}back/{fake.auth.return_token(ben.id)}")
    expect(page.locator("[data-view=back]")).to_contain_text("This link is for Ben.")
    page.get_by_role("button", name="That is not me").click()
    expect(page.locator("[data-view=work] .who")).to_contain_text("Ada in “Monday”")
    assert "back=" not in page.url


def test_a_personal_link_that_is_not_valid_says_so(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    ada = fake.labelling.join(invite, "Ada")
    token = fake.auth.return_token(ada.id)
    fake.labelling.revoke_person(ada.id)
    for sent, words in ((token, "You were taken out"), (f"{token}x", "not valid here")):
        page.goto(f"{address}?back={sent}")
        expect(alert(page)).to_contain_text(words)
        expect(page.get_by_role("heading", name="Labelling is by invitation")).to_be_visible()
    assert page.context.cookies() == []


# Breaks


@pytest.mark.parametrize(("minutes", "words"), [(1.0, "1 minute."), (2.0, "2 minutes.")])
def test_a_break_is_proposed_in_proper_words(
    page: Page, fake: FakeApp, address: str, minutes: float, words: str
) -> None:
    page.clock.install()
    enter(page, address, open_session(fake, break_minutes=minutes))
    page.clock.run_for(60_000 * minutes + 31_000)
    dialog = page.get_by_role("dialog", name="Time for a break")
    expect(dialog).to_contain_text(f"You have been at it for {words}")


def test_who_was_away_or_did_nothing_for_long_has_had_a_break(
    page: Page, fake: FakeApp, address: str
) -> None:
    page.clock.install()
    enter(page, address, open_session(fake, break_minutes=20.0))
    dialog = page.get_by_role("dialog", name="Time for a break")
    page.clock.run_for(9 * 60_000)
    page.keyboard.press("Enter")
    shows(page, 2)
    page.clock.run_for(9 * 60_000)
    hide(page, True)
    page.clock.run_for(6 * 60_000)
    hide(page, False)
    page.keyboard.press("Enter")  # 24 minutes after the beginning, and none after a break
    shows(page, 3)
    expect(dialog).to_have_count(0)
    page.clock.run_for(11 * 60_000)  # nothing is judged
    page.keyboard.press("Enter")
    shows(page, 4)
    page.clock.run_for(9 * 60_000)
    page.keyboard.press("Enter")
    shows(page, 5)
    expect(dialog).to_have_count(0)
    page.reload()  # is no break
    shows(page, 5)
    page.clock.run_for(9 * 60_000)
    page.keyboard.press("Enter")
    shows(page, 6)
    page.clock.run_for(5 * 60_000)
    expect(dialog).to_be_visible()


def hide(page: Page, hidden: bool) -> None:
    """As a browser does it with a tab that another one covers."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


# Around the meme


def test_a_word_from_the_admin_is_shown_until_it_was_read(
    page: Page, fake: FakeApp, address: str, invite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = fake.labelling.annotator
    said = "Please look at the <b>picture</b> too."
    monkeypatch.setattr(fake.labelling, "annotator", lambda id: replace(look_up(id), warning=said))
    enter(page, address, invite)
    note = page.locator("[data-warning]")
    expect(note).to_contain_text(f"A word from whoever runs the session: {said}")
    note.get_by_role("button", name="Read").click()
    expect(note).to_be_hidden()
    page.reload()
    shows(page, 1)
    expect(page.locator("[data-progress]")).to_contain_text("memes are done")
    expect(note).to_be_hidden()
    said = "Thank you!"
    page.reload()
    expect(note).to_contain_text("Thank you!")


def test_how_far_the_session_is_stands_in_natural_words(
    page: Page, fake: FakeApp, address: str
) -> None:
    one = open_session(fake, "One", meme_ids=[fake.memes[0].id], votes_per_meme=1)
    enter(page, address, one)
    line = page.locator("[data-progress]")
    expect(line).to_have_text("0 of 1 meme is done · 1 person at work · you judged 0")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Look again").click()
    expect(line).to_have_text("1 of 1 meme is done · 0 people at work · you judged 1")
    two = open_session(fake, "Two", votes_per_meme=1)
    enter(page, address, two, "Ada again")
    other = another_tab(page.context, address, two)
    other.keyboard.press("Enter")
    shows(other, 4)
    page.reload()
    expect(line).to_contain_text("1 of 8 memes are done · 1 person at work · about")
    expect(line).to_contain_text("left · you judged 1")
    other.close()


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0.4, "about a minute"),
        (7.4, "about 7 minutes"),
        (33, "about 35 minutes"),
        (58, "about an hour"),
        (125, "about 2 hours"),
        (2000, "more than a day"),
    ],
)
def test_a_duration_is_told_roughly(page: Page, minutes: float, words: str) -> None:
    told = page.evaluate("minutes => window.memeapp.labelling.roughly(minutes)", minutes)
    assert told == words


# One hand


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_on_a_phone_the_answer_is_under_the_thumb_before_and_after_the_picture(
    page: Page, address: str, invite: str
) -> None:
    enter(page, address, invite)
    for uncovered in (False, True):
        if uncovered:
            page.locator("[data-reveal]").tap()
            expect(page.locator("[data-picture]")).to_be_visible()
        box = page.locator("[data-submit]").bounding_box()
        assert box is not None
        assert box["y"] >= 844 / 2
        assert box["y"] + box["height"] <= 844
    page.route("**/label/vote", lambda route: route.abort())
    page.locator("[data-submit]").tap()
    expect(alert(page)).to_be_in_viewport(ratio=1)
    told, bar = alert(page).bounding_box(), page.locator(".judge").bounding_box()
    assert told is not None
    assert bar is not None
    assert told["y"] + told["height"] <= bar["y"]  # nothing covers it
