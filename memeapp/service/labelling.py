"""Label memes: join, get the next meme, vote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from memeapp.labels import LabelSchema
from memeapp.store import Store
from memeapp.types import Annotator, Meme, Vote


class Labelling:
    """What an annotator can do; the caller has checked who asks."""

    def __init__(self, store: Store, schema: LabelSchema, *, votes_per_meme: int) -> None:
        self._store = store
        self.schema = schema
        self._votes_per_meme = votes_per_meme

    def join(self, name: str) -> Annotator:
        """Register somebody under a display name.

        Raises:
            BadInput: if the name is empty, too long or taken.
        """
        return self._store.add_annotator(name)

    def annotator(self, annotator_id: str) -> Annotator:
        """Raises: NotFound."""
        return self._store.annotator(annotator_id)

    def next_meme(self, annotator_id: str) -> Meme | None:
        """The meme to judge now, those without any vote first; None when nothing is left."""
        return self._store.next_meme(annotator_id, votes_per_meme=self._votes_per_meme)

    def vote(
        self,
        annotator_id: str,
        meme_id: str,
        labels: Mapping[str, bool],
        *,
        key: str,
        seconds: float,
        revealed: bool,
    ) -> Vote:
        """Save a judgement; it is on the disk when this returns.

        Raises:
            BadVote: if the labels are unknown or contradict each other.
            AlreadyVoted: if this person has judged it or it has all the votes it wants.
            NotFound: if there is no such meme or annotator.
        """
        self.schema.check(labels)
        return self._store.add_vote(
            meme_id,
            annotator_id,
            labels,
            key=key,
            seconds=seconds,
            revealed=revealed,
            votes_per_meme=self._votes_per_meme,
        )

    def progress(self, annotator_id: str) -> tuple[int, int]:
        """How many memes this person has judged, and how many are left for them."""
        left = self._store.memes_left(annotator_id, votes_per_meme=self._votes_per_meme)
        return self._store.vote_count_of(annotator_id), left

    def picture(self, meme_id: str) -> Path:
        """The file of a meme's picture. Raises: NotFound."""
        return self._store.picture_path(self._store.meme(meme_id).id)
