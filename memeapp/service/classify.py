"""Classify one meme: read its text, encode it, ask the current version, say who spoke."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from memeapp.encoders import Encoder
from memeapp.errors import MemeAppError
from memeapp.images import Picture
from memeapp.labels import LabelSchema
from memeapp.learn.checkpoint import Checkpoint
from memeapp.registry import Registry
from memeapp.service.engines import Engines
from memeapp.store import Store
from memeapp.text import check_length
from memeapp.types import LabelScore, ModelVersion, Prediction, Reading, TextSource

log = logging.getLogger(__name__)

RECENT_PICTURES = 64
"""Pictures whose features and reading stay in memory, so that asking again is quick."""

Value = TypeVar("Value")


class _Recent(Generic[Value]):
    """The values of the keys used last, `RECENT_PICTURES` of them; thread-safe."""

    def __init__(self) -> None:
        self._values: OrderedDict[object, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()  # Outside the lock: it takes long, and making it twice does no harm.
        with self._lock:
            self._values[key] = value
            while len(self._values) > RECENT_PICTURES:
                self._values.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class Status:
    """Who would speak if a meme came now, and the fall-backs in force."""

    model: str
    encoder: str
    ocr: str
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Voice:
    """The version that answers, loaded, with its encoder."""

    version: ModelVersion
    checkpoint: Checkpoint
    encoder: Encoder
    notices: tuple[str, ...]


class Classifier:
    """Answers for the whole process; safe to call from many threads."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        engines: Engines,
        schema: LabelSchema,
        *,
        max_text: int,
        holdout_share: float,
    ) -> None:
        self._store = store
        self._registry = registry
        self._engines = engines
        self._schema = schema
        self._max_text = max_text
        self._holdout_share = holdout_share
        self._lock = threading.Lock()
        self._voice_now: tuple[object, _Voice] | None = None
        self._readings: _Recent[Reading] = _Recent()
        self._features: _Recent[NDArray[np.float32]] = _Recent()

    def read_text(self, picture: Picture) -> Reading:
        """Read the text in a picture, or remember what was read when it was here last."""
        return self._readings.get(picture.id, lambda: self._engines.ocr().read(picture.image))

    def classify(
        self,
        picture: Picture,
        text: str,
        *,
        reading: Reading | None = None,
        keep: bool = False,
    ) -> Prediction:
        """Judge one meme.

        Args:
            text: its text; if empty, OCR reads the picture.
            reading: what OCR read from this picture before; a `text` equal to it counts as OCR's.
            keep: put picture and text into the unlabelled pool. Nothing is stored otherwise.

        Raises:
            BadText: if the text is too long.
            Mismatch: if no version knows the labels in force.
        """
        started = time.perf_counter()
        text = check_length(text, self._max_text).strip()
        if reading is not None:
            started -= reading.seconds
        elif not text:
            reading = self.read_text(picture)
        if reading is not None and text in ("", reading.text):
            text, source = reading.text, TextSource.OCR
        else:
            reading, source = None, TextSource.GIVEN
        voice = self._voice()
        image_row = self._image_features(voice.encoder, picture)
        text_row = voice.encoder.encode_texts([text])
        probabilities = voice.checkpoint.predict(image_row[None, :], text_row)
        decisions = voice.checkpoint.decide(probabilities)
        if keep:
            self._store.add_meme(
                picture,
                text=text,
                text_source=source,
                origin="visitor",
                holdout_share=self._holdout_share,
            )
        return Prediction(
            scores=tuple(
                LabelScore(label, float(probability), float(threshold), bool(positive))
                for label, probability, threshold, positive in zip(
                    voice.checkpoint.labels,
                    probabilities[0],
                    voice.checkpoint.thresholds,
                    decisions[0],
                    strict=True,
                )
            ),
            text=text,
            text_source=source,
            lines=reading.lines if reading else (),
            model=voice.version.name,
            encoder=voice.encoder.id,
            ocr=reading.engine if reading else None,
            seconds=time.perf_counter() - started,
            notices=(*voice.notices, *self._engines.notices),
        )

    def status(self) -> Status:
        """Open what is needed and tell who answers; the app calls it once before it listens."""
        ocr = self._engines.ocr().name
        self._engines.encoder()
        voice = self._voice()
        return Status(
            voice.version.name,
            voice.encoder.id,
            ocr,
            (*voice.notices, *self._engines.notices),
        )

    def _voice(self) -> _Voice:
        """The current version, loaded anew when somebody promoted another one."""
        stamp = self._registry.stamp()
        with self._lock:
            if self._voice_now is None or self._voice_now[0] != stamp:
                self._voice_now = (stamp, self._load())
            return self._voice_now[1]

    def _load(self) -> _Voice:
        version = self._registry.current()
        notices: tuple[str, ...] = ()
        if (wanted := self._engines.encoder().id) != version.encoder:
            notices = (
                f"No version trained on encoder {wanted} is in use; {version.name} answers with "
                f"{version.encoder} until somebody retrains.",
            )
        try:
            return self._open(version, notices)
        except MemeAppError as error:
            # The files of a version may be damaged, the folder of its encoder may have moved.
            shipped = self._registry.shipped()
            if version.name == shipped.name:
                raise
            notice = f"{version.name} cannot answer: {error} The shipped version takes over."
            log.warning(notice)
            return self._open(shipped, (notice,))

    def _open(self, version: ModelVersion, notices: tuple[str, ...]) -> _Voice:
        self._schema.check_version(version)
        encoder = self._engines.encoder_for(version.encoder)
        return _Voice(version, self._registry.load(version.name), encoder, notices)

    def _image_features(self, encoder: Encoder, picture: Picture) -> NDArray[np.float32]:
        def make() -> NDArray[np.float32]:
            stored = self._store.image_features(encoder.id, [picture.id])
            if picture.id in stored:
                return stored[picture.id]
            row: NDArray[np.float32] = encoder.encode_images([picture.image])[0]
            return row

        return self._features.get((encoder.id, picture.id), make)
