from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conftest import draw_picture

from memeapp.errors import AlreadyVoted, BadInput, BadVote, NotAllowed, NotFound
from memeapp.images import decode
from memeapp.judging import (
    Harm,
    Judgement,
    Plan,
    Rank,
    SkipReason,
    Suggestions,
    VoteKind,
)
from memeapp.labels import MAMI
from memeapp.service.hosting import MAX_GUIDELINES
from memeapp.service.labelling import MAX_NOTE, Labelling, Preferences
from memeapp.types import TextSource

NO = dict.fromkeys(MAMI.names, False)
YES = {**NO, "misogynous": True}
SAYS = {"model": "m", "chances": dict.fromkeys(MAMI.names, 0.2), "says": NO}


def add(store, number, origin="test"):
    return store.add_meme(
        decode(draw_picture(number)),
        text=f"text {number}",
        text_source=TextSource.GIVEN,
        origin=origin,
        holdout_share=0.2,
    )


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def labelling(store, clock):
    for number in range(3):
        add(store, number)
    return Labelling(store, MAMI, max_text=100, today=clock)


@pytest.fixture
def invite(labelling):
    return labelling.invite(labelling.open_session(Plan("Room")).id).token


def judge(labelling, annotator, meme_id, labels=NO, key=None, **said):
    replaces = said.pop("replaces", None)
    return labelling.judge(
        annotator.id,
        meme_id,
        Judgement(labels, **said),
        key=key or f"key of {annotator.name} {meme_id} {replaces}",
        replaces=replaces,
    )


def test_a_session_is_opened_on_all_memes_but_those_of_visitors(labelling, store):
    add(store, 9, origin="visitor")
    session = labelling.open_session(Plan("Room"))
    assert labelling.counts(session.id).memes == 3
    assert labelling.sessions() == [session]
    assert labelling.session(session.id) == session


