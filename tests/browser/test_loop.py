"""The whole loop with the real parts: a meme in, answers out, a session, a retrain, the new
version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from memeapp.judging import VoteKind
from memeapp.labels import MAMI
from memeapp.store import Store
from tests.browser.conftest import enter, log_in
from tests.browser.real import draw, real_app, write_corpus

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

CAPTION = "MY CAT REPAIRED THE KEYBOARD"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 labelled memes in MAMI's layout and three without labels."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, 64)
    return folder


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled")
    for number in range(3):
        draw(f"picture number {number}", 1000 + number).save(folder / f"new{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def app(corpus: Path, unlabelled: Path, data: Path) -> Iterator[str]:
    with real_app(data, (corpus, unlabelled)) as address:
        yield address


@pytest.fixture
def pages(browser: Browser, app: str) -> Iterator[list[Page]]:
    """Three people, each with a browser of their own; the first one is on the page."""
    contexts = [browser.new_context() for _ in range(3)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.set_default_timeout(60_000)
    pages[0].goto(app)
    yield pages
    for context in contexts:
        context.close()


def classify(page: Page, picture: Path) -> str:
    """Upload a picture, ask, and give the name of the version that answered."""
    page.get_by_role("tab", name="Classify").click()
    page.locator("#classify-picture input[type=file]").set_input_files(picture)
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.get_by_role("button", name="Classify", exact=True).click()
    article = page.locator("#classify-result article")
    expect(article).to_be_visible(timeout=120_000)
    return article.get_attribute("data-model") or ""


def open_session(page: Page) -> str:
    """Log in and open a session; gives its link."""
    log_in(page)
    page.get_by_label("Name", exact=True).fill("Monday")
    page.get_by_label("Answers wanted for each meme").fill("2")
    page.get_by_role("button", name="Open the session").click()
    link = page.locator("[data-address]")
    expect(link).to_be_visible()
    page.locator(".invite img").evaluate("image => image.decode()")
    return link.get_attribute("href") or ""


def judge_two(page: Page, app: str, link: str, name: str) -> None:
    """Come by the link, judge a meme as a stereotype and another one as nothing."""
    assert link.startswith(f"{app}join/")
    enter(page, app, link.removeprefix(f"{app}join/"), name)
    form = page.locator("form[data-card]")
    for done in range(2):
        expect(page.locator("[data-judged]")).to_have_text(f"{done} judged")
        if done == 0:
            page.keyboard.press("r")
            expect(form.locator("[data-picture]")).to_be_visible()
            form.locator("[data-picture]").evaluate("image => image.decode()")
            page.keyboard.press("3")
            expect(form.get_by_label("Stereotype")).to_be_checked()
        page.keyboard.press("Enter")
    expect(page.locator("[data-judged]")).to_have_text("2 judged")
    expect(page.locator("[data-answer-words]")).to_contain_text("You said: not misogynous.")


def test_the_whole_loop(pages: list[Page], app: str, data: Path, tmp_path: Path) -> None:
    page, *people = pages
    meme = tmp_path / "meme.png"
    draw(CAPTION, 77).save(meme)
    shipped = classify(page, meme)
    text = page.get_by_label("Text in the picture").input_value()
    assert set(CAPTION.split()) & set(text.upper().split()), f"OCR read {text!r}"
    result = page.locator("#classify-result")
    expect(result.locator("h2[data-label=misogynous]")).to_have_count(1)
    expect(result.locator("li[data-label]")).to_have_count(len(MAMI.children))

    link = open_session(page)
    for guest, name in zip(people, ("Ada", "Ben"), strict=True):
        judge_two(guest, app, link, name)
    session = page.locator("article.session")
    expect(session.locator("[data-state]")).to_contain_text("2 people, 2 at work")
    expect(session.locator(".percent")).to_have_text("4 of 134")

    dashboard = page.locator("#admin-dashboard")
    dashboard.get_by_role("button", name="Retrain").click()
    expect(dashboard.locator("[data-job]")).to_be_visible()
    page.reload()  # the progress survives
    page.get_by_role("tab", name="Admin").click()
    expect(dashboard.locator("[data-job]")).to_have_attribute(
        "data-state", re.compile("finished|failed"), timeout=600_000
    )
    expect(dashboard.locator("[data-job]")).to_have_attribute("data-state", "finished")
    # Few held-out memes have labels: the gate cannot tell, says why, and the admin decides.
    expect(dashboard.locator(".job-message")).to_contain_text("does not answer yet")
    expect(dashboard.locator(".job-message")).to_contain_text("at least 50 are needed")
    assert page.locator("tr.current").get_attribute("data-version") == shipped
    page.get_by_role("button", name=re.compile("^Use")).click()
    trained = re.compile("^v0001-")
    expect(page.locator("tr.current")).to_have_attribute("data-version", trained)
    # The picture box is empty after the reload: the next answer is a new one.
    assert trained.match(classify(page, meme))
    check_votes(data)


def check_votes(data: Path) -> None:
    """What Ada and Ben said is in the database, tick for tick, and the memes are ranked."""
    store = Store(data)
    (session,) = store.sessions()
    names = {one.id: one.name for one in store.annotators(session.id)}
    said = store.all_votes(session.id)
    assert {names[vote.annotator_id] for vote in said} == {"Ada", "Ben"}
    for name in ("Ada", "Ben"):
        votes = [vote for vote in said if names[vote.annotator_id] == name]
        ticked = [{label for label, yes in vote.labels.items() if yes} for vote in votes]
        assert ticked == [{"misogynous", "stereotype"}, set()]
        assert all(set(vote.labels) == set(MAMI.names) for vote in votes)
        assert all(vote.kind is VoteKind.VOTE for vote in votes)
        assert [vote.judgement.revealed for vote in votes] == [True, False]
        assert len({vote.meme_id for vote in votes}) == 2
    suggestions = [store.card_of(vote).suggestion for vote in said]
    assert all(suggestions), "the memes of the session were not ranked"
    store.close()
