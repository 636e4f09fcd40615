"""How well people judge, when to say a word to them, and what suggestions do."""

from __future__ import annotations

import pandas as pd
import pytest

from memeapp.crowd.intervals import wilson
from memeapp.crowd.quality import (
    AGREEMENT_AT_LEAST,
    GOLD_AT_LEAST,
    annotator_quality,
    assisted_shift,
    switches,
)

COLUMNS = ["meme", "annotator", "label", "value"]


def votes(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def alone(right: int, wrong: int) -> pd.DataFrame:
    """Ann's votes on gold memes that all are yes."""
    return votes(*((f"g{n}", "ann", "shaming", int(n < right)) for n in range(right + wrong)))


GOLD = {f"g{n}": {"shaming": True} for n in range(100)}


def test_agreement_is_with_the_majority_of_the_others_only() -> None:
    judged = votes(
        # Ann against two others: she differs, although the share with her vote is 2 of 3.
        ("m0", "ann", "shaming", 0),
        ("m0", "bea", "shaming", 1),
        ("m0", "cy", "shaming", 1),
        # The others are tied for ann.
        ("m1", "ann", "shaming", 1),
        ("m1", "bea", "shaming", 1),
        ("m1", "cy", "shaming", 0),
        # Nobody else.
        ("m2", "ann", "shaming", 1),
        # The same.
        ("m3", "ann", "misogynous", 0),
        ("m3", "bea", "misogynous", 0),
    )
    result = annotator_quality(judged, {})
    assert list(result) == ["ann", "bea", "cy"]
    assert result["ann"].agreement == wilson(1, 2)
    # Bea: tied on m0 (0 and 1), tied on m1? ann 1, cy 0: tied; m3 the same as ann.
    assert result["bea"].agreement == wilson(1, 1)
    # Cy: tied on m0; on m1 both others say yes.
    assert result["cy"].agreement == wilson(0, 1)
    assert [quality.memes for quality in result.values()] == [4, 3, 2]


def test_nobody_to_agree_with_and_no_gold_give_no_shares() -> None:
    quality = annotator_quality(votes(("m0", "ann", "shaming", 1)), {})["ann"]
    assert quality.agreement is None
    assert quality.gold is None
    assert quality.gold_memes is None
    assert quality.median_seconds is None
    assert quality.warn == ""


def test_gold_counts_answers_and_memes_without_a_wrong_one() -> None:
    judged = votes(
        ("g0", "ann", "misogynous", 1),
        ("g0", "ann", "shaming", 0),
        ("g1", "ann", "misogynous", 1),
        ("g1", "ann", "shaming", 1),
        ("g1", "ann", "violence", 1),
        ("m0", "ann", "misogynous", 1),
    )
    gold = {
        "g0": {"misogynous": True, "shaming": True},
        # Gold says nothing about violence, and ann nothing about stereotype.
        "g1": {"misogynous": True, "shaming": True, "stereotype": False},
        "unseen": {"misogynous": True},
    }
    quality = annotator_quality(judged, gold)["ann"]
    assert quality.gold == wilson(3, 4)
    assert quality.gold_memes == wilson(1, 2)
    assert quality.memes == 3


def test_booleans_are_votes_too() -> None:
    judged = votes(("m0", "ann", "shaming", 1), ("m0", "bea", "shaming", 0))
    result = annotator_quality(judged.astype({"value": bool}), {"m0": {"shaming": True}})
    assert result["ann"].gold == wilson(1, 1)
    assert result["bea"].gold == wilson(0, 1)
    assert result["ann"].agreement == wilson(0, 1)


def test_the_median_of_seconds_is_over_memes_whose_time_is_known() -> None:
    judged = votes(
        *((f"m{n}", "ann", label, 1) for n in range(4) for label in ("misogynous", "shaming")),
        ("m0", "bea", "shaming", 1),
    )
    seconds = {("m0", "ann"): 4.0, ("m1", "ann"): 100.0, ("m2", "ann"): 6.0, ("m9", "ann"): 0.0}
    result = annotator_quality(judged, {}, seconds)
    assert result["ann"].median_seconds == 6
    assert result["bea"].median_seconds is None


def test_many_wrong_answers_on_gold_are_named_calmly() -> None:
    quality = annotator_quality(alone(right=10, wrong=10), GOLD)["ann"]
    assert quality.gold is not None and quality.gold.high < GOLD_AT_LEAST
    assert quality.warn.startswith("10 of 20 answers on memes with a known answer are right;")


def test_the_upper_end_of_the_interval_decides() -> None:
    # Half of 4 reaches 0.85, half of 20 only 0.70.
    assert annotator_quality(alone(right=2, wrong=2), GOLD)["ann"].warn == ""
    assert annotator_quality(alone(right=10, wrong=10), GOLD)["ann"].warn != ""


def test_somebody_who_mostly_differs_from_the_others_is_named() -> None:
    judged = votes(
        *(
            (f"m{n}", name, "shaming", int(name == "ann" and n % 2))
            for n in range(30)
            for name in ("ann", "bea", "cy", "dan")
        )
    )
    result = annotator_quality(judged, {})
    agreement = result["ann"].agreement
    assert agreement is not None and agreement.high < AGREEMENT_AT_LEAST
    assert result["ann"].warn.startswith("15 of 30 answers are those of most others;")
    assert result["bea"].warn == ""


def test_gold_is_named_before_disagreement() -> None:
    judged = pd.concat([alone(right=0, wrong=30), alone(right=30, wrong=0).assign(annotator="bea")])
    assert "known answer" in annotator_quality(judged, GOLD)["ann"].warn


def test_no_votes_have_no_annotators() -> None:
    assert annotator_quality(votes(), GOLD) == {}


def test_switches_count_only_those_who_differed_from_the_model() -> None:
    shown = pd.DataFrame(
        [
            ("shaming", 1, 0, 0),  # changed to the model's
            ("shaming", 0, 0, 1),  # stayed
            ("shaming", 0, 0, 1),
            ("shaming", 1, 1, 1),  # did not differ
            ("shaming", 1, 0, 1),  # did not differ, and changed away from it
            ("misogynous", 1, 1, 1),
        ],
        columns=["label", "blind", "final", "model"],
    )
    result = switches(shown, ["misogynous", "shaming", "violence"])
    assert result == {"misogynous": None, "shaming": wilson(1, 3), "violence": None}


def test_switches_of_nothing_are_nothing() -> None:
    shown = pd.DataFrame([], columns=["label", "blind", "final", "model"])
    assert switches(shown, ["shaming"]) == {"shaming": None}


def test_the_shift_is_newcombes_difference() -> None:
    shift = assisted_shift((56, 70), (48, 80))
    assert shift is not None
    assert (shift.value, shift.low, shift.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_shift_needs_cases_on_both_sides() -> None:
    assert assisted_shift((0, 0), (1, 2)) is None
    assert assisted_shift((1, 2), (0, 0)) is None
