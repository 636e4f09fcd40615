"""Classify one meme: read its text, encode it, ask the current version, say who spoke."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
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
from memeapp.service.inputs import InputLog
from memeapp.service.reasons import Reasoner
from memeapp.service.zeroshot import CAVEAT, ZeroShot, find_zero_shot, is_tried
from memeapp.store import Store
from memeapp.text import check_length
from memeapp.types import AbstainBand, LabelScore, ModelVersion, Prediction, Reading, TextSource

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
    """The version that answers, loaded, with its encoder; `zero_shot` answers beside it."""

    version: ModelVersion
    checkpoint: Checkpoint | ZeroShot
    encoder: Encoder
    notices: tuple[str, ...]
    zero_shot: ZeroShot | None = None


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
        inputs: InputLog | None = None,
    ) -> None:
        """
        Args:
            inputs: is told of every answer, if anybody wants to know.
        """
        self._store = store
        self._registry = registry
        self._engines = engines
        self._schema = schema
        self._max_text = max_text
        self._holdout_share = holdout_share
        self._inputs = inputs
        self._lock = threading.Lock()
        self._voice_now: tuple[object, _Voice] | None = None
        self._readings: _Recent[Reading] = _Recent()
        self._features: _Recent[NDArray[np.float32]] = _Recent()
        self._reasoner = Reasoner(store)

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
        reasons: bool = True,
    ) -> Prediction:
        """Judge one meme.

        Args:
            text: its text; if empty, OCR reads the picture.
            reading: what OCR read from this picture before; a `text` equal to it counts as OCR's.
            keep: put picture and text into the unlabelled pool. Nothing is stored otherwise.
            reasons: give reasons too; a tenth of a second at most, but for a first answer.

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
        encoding = time.perf_counter()
        text_row = voice.encoder.encode_texts([text])[0]
        encoded_in = time.perf_counter() - encoding
        why = None
        if isinstance(voice.checkpoint, ZeroShot):
            scores = voice.checkpoint.scores(image_row, text_row)
        else:
            scores = _scores(voice.checkpoint, image_row, text_row)
            if reasons:
                why = self._reasoner.explain(
                    voice.checkpoint,
                    voice.encoder,
                    image_row,
                    text_row,
                    text,
                    encoded_in=encoded_in,
                )
        if keep:
            self._store.add_meme(
                picture,
                text=text,
                text_source=source,
                origin="visitor",
                holdout_share=self._holdout_share,
                ocr_confidence=reading.confidence if reading else None,
            )
        prediction = Prediction(
            scores=scores,
            text=text,
            text_source=source,
            lines=reading.lines if reading else (),
            model=voice.version.name,
            encoder=voice.encoder.id,
            ocr=reading.engine if reading else None,
            zero_shot=self._zero_shot(voice.zero_shot, picture, text),
            seconds=time.perf_counter() - started,
            notices=(*voice.notices, *self._engines.notices),
            reasons=why,
        )
        if self._inputs is not None:
            self._inputs.add(picture.id, prediction, kept=keep)
        return prediction

    def status(self) -> Status:
        """Open what is needed and tell who answers; the app calls it once before it listens."""
        ocr = self._engines.ocr().name
        self._engines.encoder()
        voice = self._voice()
        self._reasoner.prepare(voice.encoder)
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
        if self._voice_now is not None:
            self._engines.look_again()
        zero_shot = find_zero_shot(self._engines, self._registry, self._schema)
        try:
            return replace(self._load_version(), zero_shot=zero_shot)
        except MemeAppError as error:
            if zero_shot is None:
                raise
            notice = f"{CAVEAT}. It answers because no version can: {error}"
            return _Voice(zero_shot.version, zero_shot, zero_shot.encoder, (notice,))

    def _load_version(self) -> _Voice:
        version = self._registry.current()
        notices: tuple[str, ...] = ()
        wanted = self._engines.encoder()
        if wanted.id != version.encoder and not is_tried(wanted, self._registry, self._schema):
            notices = (
                f"No version has been trained on encoder {wanted.id} yet; {version.name} answers "
                f"with {version.encoder} until somebody retrains.",
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

    def _zero_shot(
        self, zero_shot: ZeroShot | None, picture: Picture, text: str
    ) -> tuple[LabelScore, ...] | None:
        if zero_shot is None:
            return None
        image_row = self._image_features(zero_shot.encoder, picture)
        return zero_shot.scores(image_row, zero_shot.encoder.encode_texts([text])[0])

    def _image_features(self, encoder: Encoder, picture: Picture) -> NDArray[np.float32]:
        def make() -> NDArray[np.float32]:
            stored = self._store.image_features(encoder.id, [picture.id])
            if picture.id in stored:
                return stored[picture.id]
            row: NDArray[np.float32] = encoder.encode_images([picture.image])[0]
            return row

        return self._features.get((encoder.id, picture.id), make)


def _scores(
    checkpoint: Checkpoint, image: NDArray[np.float32], text: NDArray[np.float32]
) -> tuple[LabelScore, ...]:
    """What the checkpoint says of one meme, label by label."""
    probabilities = checkpoint.predict(image[None, :], text[None, :])
    unsure = checkpoint.unsure(probabilities)[0]
    yes = probabilities[0] >= checkpoint.thresholds
    if checkpoint.recipe.parent_first:
        # A kind can be no surer than the parent it needs, and is a sure no where that is one.
        unsure[1:] = unsure[0] & (unsure | yes)[1:] | ~unsure[0] & yes[0] & unsure[1:]
    return tuple(
        LabelScore(
            label,
            float(probability),
            float(threshold),
            bool(positive),
            bool(doubt),
            None if math.isnan(band.error) else AbstainBand(**asdict(band)),
        )
        for label, probability, threshold, positive, doubt, band in zip(
            checkpoint.labels,
            probabilities[0],
            checkpoint.thresholds,
            checkpoint.decide(probabilities)[0],
            unsure,
            checkpoint.bands,
            strict=True,
        )
    )
