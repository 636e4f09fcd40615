from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from memeapp.encoders.lexical import TermSpace, hash_terms, pieces, words
from memeapp.text import normalise


def space(known: dict[str, float], scale: float = 1 / 127) -> TermSpace:
    """Terms with the given idf, each on an axis of its own."""
    hashes = hash_terms(known)
    order = np.argsort(hashes)
    return TermSpace(
        words,
        hashes[order],
        np.array(list(known.values()), np.float32)[order],
        (np.eye(len(known), dtype=np.int8) * 127)[order],
        np.full(len(known), scale, np.float32),
    )


def test_words_are_of_two_letters_and_come_with_their_pairs() -> None:
    assert words("A big, RED cat!") == ["big", "red", "cat", "big red", "red cat"]


def test_pieces_are_within_words_and_know_the_edges() -> None:
    assert pieces("At a") == [" at", "at ", " at ", " a "]


@given(st.text(st.sampled_from("abcdefg é\n1"), max_size=60))
def test_pieces_are_those_of_scikit_learn(text: str) -> None:
    theirs = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).build_analyzer()
    assert sorted(pieces(text)) == sorted(theirs(normalise(text)))


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hash_terms(["cat"]).tolist() == [3429664268601861939]
    assert hash_terms([]).shape == (0,)


def test_a_vector_is_tf_idf_times_the_components_scaled_to_length_one() -> None:
    vector = space({"red": 1, "cat": 2, "red cat": 3}).encode(["Red cat, red unknown"])[0]
    weights = np.array([(1 + np.log(2)) * 1, 2, 3])
    assert vector == pytest.approx(weights / np.linalg.norm(weights), abs=1e-6)


@pytest.mark.parametrize("text", ["", "   ", "unknown words"])
def test_a_text_without_a_known_term_is_the_zero_vector(text: str) -> None:
    assert not space({"red": 1, "cat": 2}).encode([text]).any()


def test_the_components_are_in_units_of_the_scale_of_their_column() -> None:
    known = space({"red": 1, "cat": 1})
    stretched = TermSpace(
        words, known.hashes, known.idf, known.components, np.array([3, 4], np.float32)
    )
    assert sorted(stretched.encode(["red cat"])[0]) == pytest.approx([0.6, 0.8])
