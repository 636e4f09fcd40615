"""Which encoder and OCR engine speak, and what to say when the wanted one cannot."""

from __future__ import annotations

import logging
import threading

from memeapp.encoders import Encoder, open_encoder
from memeapp.errors import Unavailable
from memeapp.ocr import OcrEngine, open_ocr

EMBEDDED = "embedded"

log = logging.getLogger(__name__)


class Engines:
    """Opens engines once, on first use, and falls back visibly to those that always work.

    Args:
        encoder: encoder wanted for training, as `memeapp.encoders.open_encoder` takes it.
        ocr: OCR engine wanted, as `memeapp.ocr.open_ocr` takes it.
    """

    def __init__(self, encoder: str, ocr: str) -> None:
        self._encoder_spec = encoder
        self._ocr_setting = ocr
        self._lock = threading.RLock()
        self._encoders: dict[str, Encoder] = {}
        self._ocr: OcrEngine | None = None
        self._missing: dict[str, Unavailable] = {}
        self._notices: list[str] = []

    @property
    def notices(self) -> tuple[str, ...]:
        """The fall-backs in force, in sentences for people."""
        with self._lock:
            return tuple(self._notices)

    def encoder(self) -> Encoder:
        """The encoder wanted for training, or the embedded one where that cannot be had."""
        try:
            return self.encoder_for(self._encoder_spec)
        except Unavailable as error:
            self._note(
                f"Encoder {self._encoder_spec} is not available here; the embedded encoder takes "
                f"its place. {error}"
            )
            return self.encoder_for(EMBEDDED)

    def encoder_for(self, spec: str) -> Encoder:
        """The encoder of this spec or id, opened once.

        Raises:
            Unavailable: if its weights cannot be had here; remembered, so that only the first
                call waits for the network.
        """
        with self._lock:
            if spec in self._encoders:
                return self._encoders[spec]
            if spec in self._missing:
                raise self._missing[spec]
            try:
                encoder = open_encoder(spec)
            except Unavailable as error:
                self._missing[spec] = error
                raise
            self._encoders[spec] = self._encoders[encoder.id] = encoder
            return encoder

    def ocr(self) -> OcrEngine:
        """The OCR engine wanted, or the one whose models are in its wheel."""
        with self._lock:
            if self._ocr is None:
                try:
                    self._ocr = open_ocr(self._ocr_setting)
                except Unavailable as error:
                    self._note(
                        f"OCR engine {self._ocr_setting} is not available here; RapidOCR takes "
                        f"its place. {error}"
                    )
                    self._ocr = open_ocr("rapidocr")
            return self._ocr

    def _note(self, sentence: str) -> None:
        with self._lock:
            if sentence not in self._notices:
                self._notices.append(sentence)
                log.warning(sentence)
