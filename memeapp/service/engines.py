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
        self._fallbacks: dict[str, str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """The fall-backs so far, in sentences for people."""
        with self._lock:
            return tuple(self._fallbacks.values())

    def encoder(self) -> Encoder:
        """The encoder wanted for training, or the embedded one where that cannot be had."""
        try:
            return self.encoder_for(self._encoder_spec)
        except Unavailable:
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
            if spec in self._fallbacks:
                raise Unavailable(self._fallbacks[spec])
            try:
                encoder = open_encoder(spec)
            except Unavailable as error:
                self._note(spec, f"Encoder {spec} is not available: {error}")
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
                    self._note(self._ocr_setting, f"OCR fell back to RapidOCR: {error}")
                    self._ocr = open_ocr("rapidocr")
            return self._ocr

    def _note(self, wanted: str, sentence: str) -> None:
        self._fallbacks[wanted] = sentence
        log.warning(sentence)
