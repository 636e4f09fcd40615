"""From single votes to one soft target for each meme and label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from memeapp.crowd.counts import vote_counts

METHODS = ("majority", "dawid-skene", "mace")

MACE_STARTS = 3
MACE_SEED = 0


def vote_shares(votes: pd.DataFrame) -> pd.DataFrame:
    """The share of yes among the votes on each meme and label.

    Args:
        votes: a row for each judgement, with the columns `meme`, `label` and `value` (0 or 1).

    Returns:
        A row for each meme, a column for each label; in [0, 1], NaN where nobody judged.
    """
    values = votes.assign(value=votes["value"].astype("float64"))
    return values.groupby(["meme", "label"])["value"].mean().unstack("label")


def aggregate(votes: pd.DataFrame, method: str, labels: Sequence[str]) -> pd.DataFrame:
    """One soft target for each meme and label, each label on its own.

    "majority" is the share of yes. "dawid-skene" (Dawid & Skene 1979) weighs people by an error
    matrix each, "mace" (Hovy et al. 2013) by how likely each only guesses; both are crowd-kit's
    and give the probability of yes. The two fall back to shares for a label that tells nothing
    about people: fewer than two annotators, all votes the same, or no meme with two votes.

    The same votes give the same targets, in whatever order the rows come.

    Args:
        votes: a row for each judgement, with the columns `meme`, `annotator`, `label` and `value`
            (0 or 1); each annotator judges a label of a meme at most once.
        method: one of `METHODS`.
        labels: the columns of the result, in order; other labels are ignored.

    Returns:
        A row for each meme in `votes`, sorted; float64 in [0, 1], NaN where nobody judged.

    Raises:
        ValueError: the method is unknown; the message names those there are.
    """
    if method not in METHODS:
        raise ValueError(f"Unknown method {method!r}; the methods are {', '.join(METHODS)}.")
    targets = vote_shares(votes).reindex(columns=pd.Index(labels, name="label"))
    if method == "majority":
        return targets
    for label in labels:
        of_label = votes[votes["label"] == label]
        if _tells_about_people(of_label):
            targets[label] = _modelled(of_label, method).reindex(targets.index)
    return targets


def _tells_about_people(votes: pd.DataFrame) -> bool:
    return bool(
        votes["annotator"].nunique() >= 2
        and votes["value"].nunique() == 2
        and votes["meme"].duplicated().any()
    )


def _modelled(votes: pd.DataFrame, method: str) -> pd.Series[float]:
    """Meme → probability of yes by crowd-kit, from the votes on one label."""
    from crowdkit.aggregation import MACE, DawidSkene  # noqa: PLC0415 - nltk and scipy: seconds

    rows = votes.sort_values(["annotator", "meme"])
    values = rows["value"].astype("int64").to_numpy()
    # crowd-kit 1.4's MACE mixes up people and answers unless both first appear in sorted order:
    # rows sorted by annotator, and the first answer called 0, see to that.
    first = values[0]
    answers = pd.DataFrame(
        {
            "task": rows["meme"].to_numpy(),
            "worker": pd.factorize(rows["annotator"])[0],
            "label": (values != first).astype(np.int64),
        }
    )
    if method == "dawid-skene":
        model = DawidSkene()
    else:
        # A generator: from a number, MACE would make each of its starts the same.
        generator = np.random.RandomState(MACE_SEED)
        model = MACE(n_restarts=MACE_STARTS, random_state=generator)
    probabilities = cast(pd.DataFrame, model.fit_predict_proba(answers))
    return probabilities[int(first == 0)].clip(0, 1)


def effective_labels(votes: pd.DataFrame) -> dict[str, float]:
    """Label → how many independent votes its votes are worth.

    Votes on one meme repeat one another in part. With n votes on a meme and the intra-class
    correlation r they are worth n / (1 + (n - 1) r): the design effect of Kish (1965), "Survey
    Sampling", taken meme by meme. r is the one-way random analysis-of-variance estimate for groups
    of unequal size (Donner 1986, "A review of inference procedures for the intraclass correlation
    coefficient in the one-way random effects model"), clipped to [0, 1]; it is 1, the cautious
    end, where it cannot be estimated: a single meme, or all votes the same.

    The figure lies between the number of judged memes (all agree: a second vote adds nothing) and
    the number of votes.

    Args:
        votes: a row for each judgement, as in `vote_counts`.

    Raises:
        ValueError: as in `vote_counts`.
    """
    worth = {}
    for label, counts in vote_counts(votes).groupby("label"):
        yes = counts["yes"].to_numpy(np.float64)
        n = yes + counts["no"].to_numpy(np.float64)
        worth[str(label)] = float((n / (1 + (n - 1) * _intra_class_correlation(yes, n))).sum())
    return worth


def _intra_class_correlation(yes: np.ndarray, n: np.ndarray) -> float:
    """In [0, 1], from the yeses among the n votes of each meme; 1 where not defined."""
    memes, votes = len(n), n.sum()
    if memes < 2 or votes == memes:
        return 1.0
    explained = (yes**2 / n).sum()
    between = (explained - yes.sum() ** 2 / votes) / (memes - 1)
    within = (yes.sum() - explained) / (votes - memes)
    size = (votes - (n**2).sum() / votes) / (memes - 1)
    total = between + (size - 1) * within
    return float(np.clip((between - within) / total, 0, 1)) if total > 0 else 1.0
