"""Sessions, the ways into them, leases, and what becomes of a judgement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from storing import NO, YES, Room, add, at_once, picture

from memeapp.errors import AlreadyVoted, BadInput, BadVote, NotAllowed, NotFound
from memeapp.judging import Harm, Judgement, Plan, Rank, Seen, Suggestions, VoteKind
from memeapp.store import Store, sessions
from memeapp.store.choice import MILD, SEVERE
from memeapp.store.queue import is_assisted

UNSURE = Judgement(kind=VoteKind.UNSURE)
SKIP = Judgement(kind=VoteKind.SKIP, reason="language")
DECISION = Judgement(YES, kind=VoteKind.DECISION)
SAYS = {"model": "v1", "chances": {"misogynous": 0.8}, "says": {"misogynous": True}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def rank(room: Room, **ranks: Rank) -> None:
    room.store.set_ranks(room.id, {room.memes[name]: one for name, one in ranks.items()})


def in_order(store: Store, memes: str, people: str = "XYZ", **plan: Any) -> Room:
    """A session whose memes come up in the order given."""
    room = Room(store, memes, people, **{"policy": {"uncertain": 1.0}, **plan})
    rank(room, **{name: Rank(uncertain=float(at)) for at, name in enumerate(memes)})
    return room


# Sessions, invites, people


def test_a_session_comes_back_as_it_was_planned(store: Store) -> None:
    meme = add(store, "a")
    plan = Plan(
        "  All   memes ",
        guidelines="# Be *kind*",
        votes_per_meme=5,
        policy={"uncertain": 0.75, "random": 0.25},
        suggestions=Suggestions.MIXED,
        lease_seconds=60.0,
        break_minutes=10.0,
        break_exposure=100.0,
        leaderboard=True,
        open_until="2099-01-01T00:00:00.000+00:00",
    )
    session = store.add_session(plan, [meme.id])
    assert session.plan == replace(plan, name="All memes")
    assert store.session(session.id) == session
    assert store.sessions() == [session]
    assert store.session_meme_ids(session.id) == [meme.id]
    with pytest.raises(NotFound, match="no session 9"):
        store.session(9)


def test_a_session_without_memes_or_with_a_taken_name_is_refused_whole(store: Store) -> None:
    meme = add(store, "a")
    with pytest.raises(BadInput, match="no memes"):
        store.add_session(Plan("One"), [])
    with pytest.raises(NotFound, match="no meme"):
        store.add_session(Plan("One"), [meme.id, "f" * 64])
    assert store.sessions() == []
    first = store.add_session(Plan("One"), [meme.id])
    second = store.add_session(Plan("Two"), [meme.id])
    with pytest.raises(BadInput, match="already"):
        store.add_session(Plan("ONE "), [meme.id])
    with pytest.raises(BadInput, match="already"):
        store.change_plan(second.id, Plan("one"))
    with pytest.raises(NotFound):
        store.change_plan(9, Plan("Nine"))
    assert store.change_plan(first.id, Plan("ONE")).plan.name == "ONE"
    assert store.sessions()[0] == second


def test_memes_are_added_once_and_those_that_are_there_stay_as_they_are(store: Store) -> None:
    room = Room(store, "ab")
    room.judge("X", "a")
    third = add(store, "c")
    assert store.extend_session(room.id, [*room.memes.values(), third.id, third.id]) == 1
    assert store.session_counts(room.id).votes == 1
    with pytest.raises(NotFound, match="nothing was added"):
        store.extend_session(room.id, [add(store, "d").id, "f" * 64])
    with pytest.raises(NotFound, match="no session"):
        store.extend_session(9, [third.id])
    assert store.session_counts(room.id).memes == 3


def test_an_invite_leads_in_until_it_is_revoked(store: Store) -> None:
    room = Room(store)
    first, second = store.add_invite(room.id), store.add_invite(room.id)
    assert store.invites(room.id) == [first, second]
    assert len(first.token) >= 16
    assert first.token != second.token
    store.revoke_invite(first.token)
    revoked = store.invite(first.token).revoked_at
    assert revoked is not None
    store.revoke_invite(first.token)
    assert store.invite(first.token).revoked_at == revoked
    assert store.invite(second.token) == second
    for use in (store.invite, store.revoke_invite):
        with pytest.raises(NotFound, match="nowhere"):
            use("guessed")
    with pytest.raises(NotFound, match="no session"):
        store.add_invite(9)


def test_a_name_is_taken_in_its_own_session_only(store: Store) -> None:
    room = Room(store, people="X")
    other = store.add_session(Plan("Other"), room.memes.values())
    with pytest.raises(BadInput, match="taken"):
        store.add_annotator("x", session_id=room.id)
    there = store.add_annotator("X", session_id=other.id)
    assert store.annotators(other.id) == [there]
    assert len(store.annotators()) == 2
    assert room.next("X") == room.next("X")
    assert {card.meme.id for card in store.next_cards(there.id, "tab")} <= set(room.memes.values())


def test_preferences_are_kept(store: Store) -> None:
    room = Room(store)
    store.set_preferences(room.people["X"], {"blur": False, "avoid": ["shaming"]})
    assert store.annotator(room.people["X"]).preferences == {"blur": False, "avoid": ["shaming"]}
    with pytest.raises(NotFound):
        store.set_preferences("nobody", {})


def test_who_was_taken_out_gets_nothing_and_sends_nothing_and_may_be_let_in_again(
    store: Store,
) -> None:
    room = Room(store, "a")
    assert room.next("X") == "a"
    store.set_revoked(room.people["X"], True)
    for use in (
        lambda: room.next("X"),
        lambda: room.judge("X", "a"),
        lambda: room.undo("X"),
        lambda: store.renew(room.people["X"], "tab"),
    ):
        with pytest.raises(NotAllowed, match="taken out"):
            use()
    assert room.next("Y") == "a"  # what was kept for X is free
    store.give_back(room.people["Y"], "tab")
    store.set_revoked(room.people["X"], False)
    assert room.next("X") == "a"
    with pytest.raises(NotFound):
        store.set_revoked("nobody", True)


def test_an_answer_that_was_saved_comes_back_also_to_who_was_taken_out_since(store: Store) -> None:
    room = Room(store)
    saved = room.judge("X", "a", key="k")
    store.set_revoked(room.people["X"], True)
    assert room.judge("X", "a", key="k") == saved


# Plans


def test_a_higher_number_of_votes_opens_memes_again_and_a_lower_one_takes_none_away(
    store: Store,
) -> None:
    room = Room(store, "a", votes_per_meme=2)
    room.judge("X", "a")
    room.judge("Y", "a")
    assert room.next("Z") == ""
    store.change_plan(room.id, replace(room.session.plan, votes_per_meme=3))
    assert room.next("Z") == "a"
    store.change_plan(room.id, replace(room.session.plan, votes_per_meme=1))
    counts = store.session_counts(room.id)
    assert (counts.memes, counts.done, counts.wanted, counts.votes) == (1, 1, 1, 1)
    assert room.judge("Z", "a").kind is VoteKind.SURPLUS
    assert len(store.standing_votes()) == 2


def test_shorter_leases_hold_at_once(store: Store) -> None:
    room = Room(store, "a", lease_seconds=600.0)
    room.next("X")
    store.change_plan(room.id, replace(room.session.plan, lease_seconds=10.0))
    assert room.next("Y") == ""
    room.time += 10
    assert room.next("Y") == "a"


def test_a_session_that_is_closed_gives_nothing_and_keeps_what_comes_as_surplus(
    store: Store,
) -> None:
    room = Room(store, "ab")
    first = room.judge("Y", "b")
    room.next("X")
    assert store.close_session(room.id).closed_at is not None
    assert room.next("X") == room.next("Y") == ""
    late = room.judge("X", "a")
    assert (late.kind, late.judgement.reason, late.labels) == (VoteKind.SURPLUS, "closed", YES)
    edit = room.judge("Y", "b", Judgement(NO), replaces=first.id)
    assert (edit.kind, edit.replaces) == (VoteKind.SURPLUS, None)
    with pytest.raises(AlreadyVoted, match="ended"):
        room.undo("Y")
    assert store.standing_votes() == [first]
    assert store.close_session(room.id, closed=False).closed_at is None
    assert room.next("X") == "a"  # what was said of it does not count
    again = room.judge("X", "a", Judgement(NO))
    assert (again.kind, again.replaces, again.labels) == (VoteKind.VOTE, None, NO)
    assert store.standing_votes() == [first, again]
    assert room.next("X") == room.next("Z") == ""
    with pytest.raises(NotFound):
        store.close_session(9)


def test_who_came_too_late_for_a_meme_is_asked_again_once_it_has_a_place(store: Store) -> None:
    room = in_order(store, "ab")
    taken = room.judge("Y", "a")
    assert room.judge("X", "a").judgement.reason == "full"
    assert room.next("X") == "b"  # a has all it wants
    store.change_plan(room.id, replace(room.session.plan, votes_per_meme=2))
    assert room.next("X") == "ba"
    assert room.next("Y") == "b"  # Y's vote stands
    assert room.judge("X", "a").kind is VoteKind.VOTE
    room.judge("Y", "a", SKIP, replaces=taken.id)
    assert "a" not in room.next("X") + room.next("Y")


def test_what_came_too_late_for_a_change_leaves_the_vote_as_it_stands(store: Store) -> None:
    room = in_order(store, "a", votes_per_meme=2)
    first = room.judge("X", "a")
    store.close_session(room.id)
    room.judge("X", "a", Judgement(NO), replaces=first.id)
    store.close_session(room.id, closed=False)
    assert room.next("X") == ""
    assert store.standing_votes() == [first]


def test_a_session_ends_by_itself(store: Store) -> None:
    room = Room(store, "a", open_until="2020-01-01T00:00:00.000+00:00")
    assert room.next("X") == ""
    assert room.judge("X", "a").kind is VoteKind.SURPLUS


# Leases


def test_a_tab_keeps_its_two_memes_and_the_queue_ends_when_all_is_judged(store: Store) -> None:
    room = in_order(store, "abcde", votes_per_meme=2)
    seen = ""
    while now := room.next("X"):
        assert room.next("X") == now  # a refresh shows the same
        assert len(now) == min(2, 5 - len(seen))
        room.judge("X", now[0])
        seen += now[0]
    assert seen == "abcde"
    assert store.vote_count_of(room.people["X"]) == 5


def test_a_meme_that_is_shown_to_somebody_has_a_place_less(store: Store) -> None:
    room = in_order(store, "ab", votes_per_meme=2)
    assert [room.next(who) for who in "XYZ"] == ["ab", "ab", "b"]
    room.judge("X", "a")
    assert room.next("Z") == "b"
    room.judge("Y", "a")
    assert [room.next(who) for who in "XY"] == ["b", ""]
    counts = store.session_counts(room.id)
    assert (counts.people, counts.at_work, counts.votes, counts.done) == (3, 2, 2, 1)


def test_what_is_only_loaded_ahead_goes_to_who_has_nothing_else(store: Store) -> None:
    room = in_order(store, "ab")
    assert room.next("X") == "ab"
    assert room.next("Y") == "b"
    room.judge("X", "a")
    assert room.next("X") == ""
    assert room.judge("X", "b").kind is VoteKind.SURPLUS  # it was there in X's tab already
    assert room.judge("Y", "b").kind is VoteKind.VOTE


def test_what_is_loaded_ahead_stays_while_there_is_something_else(store: Store) -> None:
    room = in_order(store, "abcd")
    assert room.next("X") == "ab"
    assert room.next("Y") == "cd"
    room.judge("X", "a")
    assert room.next("X") == "b"


def test_a_meme_loaded_ahead_can_be_judged_before_the_page_asks_again(store: Store) -> None:
    room = in_order(store, "abc")
    room.next("X")
    assert [room.judge("X", meme).kind for meme in "ab"] == [VoteKind.VOTE] * 2
    assert room.next("X") == "c"


def test_two_tabs_of_one_person_have_memes_of_their_own(store: Store) -> None:
    room = in_order(store, "abcd", votes_per_meme=3)
    assert (room.next("X", "left"), room.next("X", "right")) == ("ab", "cd")
    room.judge("X", "c")
    assert room.next("X", "right") == "d"
    room.judge("X", "a")
    room.judge("X", "b")
    assert room.next("X", "left") == ""  # d is shown in the other tab
    store.give_back(room.people["X"], "right")
    assert room.next("X", "left") == "d"


def test_a_tab_without_work_takes_what_the_same_person_loaded_ahead(store: Store) -> None:
    room = in_order(store, "ab", votes_per_meme=3)
    assert room.next("X", "left") == "ab"
    assert room.next("X", "right") == "b"
    assert room.next("X", "left") == "a"


def test_a_lease_ends_unless_it_is_renewed(store: Store) -> None:
    room = in_order(store, "ab")
    assert [card.expires_at for card in room.cards("X")] == [room.time + 60] * 2
    room.time += 59
    assert store.renew(room.people["X"], "tab") == 2
    room.time += 59
    assert room.next("Y") == "b"
    room.time += 1
    assert store.session_counts(room.id).at_work == 1
    assert store.renew(room.people["X"], "tab") == 0
    assert room.next("Z") == "a"


def test_a_closed_tab_gives_its_memes_back(store: Store) -> None:
    room = in_order(store, "ab")
    assert room.next("X") == "ab"
    store.give_back(room.people["X"], "tab")
    assert room.next("Y") == "ab"


def test_no_lease_is_eternal_when_the_clock_was_set_back(store: Store) -> None:
    room = in_order(store, "ab")
    room.next("X")
    room.time -= 1_000_000
    assert room.next("Y") == "b"
    assert store.renew(room.people["Y"], "tab") == 1
    room.time += 60
    assert room.next("Z") == "ab"


def test_what_is_sent_after_the_lease_counts_if_the_place_is_free(store: Store) -> None:
    room = in_order(store, "ab")
    room.next("X")
    room.time += 1000
    assert room.judge("X", "a").kind is VoteKind.VOTE


@pytest.mark.parametrize("said", [Judgement(YES), UNSURE])
def test_what_is_sent_after_somebody_else_took_the_place_is_kept_and_not_counted(
    store: Store, said: Judgement
) -> None:
    room = in_order(store, "a")
    room.next("X")
    room.time += 60
    assert room.next("Y") == "a"
    late = room.judge("X", "a", said, key="late")
    assert (late.kind, late.judgement.reason, late.labels) == (
        VoteKind.SURPLUS,
        "full",
        said.labels,
    )
    assert room.judge("X", "a", said, key="late") == late
    assert room.judge("Y", "a").kind is VoteKind.VOTE
    assert len(store.all_votes()) == 2
    assert [vote.annotator_id for vote in store.standing_votes()] == [room.people["Y"]]
    assert store.vote_count_of(room.people["X"]) == 0
    assert room.next("X") == ""


# Queues


def test_each_queue_gives_its_share_in_its_own_order(store: Store) -> None:
    room = Room(
        store, "abcdef", "X", policy={"random": 0.25, "uncertain": 0.25, "far": 0.25, "gold": 0.25}
    )
    rank(room, e=Rank(uncertain=0.1, far=9.0), f=Rank(uncertain=0.2), d=Rank(far=0.1))
    store.set_gold(room.id, room.memes["a"], YES)
    drawn = iter([0.3, 0.6, 0.99, 0.0])
    store.chance = lambda: next(drawn)
    cards = [(room.names[card.meme.id], card.queue) for card in room.cards("X")]
    assert cards == [("e", "uncertain"), ("d", "far")]
    for name, queue in (("e", "uncertain"), ("d", "far")):
        assert room.judge("X", name).queue == queue
    left = [room.names[id] for id in store.session_meme_ids(room.id) if room.names[id] in "bcf"]
    cards = [(room.names[card.meme.id], card.queue) for card in room.cards("X")]
    assert cards == [("a", "gold"), (left[0], "random")]


def test_a_queue_that_is_empty_leaves_its_turn_to_the_others(store: Store) -> None:
    room = Room(store, "abc", "X", policy={"relabel": 0.6, "uncertain": 0.3, "far": 0.1})
    rank(room, a=Rank(far=0.0), b=Rank(uncertain=0.0))
    queues = []
    while cards := room.cards("X"):
        queues.append((room.names[cards[0].meme.id], cards[0].queue))
        room.judge("X", room.names[cards[0].meme.id])
    assert queues == [("b", "uncertain"), ("a", "far"), ("c", "random")]


def test_chance_draws_the_queues_by_their_shares(store: Store) -> None:
    room = Room(store, policy={"random": 0.5, "uncertain": 0.3, "far": 0.2})
    for point, queue in ((0.0, "random"), (0.49, "random"), (0.5, "uncertain"), (0.81, "far")):
        store.chance = lambda point=point: point
        assert store._draw(room.session.plan.policy)[0] == queue
        assert sorted(store._draw(room.session.plan.policy)) == sorted(
            ["random", "uncertain", "far", "gold"]
        )


def test_a_gold_meme_goes_to_everybody_once_and_is_no_part_of_the_work(store: Store) -> None:
    room = Room(store, "ab", policy={"random": 1.0})
    store.set_gold(room.id, room.memes["a"], NO)
    assert store.gold(room.id) == {room.memes["a"]: NO}
    assert [room.next(who) for who in "XYZ"] == ["ba", "a", "a"]
    for who in "XYZ":
        assert room.judge(who, "a").kind is VoteKind.VOTE
        with pytest.raises(AlreadyVoted):
            room.judge(who, "a")
    assert [room.next(who) for who in "XYZ"] == ["b", "", ""]
    counts = store.session_counts(room.id)
    assert (counts.memes, counts.gold, counts.wanted, counts.votes) == (1, 1, 1, 0)
    store.set_gold(room.id, room.memes["a"], None)
    counts = store.session_counts(room.id)
    assert (counts.memes, counts.done, counts.gold, counts.votes) == (2, 1, 0, 1)
    with pytest.raises(NotFound, match="not in session"):
        store.set_gold(room.id, "f" * 64, YES)


def family_of(store: Store) -> Room:
    """`a` and `b` are near duplicates."""
    add(store, "a", "0" * 16)
    add(store, "b", "0" * 15 + "1")
    return in_order(store, "abc", votes_per_meme=2)


def test_one_of_a_family_is_with_people_at_a_time(store: Store) -> None:
    room = family_of(store)
    assert room.next("X") == "ac"
    assert room.next("Y") == "ac"  # a second place of the same meme
    assert room.next("Z") == "c"
    room.judge("X", "a")
    assert room.next("X") == "c"  # a is with Y still
    room.judge("Y", "a")
    assert room.next("Y") == "b"


def test_of_a_family_that_is_loaded_ahead_another_one_may_be_shown_and_then_not_both(
    store: Store,
) -> None:
    add(store, "b", "0" * 16)
    add(store, "c", "0" * 15 + "1")
    room = in_order(store, "abc", "XY")
    room.judge("Y", "b", SKIP)
    assert room.next("X") == "ab"
    assert room.next("Y") == "c"
    room.judge("X", "a")
    assert room.next("X") == ""
    room.judge("Y", "c")
    assert room.next("X") == "b"


def test_who_opted_out_of_a_kind_of_content_does_not_get_it(store: Store) -> None:
    room = Room(store, "abc", "XY", policy={"uncertain": 1.0}, votes_per_meme=2)
    rank(room, a=Rank(0.0, kinds=0b01), b=Rank(1.0, kinds=0b10), c=Rank(2.0, kinds=0b11))
    assert room.next("X", avoided=0b10) == "a"
    assert room.next("Y", avoided=0b100) == "ab"
    store.give_back(room.people["Y"], "tab")
    assert room.next("Y", avoided=0b11) == ""


def test_after_two_severe_memes_comes_a_mild_one_if_there_is_one(store: Store) -> None:
    room = Room(store, "abcdefg", "X", policy={"uncertain": 1.0})
    severities = dict(zip("abcdefg", [0.9, 0.8, 0.7, MILD, 0.6, 1.0, SEVERE], strict=True))
    rank(room, **{name: Rank(ord(name), severity=value) for name, value in severities.items()})
    seen = ""
    while cards := room.next("X"):
        room.judge("X", cards[0])
        seen += cards[0]
    assert seen == "abdcefg"  # no mild one is left after c and e


def test_a_severe_meme_that_was_taken_back_counts_once(store: Store) -> None:
    room = Room(store, "abcd", "X", policy={"uncertain": 1.0})
    severities = {"a": 0.4, "b": 0.9, "c": 0.4, "d": 0.1}
    rank(room, **{name: Rank(ord(name), severity=value) for name, value in severities.items()})
    room.judge("X", "b")
    room.undo("X")
    assert room.next("X")[0] == "b"
    store.give_back(room.people["X"], "tab")
    assert room.next("X") == "ab"


# Judgements


def test_a_judgement_comes_back_as_it_was_sent(store: Store) -> None:
    room = Room(store)
    said = Judgement(
        {"misogynous": True, "shaming": False},
        note="an *old* joke",
        text="what it says",
        harm=Harm.TOGETHER,
        seconds=12.5,
        revealed=True,
        revealed_seconds=3.25,
    )
    card = next(card for card in room.cards("X"))
    name = room.names[card.meme.id]
    vote = room.judge("X", name, said, key="k")
    assert vote.judgement == said
    assert (vote.key, vote.session_id, vote.queue) == ("k", room.id, "random")
    assert (vote.meme_id, vote.annotator_id) == (card.meme.id, room.people["X"])
    assert store.all_votes(room.id) == store.last_votes(room.people["X"]) == [vote]
    assert store.card_of(vote).meme == card.meme


@pytest.mark.parametrize(
    "said",
    [
        Judgement(),
        Judgement(YES, kind=VoteKind.UNSURE),
        Judgement(YES, kind=VoteKind.SKIP),
        Judgement(YES, seconds=float("nan")),
        Judgement(YES, seconds=-1.0),
        Judgement(YES, revealed_seconds=float("inf")),
        Judgement(YES, kind=VoteKind.DECISION),
        Judgement(kind=VoteKind.UNDO),
        Judgement(kind=VoteKind.SURPLUS),
    ],
)
def test_an_unusable_judgement_is_refused(store: Store, said: Judgement) -> None:
    room = Room(store)
    with pytest.raises(BadVote):
        room.judge("X", "a", said)
    with pytest.raises(BadVote):
        store.record(room.people["X"], room.memes["a"], Judgement(YES), key="k" * 101)
    assert store.all_votes() == []


def test_a_judgement_of_what_is_not_in_the_session_or_by_nobody_is_an_error(store: Store) -> None:
    room = Room(store, "a")
    outside = add(store, "outside")
    with pytest.raises(NotFound, match="not in this session"):
        store.record(room.people["X"], outside.id, Judgement(YES), key="k")
    with pytest.raises(NotFound, match="no annotator"):
        store.record("nobody", room.memes["a"], Judgement(YES), key="k")
    with pytest.raises(NotFound, match="no annotator"):
        store.next_cards("nobody", "tab")
    with pytest.raises(NotFound, match="in no session"):
        store.card_of(room.judge("X", "a").__class__(1, outside.id, "x", Judgement(), "k", ""))


def test_the_same_key_five_times_is_one_judgement(store: Store) -> None:
    room = Room(store)
    votes = [room.judge("X", "a", key="k") for _ in range(5)]
    assert votes == store.all_votes() * 5
    votes = at_once(lambda _: room.judge("Y", "b", key="k"), 5)
    assert votes == store.all_votes()[1:] * 5
    undone = at_once(lambda _: room.undo("Y", key="u"), 5)
    assert undone == votes
    assert [vote.kind for vote in store.all_votes()[1:]] == [VoteKind.VOTE, VoteKind.UNDO]


def test_a_key_serves_one_purpose(store: Store) -> None:
    room = Room(store)
    room.judge("X", "a", key="k")
    with pytest.raises(BadVote, match="another meme"):
        room.judge("X", "b", key="k")
    with pytest.raises(BadVote, match="fresh"):
        room.undo("X", key="k")
    assert room.judge("Y", "b", key="k").annotator_id == room.people["Y"]
    assert len(store.all_votes()) == 2


def test_nobody_judges_a_meme_twice(store: Store) -> None:
    room = Room(store, votes_per_meme=3)
    room.judge("X", "a")
    with pytest.raises(AlreadyVoted, match="already"):
        room.judge("X", "a", Judgement(NO))
    room.judge("X", "b", SKIP)
    with pytest.raises(AlreadyVoted):
        room.judge("X", "b")
    assert room.next("X") == "c"
    assert len(store.all_votes()) == 2


def test_one_who_is_unsure_holds_a_place_and_one_who_passes_it_on_does_not(store: Store) -> None:
    room = in_order(store, "ab")
    assert room.judge("X", "a", SKIP).judgement.reason == "language"
    assert room.judge("X", "b", UNSURE).kind is VoteKind.UNSURE
    assert (room.next("X"), room.next("Y")) == ("", "a")
    assert store.standing_votes() == []
    assert store.vote_count_of(room.people["X"]) == 1
    counts = store.session_counts(room.id)
    assert (counts.done, counts.votes) == (1, 1)


def test_exposure_is_the_time_that_pictures_were_uncovered_by_their_severity(store: Store) -> None:
    room = Room(store)
    rank(room, a=Rank(severity=0.5), b=Rank(severity=1.0))
    for name, seconds in (("a", 4.0), ("b", 3.0)):
        room.judge("X", name, Judgement(YES, revealed=True, revealed_seconds=seconds))
    assert store.exposure_of(room.people["X"], "2020") == 5.0
    assert store.exposure_of(room.people["X"], "2999") == store.exposure_of("nobody", "2020") == 0


def test_ranks_are_set_in_small_transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "AT_ONCE", 2)
    room = in_order(store, "abcde", "X")
    statements: list[str] = []
    store._db.conn.set_trace_callback(statements.append)
    rank(room, **{name: Rank(uncertain=-ord(name)) for name in "abcde"})
    store._db.conn.set_trace_callback(None)
    assert statements.count("BEGIN IMMEDIATE") == 3
    assert room.next("X") == "ed"


# Changing one's mind


def test_undo_takes_the_last_judgement_back_and_brings_its_meme(store: Store) -> None:
    room = in_order(store, "abcd")
    assert room.undo("X") is None
    assert room.next("X") == "ab"
    first = room.judge("X", "a")
    assert room.next("X") == "bc"
    assert room.undo("X") == first
    assert room.next("X") == "ab"
    assert store.standing_votes() == []
    assert store.vote_count_of(room.people["X"]) == 0
    again = room.judge("X", "a", Judgement(NO))
    assert store.standing_votes() == [again]
    assert again.replaces is not None
    assert store.vote(again.replaces).kind is VoteKind.UNDO
    assert [vote.labels for vote in store.all_votes()] == [YES, {}, NO]


def test_what_was_passed_on_and_is_full_now_is_not_kept_when_that_is_taken_back(
    store: Store,
) -> None:
    room = in_order(store, "ab")
    skipped = room.judge("X", "a", SKIP)
    assert room.next("Y") == "ab"
    assert room.undo("X") == skipped
    assert room.next("X") == "b"
    assert room.judge("Y", "a").kind is VoteKind.VOTE
    assert room.judge("X", "b").kind is VoteKind.VOTE


def test_memes_that_were_put_off_by_an_undo_are_looked_at_again_before_they_are_shown(
    store: Store,
) -> None:
    room = in_order(store, "abc", "XYZ")
    assert room.next("X") == "ab"
    room.judge("X", "a")
    assert room.next("X") == "bc"
    room.undo("X")  # a is shown now, b and c are only kept
    assert (room.next("Y"), room.next("Z")) == ("b", "c")
    room.judge("X", "a")
    assert room.next("X") == ""
    assert [room.judge(who, meme).kind for who, meme in ("Yb", "Zc")] == [VoteKind.VOTE] * 2


def test_an_edit_replaces_and_keeps_the_place(store: Store) -> None:
    room = Room(store)
    first = room.judge("X", "a")
    edit = room.judge("X", "a", Judgement(NO), replaces=first.id)
    assert (edit.kind, edit.replaces, edit.labels) == (VoteKind.VOTE, first.id, NO)
    assert store.standing_votes() == [edit]
    assert store.last_votes(room.people["X"]) == [edit]
    assert store.session_counts(room.id).votes == 1
    assert store.memes(labelled=True)[0].id == room.memes["a"]
    with pytest.raises(BadVote, match="changed meanwhile"):
        room.judge("X", "a", replaces=first.id)
    with pytest.raises(BadVote, match="another meme"):
        room.judge("X", "b", replaces=edit.id)
    with pytest.raises(BadVote, match="not among"):
        room.judge("Y", "a", replaces=edit.id)


def test_an_edit_that_passes_the_meme_on_frees_the_place_and_may_not_get_it_back(
    store: Store,
) -> None:
    room = in_order(store, "a")
    first = room.judge("X", "a")
    skipped = room.judge("X", "a", SKIP, replaces=first.id)
    assert store.memes(labelled=True) == []
    assert room.next("Y") == "a"
    late = room.judge("X", "a", replaces=skipped.id)
    assert late.kind is VoteKind.SURPLUS
    assert room.judge("Y", "a").kind is VoteKind.VOTE


def test_the_last_twenty_can_be_changed_and_no_other(store: Store) -> None:
    names = "abcdefghijklmnopqrstuv"
    room = in_order(store, names, "X")
    votes = [room.judge("X", name) for name in names]
    assert store.last_votes(room.people["X"]) == votes[:1:-1]
    assert store.last_votes(room.people["X"], limit=2) == [votes[-1], votes[-2]]
    with pytest.raises(BadVote, match="last 20"):
        room.judge("X", "b", replaces=votes[1].id)
    assert room.judge("X", "c", replaces=votes[2].id).replaces == votes[2].id


def test_twenty_judgements_in_a_row_can_be_taken_back_and_no_more(store: Store) -> None:
    names = "abcdefghijklmnopqrstuv"
    room = in_order(store, names, "X")
    votes = [room.judge("X", name) for name in names]
    assert [room.undo("X") for _ in range(21)] == [*votes[:1:-1], None]
    assert store.standing_votes() == votes[:2]


# What was seen of the model, and decisions


def test_without_a_model_or_where_the_session_tells_nothing_nothing_was_seen(store: Store) -> None:
    room = Room(store, "ab", suggestions=Suggestions.NONE)
    rank(room, a=Rank(suggestion=SAYS))
    first = room.judge("X", "a")
    edit = room.judge("X", "a", Judgement(NO), replaces=first.id)
    assert [(vote.seen, vote.suggestion) for vote in (first, edit)] == [(Seen.NONE, None)] * 2
    assert store.standing_votes(blind=True) == [edit]


def test_what_was_changed_after_the_model_had_spoken_is_not_blind(store: Store) -> None:
    room = Room(store, "abc", suggestions=Suggestions.AFTER)
    rank(room, **dict.fromkeys("abc", Rank(suggestion=SAYS)))
    first, kept = room.judge("X", "a"), room.judge("X", "b")
    assert (first.seen, first.suggestion) == (Seen.NONE, None)
    edit = room.judge("X", "a", Judgement(NO), replaces=first.id)
    assert (edit.seen, edit.suggestion) == (Seen.AFTER, SAYS)
    assert store.standing_votes() == [kept, edit]
    assert store.standing_votes(blind=True) == [first, kept]
    assert store.standing_votes([room.memes["a"]], blind=True) == [first]
    room.judge("X", "b", SKIP, replaces=kept.id)
    assert store.standing_votes(blind=True) == [first]
    room.undo("X")
    room.undo("X")
    assert store.standing_votes(blind=True) == store.standing_votes() == []


def test_somebody_who_turns_unsure_before_the_model_speaks_said_nothing_blindly(
    store: Store,
) -> None:
    room = Room(store)
    first = room.judge("X", "a")
    room.judge("X", "a", UNSURE, replaces=first.id)
    assert store.standing_votes() == store.standing_votes(blind=True) == []


def test_a_mixed_session_shows_the_answer_beforehand_for_about_half(store: Store) -> None:
    names = "abcdefghijklmnopqrst"
    room = Room(store, names, "XY", suggestions=Suggestions.MIXED, votes_per_meme=2)
    rank(room, **dict.fromkeys(names, Rank(suggestion=SAYS)))
    seen = {}
    for who in "XY":
        while cards := room.cards(who):
            card = cards[0]
            vote = room.judge(who, room.names[card.meme.id])
            assert card.assisted is is_assisted(room.id, room.people[who], card.meme.id)
            assert card.suggestion == SAYS
            assert vote.seen is (Seen.BEFORE if card.assisted else Seen.NONE)
            assert vote.suggestion == (SAYS if card.assisted else None)
            seen[vote.id] = vote.seen
    assert 8 <= sum(one is Seen.BEFORE for one in seen.values()) <= 32
    blind = {vote.id for vote in store.standing_votes(blind=True)}
    assert blind == {id for id, one in seen.items() if one is Seen.NONE}


def test_what_was_seen_is_what_was_there_when_the_meme_was_shown(store: Store) -> None:
    names = "abcdefgh"
    room = Room(store, names, "X", suggestions=Suggestions.MIXED)
    rank(room, **dict.fromkeys(names, Rank(suggestion=SAYS)))
    while not (card := room.cards("X")[0]).assisted:
        room.judge("X", room.names[card.meme.id])
    rank(room, **dict.fromkeys(names, Rank()))  # another model, which says nothing
    assert room.cards("X")[0].suggestion == SAYS
    store.change_plan(room.id, replace(room.session.plan, suggestions=Suggestions.NONE))
    vote = room.judge("X", room.names[card.meme.id])
    assert (vote.seen, vote.suggestion) == (Seen.BEFORE, SAYS)


def test_a_decision_holds_no_place_and_a_later_one_replaces_it(store: Store) -> None:
    room = Room(store, "ab")
    vote = room.judge("X", "a")
    first = store.decide(room.id, room.memes["a"], DECISION, key="1")
    assert store.decide(room.id, room.memes["a"], DECISION, key="1") == first
    assert store.annotator(first.annotator_id).kind == "decision"
    second = store.decide(
        room.id, room.memes["a"], replace(DECISION, labels=NO, note="after a talk"), key="2"
    )
    assert second.replaces == first.id
    assert store.standing_votes() == store.standing_votes(blind=True) == [vote, second]
    counts = store.session_counts(room.id)
    assert (counts.votes, counts.people) == (1, 3)
    assert store._db.execute("SELECT sum(vote_count) FROM memes").fetchone() == (2,)
    with pytest.raises(NotFound, match="not in this session"):
        store.decide(room.id, picture("elsewhere").id, DECISION, key="3")
    with pytest.raises(NotFound, match="no session"):
        store.decide(9, room.memes["a"], DECISION, key="3")
    with pytest.raises(BadVote):
        store.decide(room.id, room.memes["a"], Judgement(YES), key="3")
