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


def read_missing_text(
    store: Store, memes: Sequence[Meme], ocr: Callable[[], OcrEngine], report: Report
) -> list[Meme]:
    """Give a text to every meme that has none, by OCR; the store keeps it. Same order back."""
    unread = sum(meme.text_source is TextSource.NONE for meme in memes)
    read = 0
    complete = []
    for meme in memes:
        if meme.text_source is TextSource.NONE:
            report("Reading text", read / unread)
            with Image.open(store.picture_path(meme.id)) as picture:
                text = ocr().read(picture.convert("RGB")).text
            store.set_text(meme.id, text, TextSource.OCR)
            meme = store.meme(meme.id)
            read += 1
        complete.append(meme)
    return complete


def encode_missing(store: Store, memes: Sequence[Meme], encoder: Encoder, report: Report) -> int:
    """Encode pictures and texts that the store has no features for; the store keeps them.

    Interrupted and started again, it goes on where it was.

    Returns:
        How many pictures were encoded.
    """
    cached = store.image_features(encoder.id, [meme.id for meme in memes])
    todo = [meme for meme in memes if meme.id not in cached]
    for done, batch in _chunks(todo):
        report("Encoding pictures", done / len(todo))
        pictures = []
        for meme in batch:
            with Image.open(store.picture_path(meme.id)) as picture:
                pictures.append(picture.convert("RGB"))
        vectors = encoder.encode_images(pictures)
        store.put_image_features(
            encoder.id, {meme.id: row for meme, row in zip(batch, vectors, strict=True)}
        )
    texts = list(dict.fromkeys(meme.text for meme in memes))
    known = store.text_features(encoder.id, texts)
    unknown = [text for text in texts if text not in known]
    for done, chunk in _chunks(unknown):
        report("Encoding texts", done / len(unknown))
        vectors = encoder.encode_texts(chunk)
        store.put_text_features(encoder.id, dict(zip(chunk, vectors, strict=True)))
    return len(todo)


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


def _stack(rows: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    return np.stack(rows).astype(np.float32) if rows else np.empty((0, width), np.float32)


def _chunks(items: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(items), BATCH):
        yield start, items[start : start + BATCH]
