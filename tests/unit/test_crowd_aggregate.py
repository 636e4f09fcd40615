"""Soft targets are shares of the votes that were cast."""

from __future__ import annotations

import numpy as np
import pandas as pd

from memeapp.crowd.aggregate import vote_shares

COLUMNS = ["meme", "label", "value"]


def test_a_share_is_the_part_of_yes_among_those_who_judged() -> None:
    votes = pd.DataFrame(
        [
            ("b", "misogynous", True),
            ("b", "misogynous", True),
            ("b", "misogynous", False),
            ("b", "shaming", False),
            ("a", "misogynous", False),
        ],
        columns=COLUMNS,
    )
    shares = vote_shares(votes)
    assert list(shares.index) == ["a", "b"]
    assert shares.loc["b", "misogynous"] == 2 / 3
    assert shares.loc["b", "shaming"] == 0
    assert shares.loc["a", "misogynous"] == 0
    assert np.isnan(shares.loc["a", "shaming"])


def test_no_votes_give_no_rows() -> None:
    assert len(vote_shares(pd.DataFrame([], columns=COLUMNS))) == 0


def test_the_votes_are_left_as_they_were() -> None:
    votes = pd.DataFrame([("a", "shaming", True)], columns=COLUMNS)
    before = votes.copy()
    vote_shares(votes)
    pd.testing.assert_frame_equal(votes, before)
