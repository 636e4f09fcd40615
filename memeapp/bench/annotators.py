"""People as a benchmark makes them: they know the truth, err by chance, and take what comes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import cycle

import numpy as np

from memeapp.judging import Judgement
from memeapp.labels import LabelSchema
from memeapp.service.labelling import Labelling

TAB = "loop"

Truth = Mapping[str, Mapping[str, bool]]
"""Meme id → what holds, by label."""


class Annotators:
    """Members of one session, who label in turn."""

    def __init__(
        self,
        labelling: Labelling,
        session_id: int,
        truth: Truth,
        *,
        people: int,
        noise: float,
        seed: int,
    ) -> None:
        self._labelling = labelling
        self._truth = truth
        self._noise = noise
        self._seed = seed
        token = labelling.invite(session_id).token
        self._people = [
            labelling.join(token, f"Annotator {number}").id for number in range(1, people + 1)
        ]

    def label(self, votes: int) -> Counter[str]:
        """Judge so many memes as the app hands them out, fewer where none is left.

        What was loaded ahead is given back at the end: it was chosen before the next training.

        Returns:
            Queue → how many memes came from it.
        """
        given: Counter[str] = Counter()
        without_work = 0
        for person in cycle(self._people):
            if given.total() == votes or without_work == len(self._people):
                break
            cards = self._labelling.cards(person, TAB)
            if not cards:
                without_work += 1
                continue
            without_work = 0
            meme = cards[0].meme.id
            said = answer(
                self._truth[meme], self._noise, self._labelling.schema, f"{self._seed} {meme}"
            )
            vote = self._labelling.judge(person, meme, Judgement(said), key=f"{TAB}-{meme}")
            given[vote.queue] += 1
        for person in self._people:
            self._labelling.give_back(person, TAB)
        return given


def answer(
    truth: Mapping[str, bool], noise: float, schema: LabelSchema, salt: str
) -> dict[str, bool]:
    """The truth with each label flipped with probability `noise`, as a vote that the app takes.

    Where the parent label comes out as no, so do its kinds. The same salt flips the same labels.
    """
    digest = hashlib.sha256(f"answer {salt}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    flipped = rng.random(len(schema.names)) < noise
    said = {
        name: truth[name] != bool(flip) for name, flip in zip(schema.names, flipped, strict=True)
    }
    if not said[schema.parent.name]:
        return dict.fromkeys(schema.names, False)
    return said
