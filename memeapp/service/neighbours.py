"""The labelled memes nearest to one meme: vectors in memory, which grow with the votes."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from memeapp.crowd.targets import soft_targets
from memeapp.encoders import Encoder
from memeapp.service.features import unit_rows
from memeapp.store import Store
from memeapp.types import Meme, Neighbour

MOST = 20_000
"""Memes in memory, the newest ones; 128 MB with an encoder of 768 + 768 numbers."""
CHUNK = 1_000
PATIENCE = 30.0
"""Seconds until labelled memes that were not encoded yet are looked for again."""

Floats = NDArray[np.float32]


class Neighbours:
    """The memes near a meme in the space of one encoder; safe to call from many threads.

    Picture and text weigh the same: each is scaled to length 1, and the similarity is the mean of
    both cosines. A first vote on a meme adds a row; nothing is read twice. Only encoded memes
    count: training and `memeapp encode` see to that.
    """

    def __init__(self, store: Store, encoder: Encoder, *, most: int = MOST) -> None:
        self._store = store
        self._encoder = encoder.id
        self._most = most
        self._lock = threading.Lock()
        # The system hands out the memory of a row when it is first written.
        self._rows = np.empty((most, encoder.image_width + encoder.text_width), np.float32)
        self._ids: list[str] = []
        self._places: dict[str, int] = {}
        self._next = 0
        self._seen = 0
        self._looked = -np.inf
        self._incomplete = False

    def nearest(
        self, image: Floats, text: Floats, labels: tuple[str, ...], count: int = 3
    ) -> tuple[Neighbour, ...]:
        """The memes nearest to these features, (image width,) and (text width,)."""
        wanted = _prepare(image[None, :], text[None, :])[0]
        with self._lock:
            self._grow()
            similarity = self._rows[: len(self._ids)] @ wanted
            nearest = np.argsort(-similarity, kind="stable")[:count]
            found = {self._ids[place]: float(similarity[place]) for place in nearest}
        shares = soft_targets(self._store.standing_votes(found), labels)
        return tuple(
            Neighbour(
                meme_id=id,
                similarity=min(max(near, 0.0), 1.0),
                labels={
                    label: float(share)
                    for label, share in zip(labels, shares.get(id, ()), strict=False)
                    if not np.isnan(share)
                },
                text=self._store.meme(id).text,
            )
            for id, near in found.items()
        )

    def grow(self) -> None:
        """Read the memes that were labelled since the last time; `nearest` does so too."""
        with self._lock:
            self._grow()

    def _grow(self) -> None:
        """Add the memes that got their first vote since the last time."""
        last = self._store.last_vote()
        if self._incomplete and time.monotonic() - self._looked > PATIENCE:
            self._seen = 0
        if last == self._seen:
            return
        memes = self._store.examples(after_vote=self._seen, limit=self._most)
        new = [meme for meme in reversed(memes) if meme.id not in self._places]
        added = sum(self._add(new[start : start + CHUNK]) for start in range(0, len(new), CHUNK))
        self._incomplete = added < len(new) or (self._incomplete and self._seen > 0)
        self._looked = time.monotonic()
        self._seen = last

    def _add(self, memes: list[Meme]) -> int:
        images = self._store.image_features(self._encoder, [meme.id for meme in memes])
        texts = self._store.text_features(self._encoder, {meme.text for meme in memes})
        encoded = [meme for meme in memes if meme.id in images and meme.text in texts]
        if not encoded:
            return 0
        rows = _prepare(
            np.stack([images[meme.id] for meme in encoded]),
            np.stack([texts[meme.text] for meme in encoded]),
        )
        for meme, row in zip(encoded, rows, strict=True):
            if self._next < len(self._ids):  # full: the oldest makes room
                del self._places[self._ids[self._next]]
                self._ids[self._next] = meme.id
            else:
                self._ids.append(meme.id)
            self._rows[self._next] = row
            self._places[meme.id] = self._next
            self._next = (self._next + 1) % self._most
        return len(encoded)


def _prepare(image: Floats, text: Floats) -> Floats:
    """(N, image width + text width) of length 1, or less where picture or text says nothing."""
    both = np.concatenate([unit_rows(image), unit_rows(text)], axis=1)
    return np.asarray(both / np.sqrt(2), np.float32)