def test_a_session_is_opened_on_the_memes_that_are_named(labelling, store):
    chosen = store.memes()[0].id
    session = labelling.open_session(Plan("Room"), [chosen])
    assert store.session_meme_ids(session.id) == [chosen]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": {"best": 1.0}}, "'best' is no queue"),
        ({"policy": {"random": 0.5}}, "add up to 0.5, not to 1"),
        ({"policy": {"random": 1.5, "far": -0.5}}, "not to 1"),
        ({"policy": {}}, "add up to 0"),
        ({"votes_per_meme": 0}, "votes per meme cannot be 0; 1 to 100 can"),
        ({"votes_per_meme": 101}, "cannot be 101"),
        ({"lease_seconds": 9.0}, "seconds a meme is kept cannot be 9; 10 to 3600 can"),
        ({"lease_seconds": 3601.0}, "cannot be 3601"),
        ({"break_minutes": 0.9}, "minutes to a break cannot be 0.9; 1 to 600 can"),
        ({"break_minutes": float("nan")}, "cannot be nan"),
        ({"break_exposure": 0.0}, "exposure to a break cannot be 0"),
        ({"guidelines": "g" * (MAX_GUIDELINES + 1)}, "20,001 characters; at most 20,000"),
        ({"name": "  "}, "name is empty"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_when_it_is_made_and_when_it_is_changed(
    labelling, changes, words
):
    with pytest.raises(BadInput, match=words):
        labelling.open_session(Plan(**{"name": "Room", **changes}))
    assert labelling.sessions() == []
    session = labelling.open_session(Plan("Room"))
    with pytest.raises(BadInput, match=words):
        labelling.change_plan(session.id, replace(session.plan, **changes))
    assert labelling.session(session.id) == session


def test_the_bounds_of_a_plan_are_inside(labelling):
    for number, plan in enumerate(
        (
            Plan("", votes_per_meme=1, lease_seconds=10, break_minutes=1, break_exposure=1),
            Plan("", votes_per_meme=100, lease_seconds=3600, break_minutes=600),
            Plan("", policy={"random": 0.333, "far": 0.333, "uncertain": 0.334}),
            Plan("", guidelines="g" * MAX_GUIDELINES, break_exposure=100_000),
        )
    ):
        named = replace(plan, name=f"Room {number}")
        assert labelling.open_session(named).plan == named


def test_a_changed_plan_is_in_force(labelling, invite):
    (session,) = labelling.sessions()
    changed = labelling.change_plan(session.id, replace(session.plan, votes_per_meme=1))
    assert changed.plan.votes_per_meme == 1
    assert labelling.counts(session.id).wanted == 3


def test_people_come_by_a_link_while_it_is_valid_and_the_session_open(labelling, invite, clock):
    (session,) = labelling.sessions()
    assert labelling.invited(invite) == session
    ada = labelling.join(invite, "Ada")
    assert labelling.people(session.id) == [ada]
    assert labelling.session_of(ada.id) == session
    with pytest.raises(NotFound):
        labelling.join("nowhere", "Ben")

    labelling.revoke_invite(invite)
    with pytest.raises(NotAllowed, match="no longer valid"):
        labelling.join(invite, "Ben")
    assert labelling.annotator(ada.id) == ada

    another = labelling.invite(session.id).token
    assert [one.token for one in labelling.invites(session.id)] == [invite, another]
    labelling.close(session.id)
    with pytest.raises(NotAllowed, match="'Room' has ended"):
        labelling.join(another, "Ben")
    labelling.close(session.id, closed=False)
    until = (clock.now + timedelta(seconds=1)).isoformat(timespec="milliseconds")
    labelling.change_plan(session.id, replace(session.plan, open_until=until))
    assert labelling.join(another, "Ben").name == "Ben"
    clock.now += timedelta(seconds=1)
    with pytest.raises(NotAllowed, match="has ended"):
        labelling.join(another, "Cleo")
    assert [one.name for one in labelling.people(session.id)] == ["Ada", "Ben"]


def test_who_decides_is_no_annotator(labelling, invite, store):
    (session,) = labelling.sessions()
    judge = store.named_annotator("adjudication", "decision", session.id)
    with pytest.raises(NotFound, match="in no session"):
        labelling.annotator(judge.id)


def test_who_was_taken_out_is_told_so_until_they_are_let_in_again(labelling, invite):
    ada = labelling.join(invite, "Ada")
    labelling.revoke_person(ada.id)
    for ask in (
        lambda: labelling.annotator(ada.id),
        lambda: labelling.cards(ada.id, "tab"),
        lambda: labelling.surroundings(ada.id),
        lambda: labelling.session_of(ada.id),
        lambda: labelling.renew(ada.id, "tab"),
    ):
        with pytest.raises(NotAllowed, match="taken out"):
            ask()
    labelling.revoke_person(ada.id, revoked=False)
    assert labelling.cards(ada.id, "tab")


def test_who_is_in_no_session_is_told_to_ask_for_a_link(labelling, store):
    imported = store.named_annotator("mami", "import")
    with pytest.raises(NotFound, match="no session; ask for a link"):
        labelling.annotator(imported.id)
    with pytest.raises(NotFound):
        labelling.annotator("nobody")


def test_an_annotator_sees_every_meme_once_and_then_none(labelling, invite):
    ada = labelling.join(invite, "Ada")
    seen = []
    while cards := labelling.cards(ada.id, "tab"):
        assert labelling.judged(ada.id) == len(seen)
        assert labelling.cards(ada.id, "tab")[0].meme == cards[0].meme
        judge(labelling, ada, cards[0].meme.id)
        seen.append(cards[0].meme.id)
    assert len(set(seen)) == len(seen) == labelling.judged(ada.id) == 3


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Judgement({"misogynous": False, "violence": True}), "ticked but"),
        (Judgement({"violence": False}), "says nothing about 'misogynous'"),
        (Judgement({"misogynous": True, "humour": True}), "Unknown label 'humour'"),
        (Judgement({}), "says nothing"),
        (Judgement(YES, VoteKind.UNSURE), "has no labels"),
        (Judgement(YES, VoteKind.SKIP, reason="language"), "has no labels"),
        (Judgement({}, VoteKind.SKIP), "'' is no reason to skip"),
        (Judgement({}, VoteKind.SKIP, reason="bored"), "'bored' is no reason to skip"),
        (Judgement(YES, reason="language"), "'language' is no reason to skip"),
        (Judgement({}, VoteKind.UNSURE, reason="language"), "is no reason"),
        (Judgement(YES, VoteKind.DECISION), "cannot be of the kind 'decision'"),
        (Judgement({}, VoteKind.UNDO), "cannot be of the kind 'undo'"),
        (Judgement(YES, VoteKind.SURPLUS), "cannot be of the kind 'surplus'"),
        (Judgement(YES, note="n" * (MAX_NOTE + 1)), "501 characters; at most 500"),
        (Judgement(YES, text="t" * 101), "101"),
        (Judgement(YES, seconds=-1.0), "cannot be -1"),
    ],
)
def test_a_judgement_that_cannot_be_meant_is_refused_and_not_kept(
    labelling, invite, store, said, words
):
    ada = labelling.join(invite, "Ada")
    meme = labelling.cards(ada.id, "tab")[0].meme
    with pytest.raises(BadInput, match=words):
        labelling.judge(ada.id, meme.id, said, key="k")
    assert store.all_votes() == []


