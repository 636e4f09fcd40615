"""From single votes to one soft target for each meme and label."""

from __future__ import annotations

import pandas as pd


def vote_shares(votes: pd.DataFrame) -> pd.DataFrame:
    """The share of yes among the votes on each meme and label.

    Args:
        votes: a row for each judgement, with the columns `meme`, `label` and `value` (0 or 1).

    Returns:
        A row for each meme, a column for each label; in [0, 1], NaN where nobody judged.
    """
    values = votes.assign(value=votes["value"].astype("float64"))
    return values.groupby(["meme", "label"])["value"].mean().unstack("label")
