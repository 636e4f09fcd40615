"""The Annotate page's protocol over HTTP: join, judge, undo, change, look back, leave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from memeapp.judging import Rank, Seen, SkipReason, Suggestions, Vote
from memeapp.labels import MAMI
from memeapp.types import Meme
from tests.api.conftest import Hall, Tab, judgement
from tests.conftest import SUGGESTION, fake_app, open_session, serving

OTHER_TAB = "tab-00002"


def votes_in(hall: Hall, invite: str) -> list[Vote]:
    return hall.app.store.all_votes(hall.session_id(invite))


def test_a_link_leads_to_the_page_with_the_name_and_the_guidelines(hall: Hall) -> None:
    invite = hall.room(guidelines="Judge the *meme*, not its maker.")
    http = hall.visitor()
    reply = http.get(f"join/{invite}")
    assert (reply.status_code, reply.headers["location"]) == (303, f"../?join={invite}")
    told = http.get(f"label/invite/{invite}").json()
    assert told["name"].startswith("Room")
    assert told["guidelines"] == "<p>Judge the <em>meme</em>, not its maker.</p>\n"
    assert http.get(reply.headers["location"].removeprefix("../")).status_code == 200


def test_a_person_judges_all_memes_one_after_the_other(hall: Hall) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    page = ada.open()
    assert page["name"] == "Ada"
    assert page["session"]["open"]
    assert page["session"]["break_minutes"] == 25
    assert page["judged"] == 0
    seen = []
    for number in range(1, 6):
        card = page["cards"][0]
        assert (card["width"], card["height"]) == (96, 96)
        seen.append(card["text"])
        page = ada.vote(card, "misogynous", "shaming")
        assert page["judged"] == number
        assert page["saved"]["labels"]["shaming"]
        assert len(page["cards"]) == min(2, 5 - number)
    assert seen == [f"Meme number {number}" for number in range(1, 6)]
    progress = ada.progress()
    assert progress.pop("per_hour") == progress.pop("own_per_hour") > 0
    assert progress.pop("minutes_left") > 0
    assert progress == {
        "open": True,
        "judged": 5,
        "memes": 5,
        "done": 0,
        "at_work": 0,
        "leaderboard": [],
        "warning": "",
    }


def test_everything_that_is_said_about_a_meme_is_kept(hall: Hall) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    card = ada.open()["cards"][0]
    ada.vote(
        card,
        "misogynous",
        note="  an old joke ",
        text="the corrected text",
        harm="together",
        seconds=1e9,
        revealed=True,
        revealed_seconds=1.25,
    )
    (vote,) = votes_in(hall, invite)
    said = vote.judgement
    assert said.labels == {label: label == "misogynous" for label in MAMI.names}
    assert (said.note, said.text, said.harm.value) == (
        "an old joke",
        "the corrected text",
        "together",
    )
    assert (said.seconds, said.revealed, said.revealed_seconds) == (24 * 3600, True, 1.25)
    assert (vote.queue, vote.seen) == ("uncertain", Seen.NONE)


def test_the_same_meme_comes_back_until_it_is_judged(hall: Hall) -> None:
    ada = hall.person(hall.room())
    first = [card["meme"] for card in ada.open()["cards"]]
    assert [card["meme"] for card in ada.open()["cards"]] == first
    assert [card["meme"] for card in ada.told("next")["cards"]] == first


def test_two_tabs_of_one_person_have_memes_of_their_own(hall: Hall) -> None:
    ada = hall.person(hall.room())
    other = Tab(ada.http, OTHER_TAB)
    shown = ada.open()["cards"] + other.open()["cards"]
    assert len({card["meme"] for card in shown}) == len(shown) == 4
    page = other.vote(shown[2])
    assert page["judged"] == 1
    assert shown[0]["text"] in ada.texts()


def test_a_meme_judged_in_another_tab_is_told_kindly_and_counts_once(hall: Hall) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    card = ada.open()["cards"][0]
    ada.vote(card)
    reply = Tab(ada.http, OTHER_TAB).post("vote", **judgement(card, key="f" * 16))
    assert reply.status_code == 409
    assert "judged this meme already; go on" in reply.json()["detail"]
    assert len(votes_in(hall, invite)) == 1


def test_the_same_vote_sent_five_times_at_once_is_one_vote(hall: Hall) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    body = {"tab": ada.name, **judgement(ada.open()["cards"][0], "misogynous")}
    with ThreadPoolExecutor(5) as pool:
        replies = list(pool.map(lambda _: ada.http.post("label/vote", json=body), range(5)))
    assert [reply.status_code for reply in replies] == [200] * 5
    assert len({reply.json()["saved"]["id"] for reply in replies}) == 1
    assert len(votes_in(hall, invite)) == 1


def test_a_key_of_one_meme_is_not_taken_for_another(hall: Hall) -> None:
    ada = hall.person(hall.room())
    first, second = ada.open()["cards"]
    ada.vote(first)
    reply = ada.post("vote", **judgement(second, key=first["key"]))
    assert reply.status_code == 400
    assert "used for another meme" in reply.json()["detail"]


def test_undo_brings_the_meme_back_with_what_was_said(hall: Hall) -> None:
    ada = hall.person(hall.room())
    first, second = ada.open()["cards"]
    ada.vote(first, "misogynous", "violence", note="first thought")
    page = ada.undo()
    assert page["undone"]["meme"] == first["meme"]
    assert page["undone"]["labels"]["violence"]
    assert page["undone"]["note"] == "first thought"
    assert page["judged"] == 0
    assert [card["text"] for card in page["cards"]] == ["Meme number 1", "Meme number 2"]
    assert ada.history() == []
    ada.vote(page["cards"][0])
    assert ada.history()[0]["labels"] == dict.fromkeys(MAMI.names, False)
    assert ada.texts()[0] == second["text"]


def test_an_undo_sent_twice_takes_one_judgement_back(hall: Hall) -> None:
    ada = hall.person(hall.room())
    for card in ada.open()["cards"]:
        ada.vote(card)
    taken = [ada.told("undo", key="the very same key")["undone"]["id"] for _ in range(2)]
    assert taken[0] == taken[1]
    assert len(ada.history()) == 1


def test_there_is_nothing_to_undo_before_the_first_judgement(hall: Hall) -> None:
    ada = hall.person(hall.room())
    assert ada.undo()["undone"] is None


def test_a_judgement_of_the_history_can_be_changed_and_both_are_kept(hall: Hall) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    for card in ada.open()["cards"]:
        ada.vote(card)
    newest, oldest = ada.history()
    assert (oldest["card"]["text"], newest["card"]["text"]) == ("Meme number 1", "Meme number 2")
    changed = ada.vote(oldest["card"], "misogynous", replaces=oldest["id"])
    assert changed["judged"] == 2
    assert changed["saved"]["labels"]["misogynous"]
    assert ada.history()[0]["card"]["text"] == "Meme number 1"
    assert [vote.replaces for vote in votes_in(hall, invite)] == [None, None, oldest["id"]]
    again = ada.post("vote", **judgement(oldest["card"], key="e" * 16, replaces=oldest["id"]))
    assert again.status_code == 400
    assert "was changed meanwhile" in again.json()["detail"]


def test_a_change_names_a_judgement_of_the_same_meme(hall: Hall) -> None:
    ada = hall.person(hall.room())
    for card in ada.open()["cards"]:
        ada.vote(card)
    newest, oldest = ada.history()
    reply = ada.post("vote", **judgement(oldest["card"], replaces=newest["id"]))
    assert reply.status_code == 400
    assert "is of another meme" in reply.json()["detail"]


@pytest.mark.parametrize("reason", [reason.value for reason in SkipReason])
def test_a_skipped_meme_goes_to_somebody_else(hall: Hall, reason: str) -> None:
    invite = hall.room(votes_per_meme=1)
    ada, ben = hall.person(invite), hall.person(invite, "Ben")
    card = ada.open()["cards"][0]
    page = ada.vote(card, kind="skip", reason=reason, labels={})
    assert (page["saved"]["kind"], page["saved"]["reason"]) == ("skip", reason)
    assert page["suggestion"] is None
    assert page["judged"] == 0
    assert card["text"] not in ada.texts()
    assert ben.open()["cards"][0]["text"] == card["text"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "skip", "labels": {}},
        {"kind": "skip", "labels": {}, "reason": "no time"},
        {"kind": "vote", "reason": "language"},
        {"kind": "unsure", "labels": {"misogynous": True}},
        {"kind": "skip", "reason": "language"},
        {"labels": {}},
        {"labels": {"misogynous": False, "violence": True}},
        {"labels": {"violence": True}},
        {"labels": {"unknown": True}},
        {"note": "n" * 501},
        {"text": "t" * 2001},
        {"replaces": 1},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_with_a_sentence_and_not_kept(
    hall: Hall, wrong: dict[str, Any]
) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    card = ada.open()["cards"][0]
    reply = ada.post("vote", **judgement(card, **wrong))
    assert reply.status_code == 400
    assert reply.json()["detail"][-1] in ".?"
    assert votes_in(hall, invite) == []
    assert ada.texts()[0] == card["text"]


def test_unsure_is_an_answer_that_takes_a_place(hall: Hall) -> None:
    invite = hall.room(votes_per_meme=1)
    ada, ben = hall.person(invite), hall.person(invite, "Ben")
    card = ada.open()["cards"][0]
    page = ada.vote(card, kind="unsure", labels={})
    assert page["saved"]["kind"] == "unsure"
    assert page["judged"] == 1
    ada.told("close")
    texts = [one["text"] for one in ben.open()["cards"]]
    assert texts == ["Meme number 2", "Meme number 3"]


def test_preferences_are_kept_and_come_back(hall: Hall) -> None:
    ada = hall.person(hall.room())
    assert ada.open()["preferences"] == {
        "blur": True,
        "greyscale": True,
        "text_first": True,
        "avoid": [],
    }
    wishes = {"blur": False, "greyscale": False, "text_first": True, "avoid": ["violence"]}
    assert ada.told("preferences", **wishes)["judged"] == 0
    assert ada.open()["preferences"] == wishes


@pytest.mark.parametrize("kind", ["misogynous", "unknown", ""])
def test_only_a_kind_of_content_can_be_avoided(hall: Hall, kind: str) -> None:
    ada = hall.person(hall.room())
    reply = ada.post("preferences", avoid=[kind])
    assert reply.status_code == 400
    assert "no kind of content" in reply.json()["detail"]
    assert ada.open()["preferences"]["avoid"] == []


def test_memes_with_a_kind_that_somebody_avoids_do_not_come_up(hall: Hall) -> None:
    first = hall.app.memes[0]
    violent = 1 << MAMI.names.index("violence")

    def rank(meme: Meme) -> Rank:
        return Rank(kinds=violent if meme != first else 0)

    ada = hall.person(hall.room(rank=rank))
    ada.told("preferences", avoid=["violence"])
    ada.told("close")
    assert ada.texts() == [first.text]


def test_a_closed_tab_gives_its_memes_back_at_once(hall: Hall) -> None:
    invite = hall.room(votes_per_meme=1)
    ada, ben = hall.person(invite), hall.person(invite, "Ben")
    card = ada.open()["cards"][0]
    assert ben.open()["cards"][0]["text"] != card["text"]
    ben.told("close")
    ada.told("close")
    assert ben.texts()[0] == card["text"]


def test_renewing_keeps_the_memes_of_this_tab(hall: Hall) -> None:
    ada = hall.person(hall.room())
    ada.open()
    assert ada.told("renew") == {"kept": 2}
    assert Tab(ada.http, OTHER_TAB).told("renew") == {"kept": 0}
    ada.told("close")
    assert ada.told("renew") == {"kept": 0}


def test_a_session_that_was_closed_in_between_keeps_the_answer_and_says_so(hall: Hall) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    first, second = ada.open()["cards"]
    ada.vote(first, "misogynous")
    hall.app.labelling.close(hall.session_id(invite))
    page = ada.vote(second)
    assert (page["saved"]["kind"], page["saved"]["reason"]) == ("surplus", "closed")
    assert page["cards"] == []
    assert page["judged"] == 1
    assert not ada.open()["session"]["open"]
    assert not ada.progress()["open"]
    undo = ada.post("undo", key="a key for undoing")
    assert undo.status_code == 409
    assert "has ended" in undo.json()["detail"]
    for reply in (ada.http.get(f"label/invite/{invite}"), ada.http.get(f"join/{invite}")):
        assert reply.status_code in (403, 404)
        assert "has ended" in reply.text
    late = hall.visitor().post("label/join", json={"invite": invite, "name": "Ben"})
    assert late.status_code == 403
    hall.app.labelling.close(hall.session_id(invite), closed=False)
    # Asked again: the late answer does not count.
    assert ada.texts() == ["Meme number 3", "Meme number 2"]
    assert ada.vote(second)["saved"]["kind"] == "surplus"  # it was sent under this key
    page = ada.vote(second, key="a fresh key, sixteen")
    assert (page["saved"]["kind"], page["judged"]) == ("vote", 2)


def test_a_session_ends_by_itself_when_its_time_is_over(hall: Hall) -> None:
    over = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="milliseconds")
    invite = hall.room()
    ada = hall.person(invite)
    plan = hall.app.labelling.session(hall.session_id(invite)).plan
    hall.app.labelling.change_plan(hall.session_id(invite), replace(plan, open_until=over))
    assert not ada.open()["session"]["open"]
    assert ada.open()["cards"] == []


def test_a_revoked_link_lets_nobody_in_and_who_is_in_goes_on(hall: Hall) -> None:
    invite = hall.room()
    ada = hall.person(invite)
    hall.app.labelling.revoke_invite(invite)
    late = hall.visitor()
    for reply in (
        late.get(f"label/invite/{invite}"),
        late.get(f"join/{invite}"),
        late.post("label/join", json={"invite": invite, "name": "Ben"}),
    ):
        assert reply.status_code in (403, 404)
        assert "no longer valid; ask for a new one" in reply.text
        assert "set-cookie" not in reply.headers
    assert ada.vote(ada.open()["cards"][0])["judged"] == 1


def test_somebody_who_was_taken_out_is_told_so_and_their_memes_go_to_others(hall: Hall) -> None:
    invite = hall.room(votes_per_meme=1)
    ada, ben = hall.person(invite), hall.person(invite, "Ben")
    card = ada.open()["cards"][0]
    hall.app.labelling.revoke_person(hall.id_of(ada))
    reply = ada.post("vote", **judgement(card))
    assert reply.status_code == 403
    assert "You were taken out of this session" in reply.json()["detail"]
    assert votes_in(hall, invite) == []
    assert ben.open()["cards"][0]["text"] == card["text"]
    hall.app.labelling.revoke_person(hall.id_of(ada), revoked=False)
    assert ada.open()["name"] == "Ada"


def test_an_answer_that_comes_when_a_meme_has_all_it_wants_is_surplus(hall: Hall) -> None:
    invite = hall.room(votes_per_meme=1, suggestion=SUGGESTION)
    ada, ben = hall.person(invite), hall.person(invite, "Ben")
    card = ada.open()["cards"][0]
    ada.told("close")  # as a lease that ran out
    ben.vote(ben.open()["cards"][0])
    page = ada.vote(card, "misogynous")
    assert (page["saved"]["kind"], page["saved"]["reason"]) == ("surplus", "full")
    assert page["suggestion"] is None
    assert page["judged"] == 0
    assert ada.history() == []
    assert ben.progress()["done"] == 1


def test_the_model_speaks_only_after_the_vote(hall: Hall) -> None:
    invite = hall.room(suggestion=SUGGESTION)
    ada = hall.person(invite)
    page = ada.open()
    assert "chances" not in str(page)
    assert all(card["suggestion"] is None for card in page["cards"])
    page = ada.vote(page["cards"][0])
    assert page["suggestion"] == SUGGESTION
    assert all(card["suggestion"] is None for card in page["cards"])
    (before,) = ada.history()
    assert before["suggestion"] == SUGGESTION
    ada.vote(before["card"], "misogynous", replaces=before["id"])
    first, second = votes_in(hall, invite)
    assert (first.seen, first.suggestion) == (Seen.NONE, None)
    assert (second.seen, second.suggestion) == (Seen.AFTER, SUGGESTION)


def test_after_an_undo_the_model_is_silent_again_and_the_new_vote_is_not_blind(
    hall: Hall,
) -> None:
    invite = hall.room(suggestion=SUGGESTION)
    ada = hall.person(invite)
    ada.vote(ada.open()["cards"][0])
    page = ada.undo()
    assert "chances" not in str(page)
    ada.vote(page["cards"][0])
    assert votes_in(hall, invite)[-1].seen is Seen.AFTER


def test_a_session_without_suggestions_never_tells_what_the_model_says(hall: Hall) -> None:
    invite = hall.room(suggestion=SUGGESTION, suggestions=Suggestions.NONE)
    ada = hall.person(invite)
    told = [ada.open()]
    told.append(ada.vote(told[0]["cards"][0]))
    told.append(ada.vote(told[-1]["cards"][0], kind="unsure", labels={}))
    told.append({"history": ada.history()})
    told.append(ada.vote(ada.history()[0]["card"], replaces=ada.history()[0]["id"]))
    told.append(ada.undo())
    assert "chances" not in str(told)
    assert "shipped-1" not in str(told)
    assert {vote.seen for vote in votes_in(hall, invite)} == {Seen.NONE}


def test_a_mixed_session_tells_beforehand_for_about_half_of_the_memes(hall: Hall) -> None:
    invite = hall.room(suggestion=SUGGESTION, suggestions=Suggestions.MIXED, votes_per_meme=100)
    assisted: dict[str, bool] = {}
    for number in range(16):
        person = hall.person(invite, f"Person {number}")
        page = person.open()
        while page["cards"]:
            card = page["cards"][0]
            assert card["suggestion"] in (None, SUGGESTION)
            page = person.vote(card)
            assisted[f"{page['saved']['id']}"] = card["suggestion"] is not None
            assert page["suggestion"] == SUGGESTION
    assert len(assisted) == 80
    assert 20 <= sum(assisted.values()) <= 60
    for vote in votes_in(hall, invite):
        assert vote.seen is (Seen.BEFORE if assisted[str(vote.id)] else Seen.NONE)


def test_the_exposure_of_a_sitting_is_weighed_by_severity(hall: Hall) -> None:
    def rank(_: Meme) -> Rank:
        return Rank(severity=0.5)

    ada = hall.person(hall.room(rank=rank))
    start = datetime.now(UTC).timestamp() - 10
    first, second = ada.told("open", since=start)["cards"]
    page = ada.vote(first, revealed=True, revealed_seconds=8.0, since=start)
    assert page["exposure"] == pytest.approx(4.0)
    assert ada.vote(second, since=start + 3600)["exposure"] == 0
    assert ada.told("next")["exposure"] == 0


def test_names_and_counts_are_shown_where_the_admin_wants_a_leaderboard(hall: Hall) -> None:
    invite = hall.room(leaderboard=True)
    ada, ben = hall.person(invite), hall.person(invite, "Ben")
    ben.vote(ben.open()["cards"][0])
    assert ada.progress()["leaderboard"] == [
        {"name": "Ben", "judged": 1},
        {"name": "Ada", "judged": 0},
    ]
    assert ben.progress()["at_work"] == 1


def test_a_name_belongs_to_one_person_of_a_session(hall: Hall) -> None:
    invite = hall.room()
    hall.person(invite, "Ada Lovelace")
    http = hall.visitor()
    reply = http.post("label/join", json={"invite": invite, "name": " ADA  lovelace "})
    assert reply.status_code == 400
    assert "taken" in reply.json()["detail"]
    assert "set-cookie" not in reply.headers
    other = hall.person(hall.room(), "Ada Lovelace")
    assert other.open()["name"] == "Ada Lovelace"


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "line\nbreak", "zero\u200bwidth"])
def test_an_unusable_name_is_refused_with_the_reason(hall: Hall, name: str) -> None:
    http = hall.visitor()
    reply = http.post("label/join", json={"invite": hall.room(), "name": name})
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith("The name ")
    assert "set-cookie" not in reply.headers


def test_joining_another_session_moves_the_browser_there(hall: Hall) -> None:
    ada = hall.person(hall.room())
    before = ada.open()["session"]["name"]
    ada.http.post("label/join", json={"invite": hall.room(), "name": "Ada"}).raise_for_status()
    assert ada.open()["session"]["name"] != before


def test_links_and_cookies_stay_below_a_path_prefix(tmp_path: Path) -> None:
    app = fake_app(tmp_path, memes=1, root_path="/memes", secure_cookies=False)
    invite = open_session(app)
    with serving(app) as address, httpx.Client(base_url=address) as http:
        assert address.endswith("/memes/")
        entered = http.get(f"join/{invite}")
        assert entered.headers["location"] == f"../?join={invite}"
        assert entered.next_request is not None
        assert str(entered.next_request.url) == f"{address}?join={invite}"
        assert http.send(entered.next_request).status_code == 200
        joined = http.post("label/join", json={"invite": invite, "name": "Ada"})
        assert "Path=/memes;" in joined.headers["set-cookie"]
        assert Tab(http).open()["name"] == "Ada"
        left = http.post("auth/leave", json={"role": "annotator"})
        assert "Path=/memes;" in left.headers["set-cookie"]
        assert Tab(http).post("open").status_code == 401
    app.store.close()