def test_all_that_can_be_said_is_kept(labelling, invite, store):
    ada = labelling.join(invite, "Ada")
    meme = labelling.cards(ada.id, "tab")[0].meme
    said = Judgement(
        YES,
        note="n" * MAX_NOTE,
        text=f"  {'t' * 90}  ",
        harm=Harm.TOGETHER,
        seconds=2.5,
        revealed=True,
        revealed_seconds=1.5,
    )
    vote = labelling.judge(ada.id, meme.id, said, key="k")
    assert vote.judgement == replace(said, text="t" * 90)
    assert store.all_votes() == [vote]


@pytest.mark.parametrize("reason", SkipReason)
def test_every_reason_to_skip_is_one(labelling, invite, reason):
    ada = labelling.join(invite, "Ada")
    meme = labelling.cards(ada.id, "tab")[0].meme
    vote = judge(labelling, ada, meme.id, {}, kind=VoteKind.SKIP, reason=reason.value)
    assert (vote.kind, vote.judgement.reason) == (VoteKind.SKIP, reason)
    assert labelling.judged(ada.id) == 0


def test_one_judges_a_meme_once_and_changes_that_by_its_number(labelling, invite):
    ada = labelling.join(invite, "Ada")
    meme = labelling.cards(ada.id, "tab")[0].meme
    first = judge(labelling, ada, meme.id)
    with pytest.raises(AlreadyVoted):
        judge(labelling, ada, meme.id, YES, key="another")
    vote, card = labelling.card(ada.id, first.id)
    assert (vote, card.meme) == (first, meme)
    second = judge(labelling, ada, meme.id, YES, replaces=first.id)
    assert [vote for vote, _ in labelling.history(ada.id)] == [second]
    for gone in (first.id, 4711):
        with pytest.raises(NotFound, match="too long ago"):
            labelling.card(ada.id, gone)
    ben = labelling.join(invite, "Ben")
    with pytest.raises(NotFound):
        labelling.card(ben.id, second.id)
    with pytest.raises(BadVote):
        judge(labelling, ben, meme.id, replaces=second.id)


def test_what_was_taken_back_comes_first_again(labelling, invite):
    ada = labelling.join(invite, "Ada")
    meme = labelling.cards(ada.id, "tab")[0].meme
    vote = judge(labelling, ada, meme.id)
    assert labelling.undo(ada.id, key="u", tab="tab") == vote
    assert labelling.cards(ada.id, "tab")[0].meme == meme
    assert labelling.undo(ada.id, key="v", tab="tab") is None
    assert labelling.history(ada.id) == []


