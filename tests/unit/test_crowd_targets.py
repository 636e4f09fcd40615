"""What a training learns from, out of a handful of votes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from memeapp.crowd.targets import soft_targets, vote_frame, worth
from memeapp.judging import Judgement, Vote, VoteKind

LABELS = ("misogynous", "shaming")
NUMBERS = itertools.count(1)


def vote(meme: str, who: str, *, kind: VoteKind = VoteKind.VOTE, **labels: bool) -> Vote:
    number = next(NUMBERS)
    return Vote(number, meme, who, Judgement(labels, kind), f"key {number}", "2026-01-01")


def decision(meme: str, **labels: bool) -> Vote:
    return vote(meme, "judge", kind=VoteKind.DECISION, **labels)


def test_the_majority_is_the_share_of_yes_and_nan_where_nobody_judged() -> None:
    votes = [
        vote("a", "Ann", misogynous=True, shaming=True),
        vote("a", "Bob", misogynous=True),
        vote("a", "Eve", misogynous=False, violence=True),
        vote("b", "Ann", misogynous=False),
    ]
    targets = soft_targets(votes, LABELS)
    assert targets["a"] == pytest.approx([2 / 3, 1])
    assert targets["b"][0] == 0
    assert np.isnan(targets["b"][1])
    assert targets["a"].dtype == np.float32
    assert list(targets) == ["a", "b"]


@pytest.mark.parametrize("method", ["majority", "dawid-skene", "mace"])
def test_a_decision_counts_alone_whatever_the_method(method: str) -> None:
    votes = [vote(meme, who, misogynous=who != "Eve") for meme in "abc" for who in ("Ann", "Eve")]
    targets = soft_targets([*votes, decision("a", misogynous=False)], LABELS, method)
    assert targets["a"][0] == 0
    assert np.isnan(targets["a"][1])
    assert 0 < targets["b"][0] <= 1


def test_two_decisions_that_differ_are_a_tie() -> None:
    votes = [vote("a", "Ann", misogynous=True), decision("a", misogynous=False)]
    assert soft_targets([*votes, decision("a", misogynous=True)], LABELS)["a"][0] == 0.5


def test_a_decided_meme_still_tells_who_is_careless() -> None:
    votes = []
    for number in range(12):
        truth = number % 2 == 0
        for who in ("Ann", "Bob", "Cid"):
            votes.append(vote(f"m{number:02}", who, misogynous=truth))
        votes.append(vote(f"m{number:02}", "Eve", misogynous=number % 3 == 0))
    votes += [vote("z", "Ann", misogynous=True), vote("z", "Eve", misogynous=False)]
    assert soft_targets(votes, LABELS)["z"][0] == 0.5
    decided = [decision(f"m{number:02}", misogynous=number % 2 == 0) for number in range(12)]
    assert soft_targets([*votes, *decided], LABELS, "dawid-skene")["z"][0] > 0.8


def test_without_votes_there_are_no_targets() -> None:
    assert soft_targets([], LABELS) == {}
    assert soft_targets([], LABELS, "mace") == {}
    assert soft_targets([vote("a", "Ann", violence=True)], LABELS) == {}
    assert vote_frame([]).empty


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="Unknown method 'guess'"):
        soft_targets([], LABELS, "guess")


def test_votes_that_all_agree_are_worth_one_a_meme_and_a_decision_one() -> None:
    votes = [
        vote(meme, who, misogynous=meme < "c") for meme in "abcd" for who in ("Ann", "Bob", "Eve")
    ]
    assert worth(votes, "misogynous") == pytest.approx(4)
    assert worth([*votes, decision("a", misogynous=True)], "misogynous") == pytest.approx(4)
    assert worth([*votes, decision("z", misogynous=True)], "misogynous") == pytest.approx(5)
    assert worth([*votes, decision("z", shaming=True)], "misogynous") == pytest.approx(4)
    assert worth([], "misogynous") == 0
