"""Whatever people do in whatever order, the store obeys the rules: against a model in Python."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from storing import YES, Room, add

from memeapp.errors import AlreadyVoted, NotAllowed
from memeapp.judging import Judgement, Vote, VoteKind
from memeapp.store import Store

MEMES, GOLD, FAMILY = "abcde", "a", "bc"
LEASE = 60.0
JUDGED = (VoteKind.VOTE, VoteKind.UNSURE)
SAID = {
    VoteKind.VOTE: Judgement(YES),
    VoteKind.UNSURE: Judgement(kind=VoteKind.UNSURE),
    VoteKind.SKIP: Judgement(kind=VoteKind.SKIP, reason="language"),
}

people = st.sampled_from("XYZ")
memes = st.sampled_from(MEMES)
tabs = st.sampled_from(["1", "2"])
kinds = st.sampled_from([VoteKind.VOTE, VoteKind.VOTE, VoteKind.UNSURE, VoteKind.SKIP])
chances = st.floats(0, 1, exclude_max=True)


class People(RuleBasedStateMachine):
    """The model: what somebody's last word on a meme is, and which meme each tab shows."""

    @initialize(wanted=st.integers(1, 2))
    def begin(self, wanted: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name))
        self.store._db.execute("PRAGMA synchronous=OFF")
        for at, name in enumerate(FAMILY):
            add(self.store, name, f"{at:016x}")
        policy = {"random": 0.7, "gold": 0.3}
        self.room = Room(self.store, MEMES, votes_per_meme=wanted, policy=policy)
        self.store.set_gold(self.room.id, self.room.memes[GOLD], YES)
        self.wanted = wanted
        self.open = True
        self.revoked: set[str] = set()
        self.ends: dict[tuple[str, str], Vote] = {}  # person, meme -> last word, undo as well
        self.shown: dict[tuple[str, str], tuple[str, float]] = {}  # person, tab -> meme, expiry
        self.undone: set[tuple[str, str]] = set()  # tabs that show what was taken back
        self.saved: dict[tuple[str, str], Vote] = {}  # person, key -> acknowledged

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    # The rules in short.

    def tidy(self) -> None:
        now = self.room.time
        self.shown = {
            where: (meme, min(expiry, now + LEASE))
            for where, (meme, expiry) in self.shown.items()
            if expiry > now
        }
        self.undone &= self.shown.keys()

    def places(self, meme: str) -> int:
        return sum(end.kind in JUDGED for (_, judged), end in self.ends.items() if judged == meme)

    def free(self, who: str, meme: str) -> bool:
        others = sum(shown == meme for (by, _), (shown, _) in self.shown.items() if by != who)
        return meme == GOLD or self.places(meme) + others < self.wanted

    def has_judged(self, who: str, meme: str) -> bool:
        end = self.ends.get((who, meme))
        return end is not None and end.kind is not VoteKind.UNDO  # surplus is no such word

    def offered(self, who: str) -> set[str]:
        """What may be shown to somebody who has no work."""
        with_people = {meme for meme, _ in self.shown.values()}
        mine = {meme for (by, _), (meme, _) in self.shown.items() if by == who}
        return {
            meme
            for meme in MEMES
            if self.free(who, meme)
            and not self.has_judged(who, meme)
            and meme not in mine
            and not (meme in FAMILY and with_people & (set(FAMILY) - {meme}))
        }

    def drop(self, who: str, meme: str) -> None:
        for tab in "12":
            if self.shown.get((who, tab), ("", 0.0))[0] == meme:
                del self.shown[who, tab]
                self.undone.discard((who, tab))

    # What people do.

    @rule(who=people, tab=tabs, chance=chances)
    def ask(self, who: str, tab: str, chance: float) -> None:
        self.store.chance = lambda: chance
        if who in self.revoked:
            return self.refused(NotAllowed, lambda: self.room.cards(who, tab))
        cards = self.room.next(who, tab)
        if not self.open:
            assert cards == ""
            return None
        self.tidy()
        there = self.shown.get((who, tab))
        if there is None:
            offered = self.offered(who)
            assert bool(cards) == bool(offered), f"{who} was offered {cards!r} of {offered}"
            assert set(cards[:1]) <= offered
        else:
            assert cards[0] == there[0]
        assert len(set(cards)) == len(cards) <= 2
        back = cards[:1] if (who, tab) in self.undone else []  # what they took back themselves
        assert not any(self.has_judged(who, meme) for meme in cards if meme not in back)
        elsewhere = self.shown.get((who, "21"[int(tab) - 1]), ("", 0.0))[0]
        assert elsewhere not in cards or not elsewhere
        if cards:
            self.shown[who, tab] = (cards[0], self.room.time + LEASE)
        return None

    @rule(who=people, meme=memes, kind=kinds)
    def judge(self, who: str, meme: str, kind: VoteKind) -> None:
        self.say(who, meme, kind, None)

    @rule(who=people, tab=tabs, kind=kinds)
    def judge_what_is_shown(self, who: str, tab: str, kind: VoteKind) -> None:
        if (who, tab) in self.shown:
            self.say(who, self.shown[who, tab][0], kind, None)

    @precondition(lambda self: any(end.kind is not VoteKind.UNDO for end in self.ends.values()))
    @rule(data=st.data(), kind=kinds)
    def edit(self, data: st.DataObject, kind: VoteKind) -> None:
        standing = [where for where, end in self.ends.items() if end.kind is not VoteKind.UNDO]
        who, meme = data.draw(st.sampled_from(sorted(standing)))
        self.say(who, meme, kind, self.ends[who, meme])

    def say(self, who: str, meme: str, kind: VoteKind, edited: Vote | None) -> None:
        def send(key: str = "") -> Vote:
            replaces = edited.id if edited else None
            return self.room.judge(who, meme, SAID[kind], key=key, replaces=replaces)

        before = self.ends.get((who, meme))
        if who in self.revoked:
            return self.refused(NotAllowed, send)
        if edited is None and before is not None and before.kind is not VoteKind.UNDO:
            return self.refused(AlreadyVoted, send)
        vote = send()
        self.tidy()
        had_place = before is not None and before.kind in JUDGED
        if not self.open or (kind in JUDGED and not had_place and not self.free(who, meme)):
            assert vote.kind is VoteKind.SURPLUS
            assert vote.judgement.reason == ("full" if self.open else "closed")
            assert vote.replaces is None
        else:
            assert vote.kind is kind
            assert vote.replaces == (before.id if before else None)
            self.ends[who, meme] = vote
        self.drop(who, meme)
        self.saved[who, vote.key] = vote
        assert send(vote.key) == vote
        return None

    @rule(who=people, tab=tabs)
    def undo(self, who: str, tab: str) -> None:
        if who in self.revoked:
            return self.refused(NotAllowed, lambda: self.room.undo(who, tab))
        if not self.open:
            return self.refused(AlreadyVoted, lambda: self.room.undo(who, tab))
        mine = [end for (by, _), end in self.ends.items() if by == who]
        last = max(
            (end for end in mine if end.kind is not VoteKind.UNDO),
            key=lambda end: end.id,
            default=None,
        )
        assert self.room.undo(who, tab) == last
        if last is not None:
            self.tidy()
            meme = self.room.names[last.meme_id]
            self.ends[who, meme] = self.store.all_votes()[-1]
            assert self.ends[who, meme].kind is VoteKind.UNDO
            if self.free(who, meme):
                self.shown[who, tab] = (meme, self.room.time + LEASE)
                self.undone.add((who, tab))
        return None

    @rule(who=people, tab=tabs)
    def renew(self, who: str, tab: str) -> None:
        if who not in self.revoked:
            kept = self.store.renew(self.room.people[who], tab)
            self.tidy()
            assert kept or (who, tab) not in self.shown
            if (who, tab) in self.shown:
                self.shown[who, tab] = (self.shown[who, tab][0], self.room.time + LEASE)

    @rule(who=people, tab=tabs)
    def close_tab(self, who: str, tab: str) -> None:
        self.store.give_back(self.room.people[who], tab)
        self.shown.pop((who, tab), None)
        self.undone.discard((who, tab))

    @rule(seconds=st.sampled_from([1.0, 30.0, LEASE, -30.0, -100_000.0]))
    def time_goes_by_or_is_set_back(self, seconds: float) -> None:
        self.room.time += seconds

    @rule(who=people)
    def revoke_or_let_in(self, who: str) -> None:
        self.store.set_revoked(self.room.people[who], who not in self.revoked)
        self.revoked ^= {who}
        for tab in "12":
            if self.shown.pop((who, tab), None):
                self.undone.discard((who, tab))

    @precondition(lambda self: self.wanted < 3)
    @rule()
    def more_votes_are_wanted(self) -> None:
        self.wanted += 1
        plan = replace(self.store.session(self.room.id).plan, votes_per_meme=self.wanted)
        self.store.change_plan(self.room.id, plan)

    @rule()
    def close_or_open(self) -> None:
        self.open = not self.open
        self.store.close_session(self.room.id, closed=not self.open)

    def refused(self, error: type[Exception], use: Any) -> None:
        before = self.rows("SELECT count(*) FROM votes")
        try:
            use()
        except error:
            assert self.rows("SELECT count(*) FROM votes") == before
        else:
            raise AssertionError(f"it was to raise {error.__name__}")

    # What holds at any time.

    def rows(self, sql: str, *values: object) -> list[Any]:
        return self.store._db.execute(sql, list(values)).fetchall()

    @invariant()
    def no_meme_is_with_more_people_than_it_wants(self) -> None:
        shown = self.rows(
            "SELECT annotator_id, tab, meme_id FROM leases WHERE shown AND expires_at > ?",
            self.room.time,
        )
        assert sorted(shown) == sorted(
            (self.room.people[who], tab, self.room.memes[meme])
            for (who, tab), (meme, expiry) in self.shown.items()
            if expiry > self.room.time
        )
        for meme in set(MEMES) - {GOLD}:
            leases = [one for one in shown if one[2] == self.room.memes[meme]]
            assert self.places(meme) + len(leases) <= self.wanted
        alike = {
            meme
            for where, (meme, expiry) in self.shown.items()
            if meme in FAMILY and where not in self.undone and expiry > self.room.time
        }
        assert len(alike) <= 1

    @invariant()
    def the_counters_are_what_the_rows_say(self) -> None:
        ends: dict[tuple[str, str], str] = {}
        rows = "SELECT id, annotator_id, meme_id, kind, replaces FROM votes ORDER BY id"
        places = dict.fromkeys(self.room.memes.values(), 0)
        labelled = dict.fromkeys(self.room.memes.values(), 0)
        replaced = {row[4] for row in self.rows(rows)}
        for id, annotator, meme, kind, _ in self.rows(rows):
            if id not in replaced and kind != "surplus":
                assert (annotator, meme) not in ends, "two standing judgements"
                ends[annotator, meme] = kind
                places[meme] += kind in ("vote", "unsure")
                labelled[meme] += kind == "vote"
        assert ends == {
            (self.room.people[who], self.room.memes[meme]): end.kind.value
            for (who, meme), end in self.ends.items()
        }
        for meme, votes, wanted, done in self.rows(
            "SELECT meme_id, votes, wanted, done FROM session_memes"
        ):
            assert (votes, bool(done)) == (places[meme], votes >= wanted)
        assert dict(self.rows("SELECT id, vote_count FROM memes")) == labelled

    @invariant()
    def nothing_that_was_acknowledged_is_lost(self) -> None:
        there = {
            (annotator, key): (id, meme, kind, json.loads(labels))
            for annotator, key, id, meme, kind, labels in self.rows(
                "SELECT annotator_id, key, id, meme_id, kind, labels FROM votes"
            )
        }
        for (who, key), vote in self.saved.items():
            expected = (vote.id, vote.meme_id, vote.kind.value, dict(vote.labels))
            assert there[self.room.people[who], key] == expected


TestPeople = People.TestCase
TestPeople.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
