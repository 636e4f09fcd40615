from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memeapp.errors import BadText
from memeapp.text import check_length, normalise


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ""),
        ("Hello,  World!\n", "hello world"),
        ("don't", "don t"),
        ("one2three_four 5", "one three four"),
        ("Crème brûlée ﬁne", "creme brulee fine"),
        ("a\u3000b\u0085c", "a b c"),
        ("x² ½", "x"),
        ("МЕМ 梗", ""),
        ("see HTTPS://example.org/a?b=1 now", "see now"),
        ("www.example.org is down, awww.cute", "is down awww cute"),
        ("httpserver", "httpserver"),
    ],
)
def test_text_is_normalised_step_by_step(written: str, expected: str) -> None:
    assert normalise(written) == expected


@given(st.text())
def test_normalising_twice_changes_nothing_and_leaves_words_of_letters(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert re.fullmatch(r"([a-z]+( [a-z]+)*)?", once)


def test_a_text_over_the_limit_is_refused_with_both_numbers() -> None:
    with pytest.raises(BadText, match=r"5,000 characters, 2,000 are allowed"):
        check_length("x" * 5000, 2000)


def test_a_text_of_exactly_the_limit_is_taken() -> None:
    assert check_length("x" * 2000, 2000) == "x" * 2000


def test_control_characters_and_surrogates_go_and_line_ends_are_unified() -> None:
    assert check_length(" a\x00b\x1b[31m\r\nc\rd\te\ud800 ", 100) == "ab[31m\nc\nd\te"


@given(st.text(st.characters()))
def test_a_checked_text_can_be_stored_as_utf8_and_is_stable(text: str) -> None:
    clean = check_length(text, 10_000)
    clean.encode()
    assert check_length(clean, 10_000) == clean