def test_a_tab_is_kept_and_given_back(labelling, invite):
    ada = labelling.join(invite, "Ada")
    labelling.cards(ada.id, "tab")
    assert labelling.renew(ada.id, "tab") == 2
    labelling.give_back(ada.id, "tab")
    assert labelling.renew(ada.id, "tab") == 0


def test_somebody_unknown_cannot_judge(labelling, invite, store):
    with pytest.raises(NotFound):
        labelling.judge("nobody", store.memes()[0].id, Judgement(NO), key="k")
    assert store.all_votes() == []


def test_preferences_come_back_and_are_careful_where_nothing_is_known(labelling, invite, store):
    ada = labelling.join(invite, "Ada")
    assert Preferences.of(ada) == Preferences(True, True, True, ())
    wishes = Preferences(blur=False, greyscale=False, text_first=False, avoid=("violence",))
    labelling.set_preferences(ada.id, wishes)
    assert Preferences.of(labelling.annotator(ada.id)) == wishes
    store.set_preferences(ada.id, {"blur": "no", "text_first": 0, "avoid": "violence"})
    assert Preferences.of(labelling.annotator(ada.id)) == Preferences()


@pytest.mark.parametrize("kind", ["misogynous", "humour", ""])
def test_only_a_kind_of_content_can_be_avoided(labelling, invite, kind):
    ada = labelling.join(invite, "Ada")
    with pytest.raises(BadInput, match="no kind of content"):
        labelling.set_preferences(ada.id, Preferences(avoid=("violence", kind)))
    assert labelling.annotator(ada.id).preferences == {}


def test_what_one_avoids_does_not_come_up(labelling, invite, store):
    (session,) = labelling.sessions()
    memes = store.memes()
    for at, meme in enumerate(memes):
        store.set_ranks(session.id, {meme.id: Rank(kinds=1 << at + 1)})
    ada = labelling.join(invite, "Ada")
    labelling.set_preferences(ada.id, Preferences(avoid=(MAMI.names[1], MAMI.names[2])))
    assert [card.meme for card in labelling.cards(ada.id, "tab")] == [memes[2]]


@pytest.mark.parametrize("suggestions", Suggestions)
def test_the_model_says_something_of_what_was_judged_where_the_session_tells(
    labelling, store, suggestions
):
    session = labelling.open_session(Plan("Room", suggestions=suggestions))
    store.set_ranks(session.id, {meme.id: Rank(suggestion=SAYS) for meme in store.memes()})
    ada = labelling.join(labelling.invite(session.id).token, "Ada")
    first, second = labelling.cards(ada.id, "tab")
    expected = None if suggestions is Suggestions.NONE else SAYS
    assert labelling.suggestion(judge(labelling, ada, first.meme.id)) == expected
    skip = judge(labelling, ada, second.meme.id, {}, kind=VoteKind.SKIP, reason="language")
    assert labelling.suggestion(skip) is None
    third = labelling.cards(ada.id, "tab")[0].meme
    unsure = judge(labelling, ada, third.id, {}, kind=VoteKind.UNSURE)
    assert labelling.suggestion(unsure) == expected


def test_without_a_model_nothing_is_suggested(labelling, invite, store):
    ada = labelling.join(invite, "Ada")
    vote = judge(labelling, ada, labelling.cards(ada.id, "tab")[0].meme.id)
    assert labelling.suggestion(vote) is None
    imported = store.named_annotator("mami", "import")
    known = store.import_vote(imported.id, vote.meme_id, NO, key="k")
    assert labelling.suggestion(known) is None


