"""Which encoder and OCR engine speak, and what to say when the wanted one cannot."""

from __future__ import annotations

import logging
import re
import threading

from memeapp.encoders import Encoder, open_encoder
from memeapp.errors import Unavailable
from memeapp.ocr import OcrEngine, open_ocr

EMBEDDED = "embedded"

log = logging.getLogger(__name__)


def plain(encoder: str) -> str:
    """An encoder's id as people name it: without the number or the hash of its weights."""
    name = re.sub(r"#[0-9a-f]{12}$", "", encoder)
    return EMBEDDED if name.startswith(f"{EMBEDDED}-") else name


class Engines:
    """Opens engines once, on first use, and falls back visibly to those that always work.

    Args:
        encoder: encoder wanted for memes, as `memeapp.encoders.open_encoder` takes it.
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

    @property
    def wanted(self) -> str:
        """The encoder wanted: its id once it is open, as it was named before."""
        with self._lock:
            encoder = self._encoders.get(self._encoder_spec)
        return encoder.id if encoder else self._encoder_spec

    def encoder(self) -> Encoder:
        """The encoder wanted, or the embedded one, with a notice, where that cannot be had."""
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

    def look_again(self) -> None:
        """Forget which encoders could not be had: a training may have fetched one meanwhile."""
        with self._lock:
            self._missing.clear()
            self._notices = [told for told in self._notices if not told.startswith("Encoder ")]

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
