"""How well each annotator judges, and what the model's suggestions do to judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from memeapp.crowd.counts import vote_counts
from memeapp.crowd.intervals import Estimate, Share, newcombe, wilson

GOLD_AT_LEAST = 0.8
"""Below this share of right answers on gold, somebody is worth a word."""

AGREEMENT_AT_LEAST = 0.7
"""Below this share of agreement with the others, somebody is worth a word."""


@dataclass(frozen=True, slots=True)
class AnnotatorQuality:
    """What one annotator's judgements are like; a share is None without a case to count."""

    memes: int
    """Memes that they judged."""
    agreement: Share | None
    """Of their judgements of a label, those equal to the majority of the others on the meme."""
    gold: Share | None
    """Of their judgements of a label on gold memes, those that are right."""
    gold_memes: Share | None
    """Of the gold memes that they judged, those without a wrong label."""
    median_seconds: float | None
    """For one meme; None if no time is known."""
    warn: str
    """A sentence for the admin, or ""."""


def annotator_quality(
    votes: pd.DataFrame,
    gold: Mapping[str, Mapping[str, bool]],
    seconds: Mapping[tuple[str, str], float] | None = None,
) -> dict[str, AnnotatorQuality]:
    """Annotator → quality, sorted by annotator.

    Judgements whose others are tied, or that nobody else made, do not count for the agreement.
    Labels of a meme go together, so the Wilson intervals over judgements are somewhat narrow.

    `warn` is about gold if the upper end of that interval lies below `GOLD_AT_LEAST`, else about
    agreement if that one's lies below `AGREEMENT_AT_LEAST`: so it takes more than a few unlucky
    answers.

    Args:
        votes: a row for each judgement, as in `vote_counts`.
        gold: meme → label → the right answer. Labels that either side leaves out do not count.
        seconds: (meme, annotator) → how long it took.

    Raises:
        ValueError: as in `vote_counts`.
    """
    judged = _with_others(votes)
    judged["truth"] = [
        gold.get(meme, {}).get(label)
        for meme, label in zip(judged["meme"], judged["label"], strict=True)
    ]
    return {
        str(annotator): _quality(str(annotator), rows, seconds or {})
        for annotator, rows in judged.groupby("annotator")
    }


def _with_others(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes with a column `others`: how many more others said yes than no."""
    joined = votes.join(vote_counts(votes), on=["label", "meme"])
    own = joined["value"].astype("int64")
    return joined.assign(value=own, others=joined["yes"] - joined["no"] - (2 * own - 1))


def _quality(
    annotator: str, rows: pd.DataFrame, seconds: Mapping[tuple[str, str], float]
) -> AnnotatorQuality:
    decided = rows[rows["others"] != 0]
    known = rows[rows["truth"].notna()]
    right = known["value"] == known["truth"].astype("int64")
    memes = rows["meme"].unique()
    times = [seconds[meme, annotator] for meme in memes if (meme, annotator) in seconds]
    agreement = _share_of((decided["value"] == 1) == (decided["others"] > 0))
    accuracy = _share_of(right)
    return AnnotatorQuality(
        memes=len(memes),
        agreement=agreement,
        gold=accuracy,
        gold_memes=_share_of(right.groupby(known["meme"]).all()),
        median_seconds=float(pd.Series(times).median()) if times else None,
        warn=_warning(accuracy, agreement),
    )


def _warning(gold: Share | None, agreement: Share | None) -> str:
    if gold and gold.high < GOLD_AT_LEAST:
        return (
            f"{gold.count} of {gold.n} answers on memes with a known answer are right; going"
            " through the guidelines together may help."
        )
    if agreement and agreement.high < AGREEMENT_AT_LEAST:
        return (
            f"{agreement.count} of {agreement.n} answers are those of most others; a look at where"
            " they differ may help."
        )
    return ""


def switches(shown: pd.DataFrame, labels: Sequence[str]) -> dict[str, Share | None]:
    """Label → of the blind answers that differ from the model's, the share changed to the model's.

    Args:
        shown: a row for each label of a meme that somebody judged blindly before they saw the
            model's answer; columns `label`, `blind`, `final` and `model` (each 0 or 1).
        labels: which labels; None for one where nobody differed from the model.
    """
    differ = shown[shown["blind"] != shown["model"]]
    return {
        label: _share_of((differ["final"] == differ["model"])[differ["label"] == label])
        for label in labels
    }


def assisted_shift(assisted: tuple[int, int], blind: tuple[int, int]) -> Estimate | None:
    """How much more often people say yes with the model's answer beside the meme than without.

    Args:
        assisted: (how many said yes, out of how many) of those who saw the answer beforehand.
        blind: the same of those who did not; other memes, or other people.

    Returns:
        The difference of the shares, assisted - blind, with Newcombe's interval (`newcombe`); None
        if either side has no case.

    Raises:
        ValueError: a count is below 0 or above its number of cases.
    """
    with_answer, without = wilson(*assisted), wilson(*blind)
    return newcombe(with_answer, without) if with_answer and without else None


def _share_of(cases: pd.Series[bool]) -> Share | None:
    """The share of cases that hold."""
    return wilson(int(cases.sum()), len(cases))