def test_the_surroundings_name_people_only_with_a_leaderboard(labelling, invite):
    (session,) = labelling.sessions()
    ada, ben = labelling.join(invite, "Ada"), labelling.join(invite, "Ben")
    judge(labelling, ben, labelling.cards(ben.id, "tab")[0].meme.id)
    expected = {"open": True, "warning": "", "leaderboard": []}
    assert labelling.surroundings(ada.id) == expected
    labelling.change_plan(session.id, replace(session.plan, leaderboard=True))
    board = [{"name": "Ben", "judged": 1}, {"name": "Ada", "judged": 0}]
    assert labelling.surroundings(ada.id) == {**expected, "leaderboard": board}
    labelling.close(session.id)
    assert labelling.surroundings(ada.id)["open"] is False


def test_what_was_looked_at_is_summed_up(labelling, invite, store):
    (session,) = labelling.sessions()
    store.set_ranks(session.id, {meme.id: Rank(severity=0.5) for meme in store.memes()})
    ada = labelling.join(invite, "Ada")
    assert labelling.unrevealed(ada.id) is None
    first, second = (card.meme.id for card in labelling.cards(ada.id, "tab"))
    judge(labelling, ada, first, revealed=True, revealed_seconds=10.0)
    judge(labelling, ada, second)
    assert labelling.unrevealed(ada.id) == 0.5
    now = datetime.now(UTC).timestamp()
    assert labelling.exposure(ada.id, now - 60) == pytest.approx(5.0)
    assert labelling.exposure(ada.id, now + 60) == 0


def test_votes_of_somebody_can_be_left_out_and_counted_again(labelling, invite):
    ada = labelling.join(invite, "Ada")
    labelling.exclude_person(ada.id)
    assert labelling.people(1)[0].excluded_at is not None
    labelling.exclude_person(ada.id, excluded=False)
    assert labelling.people(1)[0].excluded_at is None


def test_gold_is_drawn_from_decisions_and_from_what_everybody_says_elsewhere(labelling, store):
    memes = store.memes()
    imported = store.named_annotator("mami", "import")
    for meme, labels in zip(memes, (YES, NO, {"misogynous": True}), strict=True):
        store.import_vote(imported.id, meme.id, labels, key=f"k {meme.id}")
    other = store.named_annotator("other", "import")
    store.import_vote(other.id, memes[1].id, YES, key="they disagree")
    session = labelling.open_session(Plan("Room"))
    assert labelling.draw_gold(session.id, 3) == 1  # one is disputed, one not fully labelled
    assert store.gold(session.id) == {memes[0].id: YES}
    store.decide(session.id, memes[1].id, Judgement(NO, VoteKind.DECISION), key="k")
    assert labelling.draw_gold(session.id, 1) == 1
    assert labelling.draw_gold(session.id, 3) == 2
    assert store.gold(session.id) == {memes[0].id: YES, memes[1].id: NO}
    with pytest.raises(NotFound):
        labelling.draw_gold(4711, 1)


def test_votes_of_the_session_itself_make_no_gold(labelling, invite, store):
    (session,) = labelling.sessions()
    ada = labelling.join(invite, "Ada")
    judge(labelling, ada, labelling.cards(ada.id, "tab")[0].meme.id)
    assert labelling.draw_gold(session.id, 3) == 0
    other = labelling.open_session(Plan("Another"))
    assert labelling.draw_gold(other.id, 3) == 1


def test_the_picture_of_a_meme_is_a_file_and_that_of_another_is_not_found(labelling, store):
    assert labelling.picture(store.memes()[0].id).is_file()
    with pytest.raises(NotFound):
        labelling.picture("../../secret.key")


def test_who_opts_out_of_nudity_gets_no_meme_in_which_the_detector_found_it(
    labelling, invite, store
):
    ada = labelling.join(invite, "Ada")
    nude, *others = (meme.id for meme in store.memes())
    store.set_ranks(ada.session_id, {nude: Rank(kinds=1)})
    labelling.set_preferences(ada.id, Preferences(avoid=("nudity",)))
    given = [card.meme.id for card in labelling.cards(ada.id, "tab-1")]
    assert sorted(given) == sorted(others)
