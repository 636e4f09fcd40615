"""What a version learned from, in plain figures: the side of drift that stands still."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from memeapp.learn.checkpoint import Checkpoint
from memeapp.service.features import stack
from memeapp.service.language import language_of
from memeapp.service.shift import LEAST
from memeapp.service.snapshot import FILE as SNAPSHOT
from memeapp.service.snapshot import Snapshot
from memeapp.store import Store
from memeapp.types import Meme, ModelVersion

T = TypeVar("T")

FILE = "inputs.json"
"""A version that is shipped may bring its reference under this name among its files."""
MOST = 2_000
"""Memes that are looked at, evenly spread over all: more would tell no more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reference:
    """Texts and their readings are those of memes that the version learned from.

    Scores and what is unlike training are those of held-out memes of the same time: of a meme that
    it learned from, a model is surer than of any that comes. Where too few are held out the scores
    are rebuilt from the version's own out-of-fold ones. Empty where nothing is known.
    """

    created_at: str
    """Of the version: a name may be another version's after a folder was exchanged."""
    learned: int = 0
    """Memes it learned from that are here."""
    held_out: int = 0
    text_length: Sequence[float] = ()
    language: Mapping[str, int] = field(default_factory=dict)
    ocr_confidence: Sequence[float] = ()
    unlike_image: Sequence[bool] = ()
    unlike_text: Sequence[bool] = ()
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, version: ModelVersion, checkpoint: Checkpoint) -> Reference:
        """Look at what the version's snapshot names; a few seconds for many memes.

        A version without one, such as the shipped version, was not trained on memes of this store;
        its scores are known all the same.
        """
        snapshot = _snapshot(version)
        scores = _out_of_fold(checkpoint)
        if snapshot is None:
            return cls(version.created_at, scores=scores)
        sources = store.sources([row.meme for row in snapshot.rows])
        learned = _spread(sources, MOST)
        readings = [s.ocr_confidence for s in sources if s.ocr_confidence is not None]
        seen = {row.meme for row in snapshot.rows}  # elsewhere other memes may be held out
        held_out = [
            meme
            for meme in store.memes(held_out=True)
            if meme.created_at <= snapshot.taken_at and meme.id not in seen
        ]
        chosen = _spread(held_out, MOST)
        measured = cls(
            version.created_at,
            learned=len(sources),
            text_length=tuple(len(source.text) for source in learned),
            language=dict(Counter(language_of(source.text) for source in learned)),
            ocr_confidence=tuple(round(one, 4) for one in _spread(readings, MOST)),
            scores=scores,
        )
        return measured._with_held_out(store, checkpoint, chosen)

    def _with_held_out(
        self, store: Store, checkpoint: Checkpoint, memes: Sequence[Meme]
    ) -> Reference:
        """Add what the version says of memes that it did not learn from, where they suffice."""
        images = store.image_features(checkpoint.encoder, [meme.id for meme in memes])
        texts = store.text_features(checkpoint.encoder, {meme.text for meme in memes})
        there = [meme for meme in memes if meme.id in images and meme.text in texts]
        if len(there) < LEAST:
            return self
        image = stack([images[meme.id] for meme in there], checkpoint.image_width)
        text = stack([texts[meme.text] for meme in there], checkpoint.text_width)
        probabilities = checkpoint.predict(image, text)
        unlike = checkpoint.unlike(image, text)
        unlike[:, 1] &= [bool(meme.text.strip()) for meme in there]  # an empty text never is
        return replace(
            self,
            held_out=len(there),
            unlike_image=tuple(unlike[:, 0].tolist()),
            unlike_text=tuple(unlike[:, 1].tolist()),
            scores=dict(zip(checkpoint.labels, probabilities.T.round(3).tolist(), strict=True)),
        )

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Reference | None:
        """What `write` wrote; None where there is none, or nothing that can be used."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s cannot be used and is made anew: %s", path, error)
            return None


def reference_for(version: ModelVersion, kept: Path, make: Callable[[], Reference]) -> Reference:
    """The reference that the version brought, or that was made here before, or a new one.

    Args:
        kept: the file for those made here.
    """
    brought = Reference.read(version.path / FILE) if version.path else None
    found = brought or Reference.read(kept)
    if found is not None and found.created_at == version.created_at:
        return found
    made = make()
    try:
        made.write(kept)
    except OSError as error:
        log.warning("%s cannot be written, the next start looks again: %s", kept, error)
    return made


def _snapshot(version: ModelVersion) -> Snapshot | None:
    file = version.path / SNAPSHOT if version.path else None
    return Snapshot.from_bytes(file.read_bytes()) if file and file.exists() else None


def _out_of_fold(checkpoint: Checkpoint) -> dict[str, list[float]]:
    """Label → scores spread as the out-of-fold ones were, of which the version keeps the means of
    bins of equal count."""
    found = {}
    for label, bins in zip(checkpoint.labels, checkpoint.reliability, strict=False):
        rows = np.array([count for _, _, count in bins], float)
        middles = (rows.cumsum() - rows / 2) / rows.sum()
        count = min(int(rows.sum()), MOST)
        places = (np.arange(count) + 0.5) / count
        found[label] = np.interp(places, middles, [mean for mean, _, _ in bins]).round(3).tolist()
    return found


def _spread(items: Sequence[T], most: int) -> list[T]:
    """All, or `most` of them at even distances."""
    if len(items) <= most:
        return list(items)
    return [items[int(at)] for at in np.linspace(0, len(items) - 1, most)]
