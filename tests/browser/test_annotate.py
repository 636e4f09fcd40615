"""The Annotate page as a person meets it, from the link to the last meme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from memeapp.judging import Judgement, Rank, Seen, SkipReason, Suggestions, VoteKind
from memeapp.labels import MAMI
from memeapp.types import Meme
from tests.browser.conftest import PHONE, enter, fits
from tests.conftest import SUGGESTION, FakeApp, add_meme, fake_app, open_session

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `${alert(3)}` \\x3cscript>"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApp]:
    app = fake_app(tmp_path, memes=12)
    yield app
    app.store.close()


def card(page: Page) -> Locator:
    return page.locator("form[data-card]")


def shows(page: Page, number: int) -> None:
    expect(page.locator("[data-text]")).to_have_text(f"Meme number {number}")


def picture_is_there(page: Page) -> None:
    """Until then a meme whose picture is uncovered cannot be judged."""
    page.wait_for_function("document.querySelector('[data-picture]').complete")


def ticked(fake: FakeApp) -> list[list[str]]:
    """What was ticked, vote by vote."""
    return [[label for label, yes in vote.labels.items() if yes] for vote in fake.votes()]


def open_dialog(page: Page, button: str) -> Locator:
    page.get_by_role("button", name=button).click()
    return page.get_by_role("dialog")


def another_tab(context: BrowserContext, address: str, invite: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{address}?join={invite}")
    expect(card(page)).to_be_visible()
    return page


def test_who_has_no_link_is_told_to_ask_for_one(page: Page) -> None:
    page.get_by_role("tab", name="Annotate").click()
    expect(page.get_by_role("heading", name="Labelling is by invitation")).to_be_visible()
    expect(card(page)).to_be_hidden()


@pytest.mark.parametrize("how", ["nowhere", "revoked", "closed"])
def test_a_link_that_leads_nowhere_says_why(
    page: Page, fake: FakeApp, address: str, invite: str, how: str
) -> None:
    if how == "revoked":
        fake.labelling.revoke_invite(invite)
    elif how == "closed":
        fake.labelling.close(1)
    page.goto(f"{address}?join={'nowhere' if how == 'nowhere' else invite}")
    words = {"nowhere": "leads nowhere", "revoked": "no longer valid", "closed": "has ended"}
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(words[how])
    expect(page.get_by_role("heading", name="Labelling is by invitation")).to_be_visible()


def test_the_link_shows_the_session_and_its_warning_before_any_meme(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake, "Tuesday", guidelines="Judge the **meme**.")
    page.goto(f"{address}join/{invite}")
    expect(page.get_by_role("heading", name="Join “Tuesday”")).to_be_visible()
    expect(page.locator("[data-view=join]")).to_contain_text("some of them are hateful")
    page.locator("[data-view=join]").get_by_text("Guidelines").click()
    expect(page.locator("[data-view=join] .prose strong")).to_have_text("meme")
    page.get_by_label("Your display name").fill("Ada")
    page.keyboard.press("Enter")
    shows(page, 1)
    expect(page.locator("[data-view=work] .who")).to_contain_text("Ada in “Tuesday” · 0 judged")


def test_a_name_that_is_taken_is_told_and_another_one_can_be_typed(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    fake.labelling.join(invite, "Ada")
    page.goto(f"{address}join/{invite}")
    name = page.get_by_label("Your display name")
    name.fill("Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("taken")
    expect(name).to_have_value("Ada")
    name.fill("Ada Lovelace")
    page.keyboard.press("Enter")
    shows(page, 1)
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)


def test_ten_memes_need_nothing_but_the_keyboard(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    page.goto(f"{address}join/{invite}")
    expect(page.get_by_label("Your display name")).to_be_visible()
    page.get_by_label("Your display name").focus()
    page.keyboard.type("Robin 123")  # r and digits are typed here, not taken for shortcuts
    page.keyboard.press("Enter")
    figure = page.locator("figure[data-figure]")
    for number in range(1, 11):
        shows(page, number)
        expect(page.locator("[data-judged]")).to_have_text(f"{number - 1} judged")
        expect(figure).to_contain_class("covered away grey")
        expect(card(page).locator("fieldset input:checked")).to_have_count(0)
        if number == 1:
            page.keyboard.press("r")
            expect(figure).to_have_class("grey")
            picture_is_there(page)
            page.keyboard.press("3")
            expect(card(page).get_by_label("Misogynous")).to_be_checked()
            expect(card(page).get_by_label("Stereotype")).to_be_checked()
        elif number == 2:
            page.keyboard.press("5")
            page.keyboard.press("1")  # without the parent there is no kind
            expect(card(page).locator("fieldset input:checked")).to_have_count(0)
        elif number == 3:
            page.keyboard.press("2")
            page.keyboard.press("4")
            page.keyboard.press("z")
        elif number == 4:
            page.keyboard.press("2")
            page.keyboard.press("z")
            expect(card(page).locator("fieldset input:checked")).to_have_count(0)
        elif number == 5:
            page.keyboard.press("n")
            continue
        elif number == 6:
            page.keyboard.press("s")
            expect(page.get_by_role("dialog")).to_be_visible()
            page.keyboard.press("2")
            expect(page.get_by_role("dialog")).to_have_count(0)
            expect(page.locator("[data-judged]")).to_have_text("5 judged")
            break
        page.keyboard.press("Enter")
    shows(page, 7)
    for number in range(7, 11):
        shows(page, number)
        page.keyboard.press("Enter")
    shows(page, 11)
    votes = fake.votes()
    assert ticked(fake) == [
        ["misogynous", "stereotype"],
        [],
        ["misogynous", "shaming"],
        *[[] for _ in range(7)],
    ]
    assert [vote.kind for vote in votes[4:6]] == [VoteKind.UNSURE, VoteKind.SKIP]
    assert votes[5].judgement.reason == SkipReason.UNREADABLE
    assert [vote.judgement.revealed for vote in votes[:2]] == [True, False]
    assert all(vote.judgement.seconds > 0 for vote in votes)
    assert len({vote.key for vote in votes}) == 10


def test_undo_goes_back_one_meme_with_the_ticks_that_were_made(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    shows(page, 2)
    expect(page.locator("[data-answer-words]")).to_have_text(
        "You said: Misogynous, Objectification."
    )
    page.keyboard.press("u")
    shows(page, 1)
    expect(card(page).get_by_label("Objectification")).to_be_checked()
    expect(page.locator("[data-judged]")).to_have_text("0 judged")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    shows(page, 2)
    assert [vote.kind for vote in fake.votes()] == [VoteKind.VOTE, VoteKind.UNDO, VoteKind.VOTE]
    assert ticked(fake)[-1] == []
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    shows(page, 3)
    for number in (2, 1):  # step by step, as far as one likes
        page.keyboard.press("u")
        shows(page, number)
    page.keyboard.press("u")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("nothing to take back")
    shows(page, 1)


@pytest.mark.parametrize("reason", list(SkipReason))
def test_a_meme_is_skipped_with_a_reason_by_mouse(
    page: Page, fake: FakeApp, address: str, invite: str, reason: SkipReason
) -> None:
    enter(page, address, invite)
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert fake.votes() == []
    dialog = open_dialog(page, "Skip")
    dialog.locator(f"[data-reason='{reason.value}']").click()
    shows(page, 2)
    assert [vote.judgement.reason for vote in fake.votes()] == [reason]
    expect(page.locator("[data-said]")).to_have_text("Skipped.")


def test_a_refresh_in_the_middle_shows_the_same_meme_again(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    page.keyboard.press("Enter")
    shows(page, 2)
    page.keyboard.press("3")
    page.reload()
    shows(page, 2)
    expect(page.locator("[data-judged]")).to_have_text("1 judged")
    expect(card(page).locator("fieldset input:checked")).to_have_count(0)
    page.goto(address)  # without the link as well: the cookie says who this is
    page.get_by_role("tab", name="Annotate").click()
    shows(page, 2)
    assert len(fake.votes()) == 1


def test_two_tabs_show_different_memes_and_both_count(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    other = another_tab(page.context, address, invite)
    expect(other.locator("[data-text]")).not_to_have_text("Meme number 1")
    shows(page, 1)
    other.keyboard.press("Enter")
    expect(other.locator("[data-judged]")).to_have_text("1 judged")
    page.bring_to_front()
    page.keyboard.press("Enter")
    expect(page.locator("[data-judged]")).to_have_text("2 judged")
    assert len({vote.meme_id for vote in fake.votes()}) == 2
    other.close()


def test_a_tab_that_is_closed_gives_its_meme_to_others(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake, "Once", votes_per_meme=1)
    enter(page, address, invite)
    page.goto("about:blank")
    for _ in range(100):  # the browser sends its last word in its own time
        if not fake.labelling.counts(1).at_work:
            break
        page.wait_for_timeout(100)
    ben = fake.labelling.join(invite, "Ben")
    assert fake.labelling.cards(ben.id, "tab-00001")[0].meme == fake.memes[0]


def test_a_meme_judged_in_another_tab_is_passed_with_a_word(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    (ada,) = fake.labelling.people(1)
    tab = page.locator(".labelling").get_attribute("data-tab") or ""
    (card_now, _) = fake.labelling.cards(ada.id, tab)
    said = dict.fromkeys(MAMI.names, False)
    fake.labelling.judge(ada.id, card_now.meme.id, Judgement(said), key="in another tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("judged this meme")
    shows(page, 2)
    assert len(fake.votes()) == 1


def test_an_answer_that_was_not_saved_keeps_the_ticks_and_can_be_sent_again(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)

    def fail(route: Route) -> None:
        route.fulfill(status=500, json={"detail": "The disk is full; make room."})

    page.route("**/label/vote", fail)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(visible=True)
    expect(alert).to_contain_text("The disk is full")
    expect(card(page).get_by_label("Shaming")).to_be_checked()
    page.unroute("**/label/vote")
    page.route("**/label/vote", lambda route: route.abort())
    page.keyboard.press("Enter")
    expect(alert).to_contain_text("Nothing is lost: try again")
    page.unroute("**/label/vote")
    page.keyboard.press("Enter")
    shows(page, 2)
    expect(alert).to_have_count(0)
    assert ticked(fake) == [["misogynous", "shaming"]]


def test_a_key_held_down_or_struck_twice_sends_one_answer(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    pending: list[Route] = []
    page.route("**/label/vote", lambda route: pending.append(route))
    with page.expect_request("**/label/vote"):
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.press("n")
    page.keyboard.down("Enter")
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    pending[0].continue_()
    shows(page, 2)
    assert len(pending) == 1
    assert len(fake.votes()) == 1


def test_all_that_can_be_said_is_sent(page: Page, fake: FakeApp, address: str, invite: str) -> None:
    enter(page, address, invite)
    page.get_by_text("Add a note").click()
    page.get_by_label("The harm lies").select_option(label="only in both together")
    page.get_by_label("Note", exact=True).fill("Used 5 times; see u and z")
    page.get_by_label("Corrected text").fill("the right text")
    page.get_by_role("button", name="Save and next").click()
    shows(page, 2)
    expect(page.get_by_label("Note", exact=True)).to_have_value("")
    expect(page.get_by_label("Corrected text")).to_have_value("Meme number 2")
    page.keyboard.press("Enter")
    shows(page, 3)
    first, second = (vote.judgement for vote in fake.votes())
    assert (first.harm.value, first.note, first.text) == (
        "together",
        "Used 5 times; see u and z",
        "the right text",
    )
    assert (second.harm.value, second.note, second.text) == ("", "", None)
    assert not any(first.labels.values())


def test_holding_the_button_shows_the_picture_and_letting_go_covers_it(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    page.clock.install()
    enter(page, address, invite)
    figure = page.locator("figure[data-figure]")
    button = page.locator("[data-reveal]")
    button.hover()
    page.mouse.down()
    expect(figure).to_have_class("grey")
    expect(page.locator("[data-picture]")).to_be_visible()
    page.clock.run_for(2_000)
    page.mouse.up()
    expect(figure).to_contain_class("covered away grey")
    button.hover()
    page.mouse.down()
    page.mouse.up()
    expect(figure).to_have_class("grey")  # a short press keeps it open
    expect(button).to_have_attribute("aria-pressed", "true")
    page.clock.run_for(3_000)
    button.hover()
    page.mouse.down()
    page.mouse.up()
    expect(figure).to_contain_class("covered away grey")
    button.focus()
    page.keyboard.press("Space")
    expect(figure).to_have_class("grey")
    page.keyboard.press("r")
    expect(figure).to_contain_class("covered away grey")
    page.keyboard.press("Enter")  # on the button: the picture again, no answer
    expect(figure).to_have_class("grey")
    page.locator("[data-submit]").click()
    shows(page, 2)
    (vote,) = fake.votes()
    assert vote.judgement.revealed
    assert 4.9 <= vote.judgement.revealed_seconds <= 20


def test_how_one_sees_memes_is_kept(page: Page, fake: FakeApp, address: str, invite: str) -> None:
    enter(page, address, invite)
    figure = page.locator("figure[data-figure]")
    picture = page.locator("[data-picture]")
    expect(picture).to_be_hidden()
    dialog = open_dialog(page, "View")
    with page.expect_response("**/label/preferences"):
        dialog.get_by_label("Text first").uncheck()
    expect(figure).not_to_contain_class("away")
    expect(figure).to_contain_class("covered grey")
    assert "blur(28px)" in picture.evaluate("image => getComputedStyle(image).filter")
    with page.expect_response("**/label/preferences"):
        dialog.get_by_label("Pictures blurred").uncheck()
    expect(figure).to_have_class("grey")
    assert "grayscale(1)" in picture.evaluate("image => getComputedStyle(image).filter")
    with page.expect_response("**/label/preferences"):
        dialog.get_by_label("Pictures in grey").uncheck()
    expect(figure).to_have_class("")
    assert picture.evaluate("image => getComputedStyle(image).filter") == "none"
    with page.expect_response("**/label/preferences"):
        dialog.get_by_label("Violence").check()
    page.reload()
    shows(page, 1)
    expect(picture).to_be_visible()
    expect(figure).to_have_class("")
    dialog = open_dialog(page, "View")
    for wish in ("Text first", "Pictures blurred", "Pictures in grey", "Shaming"):
        expect(dialog.get_by_label(wish)).not_to_be_checked()
    expect(dialog.get_by_label("Violence")).to_be_checked()
    (ada,) = fake.labelling.people(1)
    assert ada.preferences == {
        "blur": False,
        "greyscale": False,
        "text_first": False,
        "avoid": ["violence"],
    }


def test_an_earlier_answer_is_changed_from_the_history(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    shows(page, 2)
    page.keyboard.press("n")
    shows(page, 3)
    dialog = open_dialog(page, "My last 20")
    rows = dialog.get_by_role("listitem")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("Meme number 2")
    expect(rows.nth(0)).to_contain_text("not sure")
    expect(rows.nth(1)).to_contain_text("Misogynous, Shaming")
    rows.nth(1).get_by_role("button", name="Change").click()
    shows(page, 1)
    expect(card(page).get_by_label("Shaming")).to_be_checked()
    page.keyboard.press("2")
    page.get_by_role("button", name="Save the change").click()
    shows(page, 3)
    expect(page.locator("[data-judged]")).to_have_text("2 judged")
    assert ticked(fake) == [["misogynous", "shaming"], [], ["misogynous"]]
    assert [vote.replaces for vote in fake.votes()] == [None, None, 1]
    open_dialog(page, "My last 20").get_by_role("button", name="Change").first.click()
    shows(page, 1)
    page.keyboard.press("u")  # leaves the change
    shows(page, 3)
    assert len(fake.votes()) == 3


def test_the_model_speaks_after_the_answer_which_can_be_changed_then(
    page: Page, fake: FakeApp, address: str
) -> None:
    enter(page, address, open_session(fake, suggestion=SUGGESTION))
    hint = page.locator("[data-hint]")
    expect(hint).to_be_hidden()
    page.keyboard.press("Enter")
    shows(page, 2)
    expect(hint).to_be_hidden()
    expect(page.locator("[data-answer-words]")).to_have_text(
        "You said: not misogynous. The model says: Misogynous, Stereotype (misogynous: 83 %)."
    )
    page.keyboard.press("c")
    shows(page, 1)
    expect(hint).to_contain_text("The model says: Misogynous, Stereotype")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    shows(page, 2)
    assert ticked(fake) == [[], ["misogynous", "stereotype"]]
    assert [vote.seen for vote in fake.votes()] == [Seen.NONE, Seen.AFTER]


def test_a_mixed_session_shows_the_hint_where_it_is_to_be_seen_beforehand(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake, suggestion=SUGGESTION, suggestions=Suggestions.MIXED)
    enter(page, address, invite)
    seen = []
    for number in range(1, 13):
        shows(page, number)
        seen.append(page.locator("[data-hint]").is_visible())
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing for you right now")).to_be_visible()
    assert [vote.seen is Seen.BEFORE for vote in fake.votes()] == seen


def test_the_last_meme_is_followed_by_a_word_of_thanks(
    page: Page, fake: FakeApp, address: str
) -> None:
    invite = open_session(fake, "Short", meme_ids=[fake.memes[0].id], votes_per_meme=2)
    enter(page, address, invite)
    page.keyboard.press("Enter")
    expect(page.locator("[data-empty-words]")).to_contain_text(
        "You have judged every meme that wants your answer"
    )
    expect(card(page)).to_be_hidden()
    fake.labelling.close(1)
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("heading", name="The session has ended")).to_be_visible()


def test_a_session_that_ends_while_somebody_judges_says_that_the_answer_is_kept(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    fake.labelling.close(1)
    page.keyboard.press("Enter")
    expect(page.locator("[data-answer-words]")).to_contain_text(
        "The session had ended: your answer is kept, and not counted."
    )
    expect(page.get_by_role("heading", name="The session has ended")).to_be_visible()
    assert [vote.kind for vote in fake.votes()] == [VoteKind.SURPLUS]


def test_who_was_taken_out_is_told_so(page: Page, fake: FakeApp, address: str, invite: str) -> None:
    enter(page, address, invite)
    (ada,) = fake.labelling.people(1)
    fake.labelling.revoke_person(ada.id)
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(visible=True)
    expect(alert).to_contain_text("You were taken out of this session")
    page.goto(address)
    page.get_by_role("tab", name="Annotate").click()
    expect(alert).to_contain_text("You were taken out of this session")
    expect(card(page)).to_be_hidden()
    assert fake.votes() == []


def test_a_break_is_proposed_when_the_time_is_over(page: Page, fake: FakeApp, address: str) -> None:
    page.clock.install()
    enter(page, address, open_session(fake, break_minutes=1.0))
    page.keyboard.press("r")
    page.clock.run_for(31_000)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.clock.run_for(62_000)
    dialog = page.get_by_role("dialog", name="Time for a break")
    expect(dialog).to_contain_text("You have been at it for")
    expect(page.locator("figure[data-figure]")).to_contain_class("covered away grey")
    page.keyboard.press("Enter")  # for the dialog, not an answer
    expect(dialog).to_have_count(0)
    shows(page, 1)
    page.clock.run_for(31_000)
    expect(page.locator("[data-progress]")).to_contain_text("0 of 12 memes are done")
    expect(dialog).to_have_count(0)
    assert fake.votes() == []


def test_a_break_is_proposed_after_a_good_deal_of_severe_content(
    page: Page, fake: FakeApp, address: str
) -> None:
    def rank(_: Meme) -> Rank:
        return Rank(severity=1.0)

    page.clock.install()
    enter(page, address, open_session(fake, rank=rank, break_exposure=20.0))
    page.keyboard.press("r")
    picture_is_there(page)
    page.clock.run_for(25_000)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Time for a break")
    expect(dialog).to_contain_text("You have looked at a good deal of severe content.")
    dialog.get_by_role("button", name="I have had one").click()
    shows(page, 2)


def test_a_hostile_text_is_shown_and_never_run(page: Page, fake: FakeApp, address: str) -> None:
    meme = add_meme(fake.store, 4711, HOSTILE)
    invite = open_session(fake, "<i>${alert(5)}</i>", meme_ids=[meme.id], guidelines=HOSTILE)
    enter(page, address, invite, "<b>Ada</b> ${alert(4)}")
    expect(page.locator("[data-text]")).to_have_text(HOSTILE)
    expect(page.locator("[data-view=work] .who")).to_contain_text(
        "<b>Ada</b> ${alert(4)} in “<i>${alert(5)}</i>”"
    )
    page.keyboard.press("n")
    expect(page.locator("[data-judged]")).to_have_text("1 judged")
    dialog = open_dialog(page, "My last 20")
    expect(dialog.get_by_role("listitem")).to_contain_text(HOSTILE)
    dialog.get_by_role("button", name="Close").click()
    dialog = open_dialog(page, "Guidelines")
    expect(dialog.locator(".prose")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(dialog.locator("img")).to_have_count(0)


def test_leaving_gives_the_meme_back_and_asks_for_a_name_again(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_label("Your display name")).to_be_visible()
    expect(card(page)).to_be_hidden()
    assert fake.labelling.counts(1).at_work == 0


def test_a_link_into_another_session_leads_there(
    page: Page, fake: FakeApp, address: str, invite: str
) -> None:
    enter(page, address, invite)
    other = open_session(fake, "Tuesday")
    page.goto(f"{address}join/{other}")
    expect(page.get_by_role("heading", name="Join “Tuesday”")).to_be_visible()
    enter(page, address, other, "Ada again")
    expect(page.locator("[data-view=work] .who")).to_contain_text("Ada again in “Tuesday”")


def test_the_list_of_keys_is_one_key_away(page: Page, address: str, invite: str) -> None:
    enter(page, address, invite)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("save and next")
    page.keyboard.press("n")  # for nobody
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    shows(page, 1)


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_on_a_phone_nothing_scrolls_sideways_and_targets_are_large(
    page: Page, fake: FakeApp, address: str
) -> None:
    guidelines = f"# Rules\n\n{'w' * 80}\n\n| a | b |\n|---|---|\n| {'x' * 60} | {'y' * 60} |"
    long = add_meme(fake.store, 4711, "W" * 200)
    fake.memes.insert(0, long)
    invite = open_session(
        fake,
        "A name of forty characters, all of them.",
        suggestion=SUGGESTION,
        guidelines=guidelines,
        leaderboard=True,
    )
    page.goto(f"{address}join/{invite}")
    expect(page.get_by_label("Your display name")).to_be_visible()
    assert fits(page)
    assert too_small(page.locator("[data-view=join]")) == []
    enter(page, address, invite, "A display name of exactly forty charact")
    assert fits(page)
    assert too_small(page.locator("[data-view=work]")) == []
    page.locator("[data-reveal]").tap()
    expect(page.locator("[data-picture]")).to_be_visible()
    assert fits(page)
    page.get_by_text("Add a note").tap()
    assert too_small(page.locator("[data-view=work]")) == []
    assert fits(page)
    page.get_by_role("button", name="Save and next").tap()
    shows(page, 1)
    expect(page.get_by_role("button", name="Change mine")).to_be_visible()
    assert fits(page)
    assert too_small(page.locator("[data-view=work]")) == []
    for button in ("Guidelines", "My last 20", "View", "Skip"):
        dialog = open_dialog(page, button)
        assert fits(page), button
        box = dialog.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390, button
        assert dialog.evaluate("one => one.scrollWidth <= one.clientWidth"), button
        assert too_small(dialog) == [], button
        dialog.locator("[data-close]").tap()


def too_small(part: Locator) -> list[str]:
    """What can be touched and is less than 44 pixels high."""
    found: list[str] = part.evaluate(
        """part => [...part.querySelectorAll(
            "button, a[href], label.tick, summary, input:not([type=checkbox]), select, textarea")]
            .filter(one => one.checkVisibility())
            .filter(one => one.getBoundingClientRect().height < 43.99)
            .map(one => one.outerHTML.slice(0, 80))"""
    )
    return found
