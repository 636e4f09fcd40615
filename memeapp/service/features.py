"""Memes and votes → `FeatureSet`: reads missing text, encodes what is not cached, aggregates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from memeapp.encoders import Encoder
from memeapp.errors import BadPicture
from memeapp.learn.data import FeatureSet
from memeapp.ocr import OcrEngine
from memeapp.service.encoding import Engine, InProcess, Kind, Shard
from memeapp.store import Store
from memeapp.types import Meme, TextSource

Report = Callable[[str, float], None]
"""Called with what is being done, in words, and the share of it that is done in [0, 1]."""

T = TypeVar("T")

BATCH = 32
"""Pictures or texts that one worker has in memory at once; see `prepare`."""
READ_AT_ONCE = 4
"""Reading is slow: so many take a second."""
NAMED = 10
"""Memes that a message names at most."""


def prepare(
    store: Store,
    memes: Sequence[Meme],
    encoder: Encoder,
    ocr: Callable[[], OcrEngine],
    report: Report,
    engine: Engine | None = None,
) -> tuple[list[Meme], int]:
    """Read the text of memes that have none and encode what the store has no features for.

    The store keeps both: interrupted and started again, it goes on where it was. No more than
    `BATCH` pictures are open at once in each worker; what grows with the corpus is the list of
    `memes`.

    Args:
        engine: does the work; this process if None. What comes out is the same.

    Returns:
        The memes with their texts, in the same order, and how many pictures were encoded.

    Raises:
        BadPicture: after all others are done, with the memes whose pictures cannot be used.
    """
    work = Work(store, engine or InProcess(encoder, ocr))
    complete = work.read_missing(memes, ocr, between(report, 0.0, 0.5))
    encoded = work.encode_pictures(complete, encoder, between(report, 0.5, 0.9))
    work.encode_texts(complete, encoder, between(report, 0.9, 1.0))
    if work.refused:
        raise BadPicture(_in_words(work.refused))
    return complete, encoded


class Work:
    """Hands shards to an engine and puts what comes back into the store at once."""

    def __init__(self, store: Store, engine: Engine, *, at_once: int | None = None) -> None:
        self._store = store
        self._engine = engine
        self._at_once = at_once or BATCH
        self.refused: dict[str, str] = {}
        """By meme or text: why it could not be read or encoded."""

    def read_missing(
        self, memes: Sequence[Meme], ocr: Callable[[], OcrEngine], report: Report
    ) -> list[Meme]:
        ids = [meme.id for meme in memes if meme.text_source is TextSource.NONE]
        if not ids:
            return list(memes)
        pace = _Pace(report, "Reading texts", len(ids))
        shards = self._of_pictures(Kind.READINGS, ocr().name, ids, min(self._at_once, READ_AT_ONCE))
        for readings in self._done(shards, pace):
            for id, reading in readings.items():
                self._store.improve_text(id, reading.text, TextSource.OCR, reading.confidence)
        read = set(ids)
        return [self._store.meme(meme.id) if meme.id in read else meme for meme in memes]

    def encode_pictures(self, memes: Sequence[Meme], encoder: Encoder, report: Report) -> int:
        ids = self._store.without_image_features(encoder.id, [meme.id for meme in memes])
        pace = _Pace(report, "Encoding pictures", len(memes), done=len(memes) - len(ids))
        shards = self._of_pictures(Kind.PICTURES, encoder.id, ids, self._at_once)
        encoded = 0
        for rows in self._done(shards, pace):
            self._store.put_image_features(encoder.id, rows)
            encoded += len(rows)
        return encoded

    def encode_texts(self, memes: Sequence[Meme], encoder: Encoder, report: Report) -> None:
        texts = list(dict.fromkeys(meme.text for meme in memes))
        todo = self._store.without_text_features(encoder.id, texts)
        pace = _Pace(report, "Encoding texts", len(texts), done=len(texts) - len(todo))
        batches = _batches(todo, self._at_once)
        shards = (Shard(Kind.TEXTS, encoder.id, tuple(batch)) for batch in batches)
        for rows in self._done(shards, pace):
            self._store.put_text_features(encoder.id, rows)

    def _of_pictures(self, kind: Kind, by: str, ids: Sequence[str], size: int) -> Iterator[Shard]:
        for batch in _batches(ids, size):
            yield Shard(kind, by, tuple(batch), tuple(map(self._picture, batch)))

    def _picture(self, id: str) -> bytes:
        """The file, which whoever opens it finds to be no picture if it is missing."""
        with suppress(OSError):
            return self._store.picture_path(id).read_bytes()
        return b""

    def _done(self, shards: Iterable[Shard], pace: _Pace) -> Iterator[Mapping[str, Any]]:
        pace.tell()
        for done in self._engine.run(shards):
            yield done.found
            self.refused |= done.refused
            pace.done += len(done.found) + len(done.refused)
            pace.tell()


def _in_words(refused: Mapping[str, str]) -> str:
    named = [f"{key[:80]}: {why}" for key, why in list(refused.items())[:NAMED]]
    more = f"; and {len(refused) - NAMED:,} more" if len(refused) > NAMED else ""
    return (
        f"{len(refused):,} memes cannot be read or encoded, all others are done. "
        f"{'; '.join(named)}{more}. Bring damaged and missing pictures back from a backup of the "
        "data folder (pictures/, a file is named by its meme), and start it again."
    )


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
        if self._before < self.done < self._total:
            speed = (self.done - self._before) / max(time.perf_counter() - self._started, 1e-6)
            left = in_words((self._total - self.done) / speed)
            words += f", {speed:.{0 if speed >= 10 else 1}f} memes/s, about {left} left"
        self._report(words, self.done / max(1, self._total))


def in_words(seconds: float) -> str:
    """A stretch of time as people say it: "40 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
