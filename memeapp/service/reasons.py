"""Why the model says what it says of one meme: by leaving out the picture, the text, a word."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memeapp.encoders import Encoder
from memeapp.learn.calibration import log_odds
from memeapp.learn.checkpoint import Checkpoint
from memeapp.service.neighbours import Neighbours
from memeapp.store import Store
from memeapp.text import normalise
from memeapp.types import Effect, Reasons, WordEffect

MOST_PARTS = 24
WORD_SECONDS = 0.1
"""Time that the texts without a word may take to encode; a slow encoder gets fewer of them."""
MOST_WORDS = 5
"""Words named for a label."""
LEAST_EFFECT = 0.1
"""Log-odds below which a word did nothing worth naming: 50 % would become 52.5 %."""

Floats = NDArray[np.float32]


class Reasoner:
    """Gives reasons for predictions; safe to call from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._neighbours: tuple[str, Neighbours] | None = None

    def explain(
        self,
        checkpoint: Checkpoint,
        encoder: Encoder,
        image: Floats,
        text: Floats,
        words: str,
        *,
        encoded_in: float,
    ) -> Reasons:
        """The reasons for one meme.

        Args:
            image: its features, (image width,).
            text: its features, (text width,).
            words: the text itself.
            encoded_in: seconds that it took to encode. A long text, or one for a slow encoder, has
                runs of words left out, as many as there is time for.
        """
        started = time.perf_counter()
        parts = split_into_parts(words, min(MOST_PARTS, int(WORD_SECONDS / max(encoded_in, 1e-9))))
        without = encoder.encode_texts([rest for _, rest in parts]) if parts else text[None, :][:0]
        average_image, average_text = (np.asarray(mean, np.float32) for mean in checkpoint.means)
        images = np.repeat(image[None, :], 3 + len(parts), axis=0)
        images[1] = average_image
        texts = np.concatenate([text[None, :], text[None, :], average_text[None, :], without])
        logits = log_odds(checkpoint.predict(images, texts))
        moved = logits[0] - logits[1:]
        unlike = checkpoint.unlike(image[None, :], text[None, :])[0]
        labels = checkpoint.labels
        about = (0, _strongest_kind(checkpoint, logits[0]))
        return Reasons(
            modality=tuple(
                Effect(label, float(by_image), float(by_text))
                for label, by_image, by_text in zip(labels, moved[0], moved[1], strict=True)
            ),
            about=(labels[about[0]], labels[about[1]]),
            words=tuple(
                effect
                for column in about
                for effect in _strongest(
                    labels[column], [part for part, _ in parts], moved[2:, column]
                )
            ),
            neighbours=self._near(encoder).nearest(image, text, labels),
            unlike=tuple(
                name
                for name, far, given in zip(
                    ("picture", "text"), unlike, (True, bool(words.strip())), strict=True
                )
                if far and given
            ),
            seconds=time.perf_counter() - started,
        )

    def prepare(self, encoder: Encoder) -> None:
        """Read the labelled memes now, so that the first click needs not wait for it."""
        self._near(encoder).grow()

    def _near(self, encoder: Encoder) -> Neighbours:
        with self._lock:
            if self._neighbours is None or self._neighbours[0] != encoder.id:
                self._neighbours = (encoder.id, Neighbours(self._store, encoder))
            return self._neighbours[1]


def split_into_parts(text: str, most: int) -> list[tuple[str, str]]:
    """The distinct words of a text, each with the text without it; `most` of them at most.

    Words that differ in case or punctuation only are one. Where there are more than `most`,
    neighbouring words make up a part, of even sizes. A text of one part has no reasons in it.
    """
    tokens = text.split()
    keys = [_key(token) for token in tokens]
    distinct = [key for key in dict.fromkeys(keys) if key]
    if min(len(distinct), most) < 2:
        return []
    if len(distinct) <= most:
        groups = [[at for at, key in enumerate(keys) if key == word] for word in distinct]
        names = [tokens[group[0]] for group in groups]
    else:
        groups = [list(group) for group in np.array_split(np.arange(len(tokens)), most)]
        names = [" ".join(tokens[at] for at in group) for group in groups]
    return [
        (name, " ".join(token for at, token in enumerate(tokens) if at not in group))
        for name, group in zip(names, map(set, groups), strict=True)
    ]


def _key(token: str) -> str:
    """What makes two tokens the same word; empty for punctuation."""
    return normalise(token) or "".join(filter(str.isalnum, token.casefold()))


def _strongest_kind(checkpoint: Checkpoint, logits: NDArray[np.float64]) -> int:
    """The column of the kind that is farthest above (or least below) its threshold."""
    return 1 + int(np.argmax((logits - log_odds(checkpoint.thresholds))[1:]))


def _strongest(label: str, parts: Sequence[str], effects: NDArray[np.float64]) -> list[WordEffect]:
    order = np.argsort(-np.abs(effects), kind="stable")[:MOST_WORDS]
    return [
        WordEffect(parts[at], label, float(effects[at]))
        for at in order
        if abs(effects[at]) >= LEAST_EFFECT
    ]
