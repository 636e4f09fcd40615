"""From single votes to how many said yes and no: what every agreement measure starts from."""

from __future__ import annotations

import pandas as pd


def vote_counts(votes: pd.DataFrame) -> pd.DataFrame:
    """How many said yes and how many said no to each label of each meme.

    Args:
        votes: a row for each judgement of a label, with the columns `meme`, `annotator`, `label`
            and `value` (0 or 1, or booleans).

    Returns:
        A row for each judged pair of (label, meme), sorted; columns `yes` and `no`, whole numbers.

    Raises:
        ValueError: a value is neither 0 nor 1, or somebody judged a label of a meme twice: such a
            pair would agree with itself.
    """
    if not votes["value"].isin([0, 1]).all():
        raise ValueError("A vote's value is neither 0 nor 1; leave rows without an answer out.")
    twice = votes.duplicated(["meme", "annotator", "label"])
    if twice.any():
        first = votes.loc[twice].iloc[0]
        raise ValueError(
            f"{first['annotator']!r} judged {first['label']!r} of meme {first['meme']!r} twice;"
            " keep the judgement that counts."
        )
    grouped = votes.assign(value=votes["value"].astype("int64")).groupby(["label", "meme"])["value"]
    counts = grouped.agg(["sum", "size"])
    return pd.DataFrame({"yes": counts["sum"], "no": counts["size"] - counts["sum"]})
