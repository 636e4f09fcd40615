"""Memes and votes → `FeatureSet`: reads missing text, encodes what is not cached, aggregates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memeapp.encoders import Encoder
from memeapp.learn.data import FeatureSet
from memeapp.ocr import OcrEngine
from memeapp.store import Store
from memeapp.types import Meme, TextSource

Report = Callable[[str, float], None]
"""Called with what is being done, in words, and the share of it that is done in [0, 1]."""

T = TypeVar("T")

BATCH = 32
"""Pictures in memory at once: peak memory is bounded by this, not by the corpus."""


def prepare(
    store: Store,
    memes: Sequence[Meme],
    encoder: Encoder,
    ocr: Callable[[], OcrEngine],
    report: Report,
) -> tuple[list[Meme], int]:
    """Read the text of memes that have none and encode what the store has no features for.

    The store keeps both: interrupted and started again, it goes on where it was. No more than
    `BATCH` pictures are open at once; what grows with the corpus is the list of `memes`.

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
    pace = _Pace(
        report, "Reading texts", sum(meme.text_source is TextSource.NONE for meme in memes)
    )
    complete = []
    for meme in memes:
        if meme.text_source is TextSource.NONE:
            pace.tell()
            text = ocr().read(_open(store, meme)).text
            store.improve_text(meme.id, text, TextSource.OCR)
            meme = store.meme(meme.id)
            pace.done += 1
        complete.append(meme)
    return complete


def _encode_pictures(store: Store, memes: Sequence[Meme], encoder: Encoder, report: Report) -> int:
    missing = set(store.without_image_features(encoder.id, [meme.id for meme in memes]))
    todo = [meme for meme in memes if meme.id in missing]
    pace = _Pace(report, "Encoding pictures", len(memes), done=len(memes) - len(todo))
    for batch in _batches(todo):
        pace.tell()
        vectors = encoder.encode_images([_open(store, meme) for meme in batch])
        rows = {meme.id: row for meme, row in zip(batch, vectors, strict=True)}
        store.put_image_features(encoder.id, rows)
        pace.done += len(batch)
    return len(todo)


def _encode_texts(store: Store, memes: Sequence[Meme], encoder: Encoder, report: Report) -> None:
    texts = list(dict.fromkeys(meme.text for meme in memes))
    todo = store.without_text_features(encoder.id, texts)
    pace = _Pace(report, "Encoding texts", len(texts), done=len(texts) - len(todo))
    for batch in _batches(todo):
        pace.tell()
        vectors = encoder.encode_texts(batch)
        store.put_text_features(encoder.id, dict(zip(batch, vectors, strict=True)))
        pace.done += len(batch)


class _Pace:
    """Tells how many of how many are done, how fast it goes and how long it will take.

    What was there before (`done` at the start) counts as done, but not for the speed.
    """

    def __init__(self, report: Report, stage: str, total: int, *, done: int = 0) -> None:
        self._report = report
        self._stage = stage
        self._total = total
        self._before = self.done = done
        self._started = time.perf_counter()

    def tell(self) -> None:
        words = f"{self._stage}: {self.done:,} of {self._total:,}"
        if self.done > self._before:
            speed = (self.done - self._before) / max(time.perf_counter() - self._started, 1e-6)
            left = in_words((self._total - self.done) / speed)
            words += f", {speed:.{0 if speed >= 10 else 1}f} memes/s, about {left} left"
        self._report(words, self.done / self._total)


def in_words(seconds: float) -> str:
    """A stretch of time as people say it: "40 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _open(store: Store, meme: Meme) -> Image.Image:
    with Image.open(store.picture_path(meme.id)) as picture:
        return picture.convert("RGB")


def feature_set(
    store: Store,
    memes: Sequence[Meme],
    encoder: Encoder,
    targets: Mapping[str, NDArray[np.float32]],
    labels: Sequence[str],
    votes: Mapping[str, int] | None = None,
) -> FeatureSet:
    """The encoded memes with their soft targets, NaN where nobody judged; templates kept together.

    Args:
        targets: meme id → (C,) shares in the order of `labels`; a meme may be absent.
        votes: meme id → how many people judged it; a meme's weight grows with them, see
            `vote_weight`. All memes weigh the same if None.
    """
    images = store.image_features(encoder.id, [meme.id for meme in memes])
    texts = store.text_features(encoder.id, list({meme.text for meme in memes}))
    unjudged = np.full(len(labels), np.nan, dtype=np.float32)
    counts = [(votes or {}).get(meme.id, 1) for meme in memes]
    return FeatureSet(
        ids=tuple(meme.id for meme in memes),
        image=stack([images[meme.id] for meme in memes], encoder.image_width),
        text=stack([texts[meme.text] for meme in memes], encoder.text_width),
        targets=stack([targets.get(meme.id, unjudged) for meme in memes], len(labels)),
        labels=tuple(labels),
        weights=np.array([vote_weight(count) for count in counts], dtype=np.float32),
        groups=numbered([meme.template for meme in memes]),
    )


def vote_weight(votes: int) -> float:
    """2n / (n + 1): one vote weighs 1, three 1.5, any number less than 2.

    The share of n votes errs by the annotators' disagreement / n, and the model by what no number
    of votes can tell; with both equally large, this is the inverse of their sum.
    """
    return 2 * votes / (votes + 1)


def between(report: Report, low: float, high: float) -> Report:
    """A report for one part of a task: its share done is scaled into [low, high]."""

    def scaled(stage: str, done: float) -> None:
        report(stage, low + (high - low) * done)

    return scaled


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, W) rows scaled to length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """(N,) a number for each name, counted as they first come."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def stack(rows: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """(N, W) the rows as one array; of this width where there is none."""
    return (
        np.stack(rows).astype(np.float32, copy=False) if rows else np.empty((0, width), np.float32)
    )


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
