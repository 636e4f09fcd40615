"""Shards of a corpus → what is read and encoded of them: in this process, or by a crew of workers.

A corpus outgrows one process here and nowhere else: pictures are read and encoded one by one, and
only the caller writes. What comes out is the same, bit for bit, whoever does it.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memeapp.encoders import Encoder, open_encoder
from memeapp.ocr import OcrEngine, open_ocr

T = TypeVar("T")


class Kind(Enum):
    """What is wanted of a shard."""

    READINGS = auto()
    PICTURES = auto()
    TEXTS = auto()


@dataclass(frozen=True, slots=True)
class Shard:
    """What a worker does at a time."""

    kind: Kind
    by: str
    """The id of the encoder, or the name of the OCR engine."""
    keys: tuple[str, ...]
    """The ids of the memes, or the texts themselves."""
    pictures: tuple[bytes, ...] = ()
    """The files of these memes: they travel along, machines of a cluster share no disk."""

    def alone(self) -> list[Shard]:
        """A shard for each item."""
        parts = itertools.zip_longest(self.keys, self.pictures)
        return [
            Shard(self.kind, self.by, (key,), () if picture is None else (picture,))
            for key, picture in parts
        ]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a shard."""

    found: Mapping[str, Any] = field(default_factory=dict)
    """By key: a row of features (d,) float32, or a `Reading`."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """By key: what is wrong with it, in words."""


class Engine(Protocol):
    """Whoever does shards."""

    def run(self, shards: Iterable[Shard]) -> Iterator[Done]:
        """What becomes of them, as it is known, in any order; no more are taken than are under way.

        Raises:
            MemeAppError: as opening the encoder or the OCR engine does.
            Failed: if workers fail one after the other.
        """


OpenEngine = Callable[[Encoder, Callable[[], OcrEngine]], AbstractContextManager[Engine]]
"""Given what is open in this process already; workers of its own open it for themselves."""


class Worker:
    """Does shards in the process it is in; opens each encoder and OCR engine once."""

    def __init__(
        self,
        encoder: Callable[[str], Encoder] = open_encoder,
        ocr: Callable[[str], OcrEngine] = open_ocr,
    ) -> None:
        self._encoder = cache(encoder)
        self._ocr = cache(ocr)

    def do(self, shard: Shard) -> Done:
        """Raises: as opening what it names does, and as encoding does."""
        match shard.kind:
            case Kind.READINGS:
                return _read(self._ocr(shard.by), shard)
            case Kind.PICTURES:
                return _encode_pictures(self._encoder(shard.by), shard)
            case Kind.TEXTS:
                encoder = self._encoder(shard.by)
                rows = _in_even_batches(encoder.encode_texts, shard.keys, encoder.batch)
                return Done(dict(zip(shard.keys, rows, strict=True)))


class InProcess:
    """The engine that does one shard after the other here, with what is open already."""

    def __init__(self, encoder: Encoder, ocr: Callable[[], OcrEngine]) -> None:
        self._worker = Worker(lambda _: encoder, lambda _: ocr())

    def run(self, shards: Iterable[Shard]) -> Iterator[Done]:
        """See `Engine`; what an encoder raises comes through as it is."""
        return map(self._worker.do, shards)


@contextmanager
def here(encoder: Encoder, ocr: Callable[[], OcrEngine]) -> Iterator[Engine]:
    """This process."""
    yield InProcess(encoder, ocr)


def _read(ocr: OcrEngine, shard: Shard) -> Done:
    found = {}
    pictures, refused = _opened(shard)
    for key, picture in pictures.items():
        try:
            found[key] = ocr.read(picture)
        except Exception as error:  # an engine may stumble over one picture
            refused[key] = f"{ocr.name} failed on it ({type(error).__name__}: {error})"
    return Done(found, refused)


def _encode_pictures(encoder: Encoder, shard: Shard) -> Done:
    pictures, refused = _opened(shard)
    rows = _in_even_batches(encoder.encode_images, tuple(pictures.values()), encoder.batch)
    return Done(dict(zip(pictures, rows, strict=True)), refused)


def _opened(shard: Shard) -> tuple[dict[str, Image.Image], dict[str, str]]:
    """The pictures of a shard that can be opened, and what is wrong with the others."""
    pictures, refused = {}, {}
    for key, data in zip(shard.keys, shard.pictures, strict=True):
        try:
            pictures[key] = _open(data)
        except Exception:  # Pillow's decoders raise a dozen kinds on a damaged file.
            refused[key] = "its picture is damaged" if data else "its picture is missing"
    return pictures, refused


def _open(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")


def _in_even_batches(
    encode: Callable[[Sequence[T]], NDArray[np.float32]], items: Sequence[T], size: int
) -> list[NDArray[np.float32]]:
    """A row for each item, of batches of just this size, the last one filled up with its last item.

    The bits of a row depend on how many rows a matrix has, not on what is in the others.
    """
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        filled = [*batch, *[batch[-1]] * (size - len(batch))]
        rows += [row.copy() for row in encode(filled)[: len(batch)]]
    return rows
