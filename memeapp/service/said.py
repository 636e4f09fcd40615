"""What people said up to one instant, as a training takes it: learned from, or measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memeapp.crowd.aggregate import METHODS
from memeapp.crowd.targets import soft_targets, worth
from memeapp.errors import BadInput
from memeapp.judging import Vote
from memeapp.store import Store
from memeapp.store.connections import now
from memeapp.types import Meme

VOTES = ("blind", "all")
"""What a training learns from: what people said before they saw the model's answer, or what they
say now."""


def check_choice(aggregation: str, votes: str) -> None:
    """Raises: BadInput, if there is no such aggregation, or no such kind of votes."""
    if aggregation not in METHODS:
        raise BadInput(f"{aggregation[:80]!r} is no aggregation; there are {', '.join(METHODS)}.")
    if votes not in VOTES:
        raise BadInput(
            f"{votes[:80]!r} votes cannot be learned from; there are {', '.join(VOTES)}."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """The votes of one instant on each side of the holdout, and what they come to."""

    taken_at: str
    votes: tuple[Vote, ...]
    """Those that count, on memes that are not held out."""
    targets: Mapping[str, NDArray[np.float32]]
    """Meme id → (C,) share or probability of yes, on both sides; NaN for a label nobody judged.

    Of held-out memes it is the share of the blind votes, whatever is learned from: versions are
    measured on the same truth.
    """
    labels: tuple[str, ...]

    @classmethod
    def take(
        cls,
        store: Store,
        memes: Sequence[Meme],
        labels: Sequence[str],
        *,
        aggregation: str = "majority",
        votes: str = "blind",
    ) -> Said:
        """Read the votes that stand now.

        Args:
            memes: on the side of the holdout where they are to stay.
            aggregation: one of `METHODS`, which makes the soft targets out of the votes. Decisions
                count instead of the votes, and the votes of people who are excluded do not.
            votes: one of `VOTES`.

        Raises:
            BadInput: as `check_choice`.
        """
        check_choice(aggregation, votes)
        sides = {meme.id: meme.held_out for meme in memes}
        taken_at = now()
        blind = store.standing_votes(blind=True)
        said = blind if votes == "blind" else store.standing_votes()
        said = [vote for vote in said if sides.get(vote.meme_id) is False]
        truth = [vote for vote in blind if sides.get(vote.meme_id)]
        targets = soft_targets(said, labels, aggregation) | soft_targets(truth, labels)
        return cls(taken_at, tuple(said), targets, tuple(labels))

    @property
    def judges(self) -> Counter[str]:
        """Meme id → how many people judged it, of those that are not held out."""
        return Counter(vote.meme_id for vote in self.votes)

    @property
    def last_vote(self) -> int:
        """Number of the newest vote that counts; 0 if there is none."""
        return max((vote.id for vote in self.votes), default=0)

    @property
    def effective_labels(self) -> float:
        """As how many independent judgements of the parent label the votes count."""
        return worth(self.votes, self.labels[0])
