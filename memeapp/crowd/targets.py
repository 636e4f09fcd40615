"""Votes → data frames, and the soft targets that a training learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memeapp.crowd.aggregate import aggregate, effective_labels, vote_shares
from memeapp.judging import Vote, VoteKind


def vote_frame(votes: Iterable[Vote]) -> pd.DataFrame:
    """A row for each judgement of a label: `meme`, `annotator`, `label` and `value` (0 or 1)."""
    rows = [
        (vote.meme_id, vote.annotator_id, label, int(said))
        for vote in votes
        for label, said in vote.labels.items()
    ]
    return pd.DataFrame(rows, columns=["meme", "annotator", "label", "value"])


def soft_targets(
    votes: Sequence[Vote], labels: Sequence[str], method: str = "majority"
) -> dict[str, NDArray[np.float32]]:
    """Meme id → (C,) probability of yes from its votes, NaN for a label nobody judged.

    A meme that was adjudicated has the decision alone, whatever the method.

    Args:
        votes: standing ones: nobody judges a meme twice, who is excluded is not among them.
        method: one of `aggregate.METHODS`; "majority" is the share of votes that say yes.

    Raises:
        ValueError: as `aggregate`.
    """
    said = vote_frame(vote for vote in votes if vote.kind is not VoteKind.DECISION)
    decisions = vote_frame(vote for vote in votes if vote.kind is VoteKind.DECISION)
    table = aggregate(said, method, labels)
    decided = vote_shares(decisions).reindex(columns=table.columns)
    both = pd.concat([table.drop(index=decided.index, errors="ignore"), decided])
    both = both.astype(np.float32).dropna(how="all")
    return dict(zip(both.index, both.to_numpy(), strict=True))


def worth(votes: Sequence[Vote], label: str) -> float:
    """As how many independent judgements the votes on a label count; see `effective_labels`.

    A meme that was adjudicated counts as one.
    """
    judged = [vote for vote in votes if label in vote.labels]
    decided = {vote.meme_id for vote in judged if vote.kind is VoteKind.DECISION}
    said = vote_frame(vote for vote in judged if vote.meme_id not in decided)
    return effective_labels(said).get(label, 0.0) + len(decided)
