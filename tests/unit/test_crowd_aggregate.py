"""Soft targets: shares of the votes, or crowd-kit's models where these can tell people apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memeapp.crowd.aggregate import METHODS, aggregate, effective_labels, vote_shares

COLUMNS = ["meme", "label", "value"]
FULL_COLUMNS = ["meme", "annotator", "label", "value"]

crowdkit = pytest.mark.filterwarnings(
    "ignore:The (copy|inplace) keyword:DeprecationWarning:crowdkit"
)
"""crowd-kit 1.4 calls pandas 3 as pandas 2 was called."""


def judge(row: tuple[str, ...]) -> pd.DataFrame:
    """Votes on one label: a string for each meme, a digit for each annotator in turn."""
    return pd.DataFrame(
        [
            (f"m{number}", f"a{place}", "shaming", int(digit))
            for number, digits in enumerate(row)
            for place, digit in enumerate(digits)
            if digit != "."
        ],
        columns=FULL_COLUMNS,
    )


def crowd_with_guessers(memes: int = 120) -> tuple[pd.DataFrame, np.ndarray]:
    """Two annotators know, one guesses yes, one guesses no; and the truth, sorted by meme."""
    rng = np.random.default_rng(3)
    truth = rng.random((memes, 1)) < 0.5
    knows = np.array([0.97, 0.95, 0.0, 0.0])
    guess = rng.random((memes, 4)) < np.array([0.5, 0.5, 0.8, 0.1])
    value = np.where(rng.random((memes, 4)) < knows, truth, guess)
    rows = [
        (f"m{meme:03d}", "adcb"[place], "shaming", int(value[meme, place]))
        for meme in range(memes)
        for place in rng.permutation(4)[: rng.integers(3, 5)]
    ]
    return pd.DataFrame(rows, columns=FULL_COLUMNS), truth[:, 0]


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


def test_majority_is_the_share_of_yes_in_the_order_of_the_labels() -> None:
    votes = pd.concat([judge(("110", "0..")), judge(("1..",)).assign(label="misogynous")])
    result = aggregate(votes, "majority", ["misogynous", "shaming", "violence"])
    assert list(result.columns) == ["misogynous", "shaming", "violence"]
    assert list(result.index) == ["m0", "m1"]
    assert result.loc["m0", "shaming"] == 2 / 3
    assert result.loc["m1", "shaming"] == 0
    assert result.loc["m0", "misogynous"] == 1
    assert np.isnan(result.loc["m1", "misogynous"])
    assert result["violence"].isna().all()


def test_an_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'mean'; the methods are majority, dawid-skene, mace"):
        aggregate(judge(("10",)), "mean", ["shaming"])


@pytest.mark.parametrize("method", METHODS)
def test_no_votes_give_no_targets(method: str) -> None:
    result = aggregate(judge(()), method, ["misogynous", "shaming"])
    assert result.shape == (0, 2)


@crowdkit
@pytest.mark.parametrize("method", ["dawid-skene", "mace"])
def test_a_model_listens_to_those_who_know_more_than_the_majority_does(method: str) -> None:
    votes, truth = crowd_with_guessers()
    by_model = aggregate(votes, method, ["shaming"])["shaming"]
    by_majority = aggregate(votes, "majority", ["shaming"])["shaming"]
    assert by_model.between(0, 1).all()
    right = ((by_model > 0.5) == truth).mean()
    assert right > 0.97
    assert right > ((by_majority > 0.5) == truth).mean() + 0.03


@crowdkit
@pytest.mark.parametrize("method", ["dawid-skene", "mace"])
def test_targets_come_again_in_whatever_order_the_rows_are(method: str) -> None:
    votes, _ = crowd_with_guessers(60)
    first = aggregate(votes, method, ["shaming"])
    shuffled = votes.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(aggregate(shuffled, method, ["shaming"]), first)


@crowdkit
@pytest.mark.parametrize("method", ["dawid-skene", "mace"])
def test_yes_and_no_and_the_names_of_people_are_treated_alike(method: str) -> None:
    votes, _ = crowd_with_guessers(60)
    first = aggregate(votes, method, ["shaming"])["shaming"]
    flipped = aggregate(votes.assign(value=1 - votes["value"]), method, ["shaming"])["shaming"]
    names = {"a": "z", "b": "y", "c": "x", "d": "w"}
    renamed = aggregate(votes.assign(annotator=votes["annotator"].map(names)), method, ["shaming"])[
        "shaming"
    ]
    assert np.abs(first - (1 - flipped)).max() < 0.05
    assert np.abs(first - renamed).max() < 0.05


@crowdkit
@pytest.mark.parametrize("method", ["dawid-skene", "mace"])
def test_a_model_leaves_nan_where_nobody_judged(method: str) -> None:
    other = judge(("1",)).assign(meme="z", label="misogynous")
    votes = pd.concat([judge(("110", "001", "11.", "00.")), other])
    result = aggregate(votes, method, ["shaming"])
    assert np.isnan(result.loc["z", "shaming"])
    assert result["shaming"].notna().sum() == 4


@pytest.mark.parametrize("method", ["dawid-skene", "mace"])
@pytest.mark.parametrize(
    "memes",
    [("1", "0", "1"), ("11", "11"), ("00", "0."), ("1.", ".0", "1.")],
    ids=["one annotator", "only yes", "only no", "no meme with two votes"],
)
def test_votes_that_tell_nothing_about_people_give_shares(
    method: str, memes: tuple[str, ...]
) -> None:
    votes = judge(memes)
    pd.testing.assert_frame_equal(
        aggregate(votes, method, ["shaming"]), aggregate(votes, "majority", ["shaming"])
    )


@crowdkit
def test_aggregation_leaves_the_votes_as_they_were() -> None:
    votes = judge(("110", "001", "11.", "00."))
    before = votes.copy()
    for method in METHODS:
        aggregate(votes, method, ["shaming"])
    pd.testing.assert_frame_equal(votes, before)


def test_votes_that_all_agree_are_worth_one_for_each_meme() -> None:
    assert effective_labels(judge(("111", "000", "11.", "0.."))) == {"shaming": 4}


def test_votes_that_agree_less_than_by_chance_are_worth_all_of_them() -> None:
    assert effective_labels(judge(("10", "01", "10"))) == {"shaming": 6}


def test_effective_votes_are_as_calculated_by_hand() -> None:
    # Yes of n: 2 of 2, 1 of 2, 0 of 2, 0 of 2. Sum of squares between memes: (4 + 1) / 2 - 9 / 8
    # = 11 / 8, mean 11 / 24. Within: 3 - 5 / 2 = 1 / 2, mean 1 / 8. The correlation is
    # (11 / 24 - 3 / 24) / (11 / 24 + 3 / 24) = 4 / 7, and 8 votes are worth 8 / (1 + 4 / 7).
    result = effective_labels(judge(("11", "10", "00", "00")))
    assert result["shaming"] == pytest.approx(8 / (11 / 7))


def test_effective_votes_count_memes_with_unequally_many_votes() -> None:
    # Yes of n: 3 of 3, 0 of 1, 1 of 2. Between: 3 + 1 / 2 - 16 / 6 = 5 / 6, mean 5 / 12. Within:
    # 4 - 7 / 2 = 1 / 2, mean 1 / 6. Votes for each meme: (6 - 14 / 6) / 2 = 11 / 6. Correlation:
    # (5 / 12 - 2 / 12) / (5 / 12 + 5 / 6 * 1 / 6) = (9 / 36) / (20 / 36) = 9 / 20.
    worth = 3 / (1 + 2 * 9 / 20) + 1 + 2 / (1 + 9 / 20)
    assert effective_labels(judge(("111", "0..", "10.")))["shaming"] == pytest.approx(worth)


@pytest.mark.parametrize(("memes", "worth"), [(("10",), 1), (("1", "0", "1"), 3), (("11",), 1)])
def test_where_no_correlation_can_be_estimated_each_meme_counts_once(
    memes: tuple[str, ...], worth: float
) -> None:
    assert effective_labels(judge(memes)) == {"shaming": worth}


def test_no_votes_are_worth_nothing() -> None:
    assert effective_labels(judge(())) == {}
