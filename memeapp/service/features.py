"""Memes and votes → `FeatureSet`: reads missing text, encodes what is not cached, aggregates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from memeapp.crowd.aggregate import vote_shares
from memeapp.encoders import Encoder
from memeapp.learn.data import FeatureSet
from memeapp.ocr import OcrEngine
from memeapp.store import Store
from memeapp.types import Meme, TextSource, Vote

Report = Callable[[str, float], None]
"""Called with what is being done, in words, and the share of it that is done in [0, 1]."""

T = TypeVar("T")

BATCH = 32
"""Memes in memory at once: peak memory is bounded by this, not by the corpus."""


def prepare(
    store: Store,
    memes: Sequence[Meme],
    encoder: Encoder,
    ocr: Callable[[], OcrEngine],
    report: Report,
) -> tuple[list[Meme], int]:
    """Read the text of memes that have none and encode what the store has no features for.

    The store keeps both: interrupted and started again, it goes on where it was.

    Returns:
        The memes with their texts, in the same order, and how many pictures were encoded.
    """
    complete = _read_missing_text(store, memes, ocr, between(report, 0.0, 0.5))
    encoded = _encode_pictures(store, complete, encoder, between(report, 0.5, 0.9))
    _encode_texts(store, complete, encoder, between(report, 0.9, 1.0))
    return complete, encoded


def _read_missing_text(
    store: Store, memes: Sequence[Meme], ocr: Callable[[], OcrEngine], report: Report
) -> list[Meme]:
    unread = sum(meme.text_source is TextSource.NONE for meme in memes)
    read = 0
    complete = []
    for meme in memes:
        if meme.text_source is TextSource.NONE:
            report("Reading texts", read / unread)
            text = ocr().read(_open(store, meme)).text
            store.improve_text(meme.id, text, TextSource.OCR)
            meme = store.meme(meme.id)
            read += 1
        complete.append(meme)
    return complete


def _encode_pictures(store: Store, memes: Sequence[Meme], encoder: Encoder, report: Report) -> int:
    cached = store.image_features(encoder.id, [meme.id for meme in memes])
    todo = [meme for meme in memes if meme.id not in cached]
    for done, batch in _chunks(todo):
        report("Encoding pictures", done / len(todo))
        vectors = encoder.encode_images([_open(store, meme) for meme in batch])
        rows = {meme.id: row for meme, row in zip(batch, vectors, strict=True)}
        store.put_image_features(encoder.id, rows)
    return len(todo)


def _encode_texts(store: Store, memes: Sequence[Meme], encoder: Encoder, report: Report) -> None:
    texts = list(dict.fromkeys(meme.text for meme in memes))
    cached = store.text_features(encoder.id, texts)
    todo = [text for text in texts if text not in cached]
    for done, batch in _chunks(todo):
        report("Encoding texts", done / len(todo))
        vectors = encoder.encode_texts(batch)
        store.put_text_features(encoder.id, dict(zip(batch, vectors, strict=True)))


def _open(store: Store, meme: Meme) -> Image.Image:
    with Image.open(store.picture_path(meme.id)) as picture:
        return picture.convert("RGB")


def feature_set(
    store: Store,
    memes: Sequence[Meme],
    encoder: Encoder,
    targets: Mapping[str, NDArray[np.float32]],
    labels: Sequence[str],
) -> FeatureSet:
    """The encoded memes with their soft targets, NaN where nobody judged.

    Args:
        targets: meme id → (C,) shares in the order of `labels`; a meme may be absent.
    """
    images = store.image_features(encoder.id, [meme.id for meme in memes])
    texts = store.text_features(encoder.id, list({meme.text for meme in memes}))
    unjudged = np.full(len(labels), np.nan, dtype=np.float32)
    return FeatureSet(
        ids=tuple(meme.id for meme in memes),
        image=_stack([images[meme.id] for meme in memes], encoder.image_width),
        text=_stack([texts[meme.text] for meme in memes], encoder.text_width),
        targets=_stack([targets.get(meme.id, unjudged) for meme in memes], len(labels)),
        labels=tuple(labels),
    )


def soft_targets(votes: Sequence[Vote], labels: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Meme id → (C,) share of its votes that say yes, NaN for a label nobody judged."""
    rows = [
        (vote.meme_id, label, judged)
        for vote in votes
        for label, judged in vote.labels.items()
        if label in labels
    ]
    if not rows:
        return {}
    shares = vote_shares(pd.DataFrame(rows, columns=["meme", "label", "value"]))
    table = shares.reindex(columns=list(labels)).astype(np.float32)
    return dict(zip(table.index, table.to_numpy(), strict=True))


def between(report: Report, low: float, high: float) -> Report:
    """A report for one part of a task: its share done is scaled into [low, high]."""

    def scaled(stage: str, done: float) -> None:
        report(stage, low + (high - low) * done)

    return scaled


def _stack(rows: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    return np.stack(rows).astype(np.float32) if rows else np.empty((0, width), np.float32)


def _chunks(items: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(items), BATCH):
        yield start, items[start : start + BATCH]
