"""Costly figures are worked out once in a while, cheap ones each time."""

from __future__ import annotations

import threading

import pytest
from storing import at_once

from memeapp.service.recent import LONGEST, MOST, Recent


class Work:
    """Counts how often it was done, and says how long it took."""

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.time = 0.0
        self.worked = 0.0
        self.done: list[int] = []

    def __call__(self, number: int) -> int:
        self.done.append(number)
        self.worked += self.cost
        return len(self.done)

    def recent(self) -> Recent[int]:
        return Recent(self, clock=lambda: self.time, spent=lambda: self.worked)


def test_what_cost_half_a_second_lasts_ten() -> None:
    work = Work(0.5)
    recent = work.recent()
    assert recent(1) == 1
    work.time = 9.9
    assert recent(1) == 1
    work.time = 10.0
    assert recent(1) == 2


def test_what_is_cheap_is_always_of_now() -> None:
    work = Work(0.009)
    recent = work.recent()
    assert [recent(1), recent(1)] == [1, 2]


def test_nothing_lasts_longer_than_a_minute() -> None:
    work = Work(1000.0)
    recent = work.recent()
    recent(1)
    work.time = LONGEST
    assert recent(1) == 2


def test_another_mark_is_worked_out_anew_and_other_numbers_on_their_own() -> None:
    work = Work(5.0)
    recent = work.recent()
    assert recent(1, ("a", 1)) == 1
    assert recent(1, ("a", 1)) == 1
    assert recent(1, ("a", 2)) == 2
    assert recent(2, ("a", 2)) == 3
    assert work.done == [1, 1, 2]


def test_of_many_values_the_first_ones_go() -> None:
    work = Work(5.0)
    recent = work.recent()
    for number in range(MOST + 1):
        recent(number)
    recent(MOST)
    assert work.done == list(range(MOST + 1))
    recent(0)
    assert work.done[-1] == 0


def test_what_failed_is_tried_again() -> None:
    def fail(number: int) -> int:
        calls.append(number)
        raise ValueError("no")

    calls: list[int] = []
    recent = Recent(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            recent(7)
    assert calls == [7, 7]


def test_many_who_ask_at_once_wait_for_one() -> None:
    begun = threading.Event()
    calls = []

    def work(number: int) -> int:
        calls.append(number)
        begun.wait(0.2)
        return number

    worked = iter(range(1000))
    recent = Recent(work, spent=lambda: float(next(worked)))
    assert at_once(lambda _: recent(4), 8) == [4] * 8
    assert calls == [4]
