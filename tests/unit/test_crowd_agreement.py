"""Agreement figures match the published examples, hand calculation and crowd-kit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crowdkit.metrics.data import alpha_krippendorff

from memeapp.crowd.agreement import Agreement, agreement, label_agreement, with_model
from memeapp.crowd.counts import vote_counts

COLUMNS = ["meme", "annotator", "label", "value"]


def votes_of(memes: list[str], label: str = "misogynous") -> pd.DataFrame:
    """A string for each meme, a digit for each annotator in turn; "." where one did not judge."""
    rows = [
        (f"m{number}", f"a{place}", label, int(digit))
        for number, digits in enumerate(memes)
        for place, digit in enumerate(digits)
        if digit != "."
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def figures(memes: list[str], **options: int) -> Agreement:
    return agreement(votes_of(memes), ["misogynous"], **options)["misogynous"]


def random_votes(memes: int, seed: int, prevalence: float = 0.4) -> pd.DataFrame:
    """Five annotators that are right in 8 of 10 cases, and each judge half of the memes."""
    rng = np.random.default_rng(seed)
    truth = rng.random((memes, 1)) < prevalence
    value = np.where(rng.random((memes, 5)) < 0.8, truth, ~truth).astype(int)
    judged = rng.random((memes, 5)) < 0.5
    return votes_of(["".join(row) for row in np.where(judged, value.astype(str), ".")])


def test_alpha_is_that_of_krippendorffs_binary_example() -> None:
    # Krippendorff (2011), "B. Binary data, two observers, no missing data": alpha = 0.095.
    meg, owen = "0100000010", "1110010000"
    result = figures([first + second for first, second in zip(meg, owen, strict=True)])
    # 4 of 10 units differ; 14 zeros and 6 ones: 1 - (20 - 1) * 4 / (14 * 6).
    assert result.alpha is not None
    assert result.alpha.value == pytest.approx(1 - 19 * 4 / 84)
    assert round(result.alpha.value, 3) == 0.095
    assert result.observed is not None
    assert result.observed.value == pytest.approx(0.6)
    assert (result.memes, result.pairs) == (10, 10)


@pytest.mark.parametrize("seed", range(3))
def test_alpha_is_crowdkits_on_random_votes_with_gaps(seed: int) -> None:
    votes = random_votes(60, seed)
    several = votes[votes.groupby("meme")["value"].transform("size") >= 2]
    expected = alpha_krippendorff(
        several.drop(columns="label").set_axis(["task", "worker", "label"], axis=1)
    )
    result = agreement(votes, ["misogynous"], resamples=10)["misogynous"]
    assert result.alpha is not None
    assert result.alpha.value == pytest.approx(expected)


def test_ac1_stays_high_where_alpha_collapses() -> None:
    # 125 subjects, two raters, 118 both yes, 5 and 2 apart, none both no: the paradox table of
    # Gwet (2008). Observed 118 / 125 = 0.944. Yes: (2 * 118 + 7) / 250 = 0.972, so chance is
    # 2 * 0.972 * 0.028 = 0.054432, and AC1 = (0.944 - 0.054432) / (1 - 0.054432) = 0.9408.
    result = figures(["11"] * 118 + ["10"] * 5 + ["01"] * 2)
    assert result.ac1 is not None and result.alpha is not None
    assert result.ac1.value == pytest.approx(0.9408, abs=5e-5)
    # 243 ones, 7 zeros: 1 - 249 * 7 / (243 * 7) = -0.0247.
    assert result.alpha.value == pytest.approx(-0.0247, abs=5e-5)


def test_ac1_of_balanced_labels_is_near_alpha() -> None:
    # 40 both yes, 45 both no, 15 apart: observed 0.85, yes 95 / 200 = 0.475, chance
    # 2 * 0.475 * 0.525 = 0.49875, AC1 = 0.35125 / 0.50125 = 0.70075.
    result = figures(["11"] * 40 + ["00"] * 45 + ["10"] * 9 + ["01"] * 6)
    assert result.ac1 is not None and result.alpha is not None
    assert result.ac1.value == pytest.approx(0.70075, abs=5e-6)
    assert abs(result.ac1.value - result.alpha.value) < 0.01


def test_all_three_are_as_calculated_by_hand_where_votes_are_missing() -> None:
    result = figures(["111", "110", "00.", "..1"])
    assert (result.memes, result.pairs) == (3, 7)
    assert result.observed is not None and result.alpha is not None and result.ac1 is not None
    # Agreeing pairs: 3 of 3, 1 of 3, 1 of 1.
    assert result.observed.value == pytest.approx(5 / 7)
    # On the first three 5 ones and 3 zeros; disagreement 2 * 2 * 1 / (3 - 1) = 2:
    # 1 - (8 - 1) * 2 / (2 * 5 * 3) = 8 / 15.
    assert result.alpha.value == pytest.approx(8 / 15)
    # Observed by meme (1 + 1/3 + 1) / 3 = 7/9; yes over all four memes (1 + 2/3 + 0 + 1) / 4 = 2/3;
    # chance 2 * 2/3 * 1/3 = 4/9; (7/9 - 4/9) / (5/9) = 3/5.
    assert result.ac1.value == pytest.approx(3 / 5)


def test_the_interval_is_that_of_resampling_memes_one_by_one() -> None:
    votes = random_votes(80, seed=5)
    result = agreement(votes, ["misogynous"], resamples=4000)["misogynous"]
    counts = vote_counts(votes).to_numpy()
    rng = np.random.default_rng(99)
    shares = []
    for _ in range(4000):
        yes, no = counts[rng.integers(0, len(counts), len(counts))].T
        votes_each = yes + no
        agreeing = (yes * (yes - 1) + no * (no - 1)).sum()
        shares.append(agreeing / (votes_each * (votes_each - 1)).sum())
    assert result.observed is not None
    ends = (result.observed.low, result.observed.high)
    assert ends == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.012)


def test_every_interval_holds_its_value() -> None:
    result = agreement(random_votes(200, seed=1), ["misogynous"])["misogynous"]
    for figure in (result.observed, result.alpha, result.ac1):
        assert figure is not None and figure.low is not None and figure.high is not None
        assert figure.low < figure.value < figure.high


def test_the_order_of_rows_does_not_matter_and_the_seed_does() -> None:
    votes = random_votes(100, seed=2)
    first = agreement(votes, ["misogynous"])
    assert agreement(votes.iloc[::-1], ["misogynous"]) == first
    assert agreement(votes, ["misogynous"], seed=1) != first


def test_each_label_stands_on_its_own() -> None:
    both = pd.concat([votes_of(["11", "00"]), votes_of(["10", "01", "11"], label="shaming")])
    result = agreement(both, ["shaming", "misogynous", "violence"], resamples=10)
    assert list(result) == ["shaming", "misogynous", "violence"]
    assert result["misogynous"] == figures(["11", "00"], resamples=10)
    assert (result["shaming"].memes, result["violence"].memes) == (3, 0)
    assert result["violence"] == Agreement(0, 0, None, None, None)


def test_one_meme_with_two_votes_defines_nothing() -> None:
    assert figures(["11", ".1", "0."]) == Agreement(1, 1, None, None, None)


def test_a_meme_without_a_vote_on_the_label_changes_nothing() -> None:
    counts = np.array([[2, 1], [3, 0], [0, 3], [1, 2]])
    with_gap = np.array([[2, 1], [0, 0], [3, 0], [0, 3], [1, 2]])
    found = label_agreement(counts)
    assert found.ac1 is not None and found.ac1.low is not None
    assert label_agreement(with_gap) == found
    assert label_agreement(np.zeros((3, 2), np.int64)) == Agreement(0, 0, None, None, None)


def test_no_votes_define_nothing() -> None:
    assert figures([]) == Agreement(0, 0, None, None, None)


def test_alpha_is_not_defined_if_all_votes_are_the_same() -> None:
    result = figures(["00", "000", "00"])
    assert result.alpha is None
    for figure in (result.observed, result.ac1):
        assert figure is not None
        assert (figure.value, figure.low, figure.high) == (1, 1, 1)


def test_alpha_has_no_interval_if_many_resamples_lack_a_value() -> None:
    # (19 / 20) ** 20 = 36 % of the resamples miss the only meme that has a yes.
    result = figures(["00"] * 19 + ["01"])
    assert result.alpha is not None and result.ac1 is not None
    assert result.alpha.value == pytest.approx(0)
    assert (result.alpha.low, result.alpha.high) == (None, None)
    assert result.ac1.low is not None


def test_a_value_that_is_neither_yes_nor_no_is_refused() -> None:
    votes = votes_of(["11", "00"]).astype({"value": "float64"})
    votes.loc[0, "value"] = np.nan
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        agreement(votes, ["misogynous"])


def test_a_judgement_given_twice_is_refused() -> None:
    votes = votes_of(["11", "00"])
    with pytest.raises(ValueError, match="'a0' judged 'misogynous' of meme 'm0' twice"):
        agreement(pd.concat([votes, votes.head(1)]), ["misogynous"])


def test_counts_hold_booleans_too() -> None:
    votes = votes_of(["110", "00."]).astype({"value": bool})
    counts = vote_counts(votes)
    assert counts.loc[("misogynous", "m0")].to_dict() == {"yes": 2, "no": 1}
    assert counts.loc[("misogynous", "m1")].to_dict() == {"yes": 0, "no": 2}


def test_votes_and_a_model_agree_as_cohen_counts_it() -> None:
    counts = np.array([[1, 0]] * 20 + [[0, 1]] * 10 + [[1, 0]] * 5 + [[0, 1]] * 15 + [[0, 0]] * 7)
    answers = np.array([True] * 30 + [False] * 27)
    found = with_model(counts, answers)
    assert (found.memes, found.votes) == (50, 50)
    assert found.observed is not None and found.kappa is not None
    assert found.observed.value == pytest.approx(0.7)
    assert found.kappa.value == pytest.approx(0.4)  # (0.7 - 0.5) / (1 - 0.5)
    assert found.kappa.low is not None and found.kappa.high is not None
    assert found.kappa.low < 0.4 < found.kappa.high


def test_several_votes_on_one_meme_are_as_many_cases() -> None:
    found = with_model(np.array([[2, 1], [0, 3]]), np.array([True, False]))
    assert (found.memes, found.votes) == (2, 6)
    assert found.observed is not None and found.observed.value == pytest.approx(5 / 6)
    assert found.kappa is not None and found.kappa.value == pytest.approx(2 / 3)


def test_without_votes_or_with_one_answer_throughout_kappa_is_unknown() -> None:
    nobody = with_model(np.zeros((3, 2), np.int64), np.array([True, False, True]))
    assert (nobody.memes, nobody.observed, nobody.kappa) == (0, None, None)
    always = with_model(np.array([[0, 1]] * 5), np.array([False] * 5))
    assert always.observed is not None and always.observed.value == 1.0
    assert always.kappa is None
    single = with_model(np.array([[1, 0]]), np.array([True]))
    assert single.observed is not None and single.observed.low is None
