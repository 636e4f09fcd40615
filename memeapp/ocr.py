"""OCR engines: a picture in, lines of text with boxes in reading order out."""

from __future__ import annotations

import logging
import os
import statistics
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from memeapp.cores import cores
from memeapp.errors import BadSetting, Unavailable
from memeapp.types import Box, Reading, TextLine

EASYOCR_MODELS = ("craft_mlt_25k.pth", "english_g2.pth")
"""Detector and recogniser that easyocr uses for English."""

MAX_ASPECT = 4
"""Thinner pictures are padded before RapidOCR sees them."""

Points = Sequence[Sequence[float]]
"""Corners (x, y) of one line, in pixels, from any of the engines."""


class OcrEngine(ABC):
    """Reads the text of a picture. May be used from several threads."""

    name: str

    @abstractmethod
    def read(self, image: Image.Image) -> Reading:
        """Lines in reading order, boxes in pixels of `image`; no text gives no lines."""


class _LineFinder(OcrEngine):
    """What the engines share: one picture at a time, upright boxes, reading order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def read(self, image: Image.Image) -> Reading:
        """See `OcrEngine`; threads wait for each other."""
        began = time.perf_counter()
        with self._lock:
            found = self._find(image.convert("RGB"))
        lines = [
            TextLine(text.strip(), min(1.0, max(0.0, confidence)), _upright(points, image))
            for points, text, confidence in found
            if text.strip()
        ]
        return Reading(tuple(reading_order(lines)), self.name, time.perf_counter() - began)

    @abstractmethod
    def _find(self, image: Image.Image) -> Iterable[tuple[Points, str, float]]:
        """Corners, text and confidence of each line, in any order."""


class RapidOcr(_LineFinder):
    """PP-OCR on ONNX Runtime; its models come with the wheel."""

    name = "rapidocr"

    def __init__(self) -> None:
        """Load the models.

        Raises:
            Unavailable: if rapidocr is not installed.
        """
        super().__init__()
        try:
            from rapidocr import RapidOCR  # noqa: PLC0415
        except ImportError as error:
            raise Unavailable(
                f"rapidocr cannot be imported ({error}); `pip install -r requirements.txt` "
                "brings it."
            ) from error
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        self._engine = RapidOCR(
            params={
                "Global.log_level": "error",
                # The 180-degree classifier turns good wide lines over more often than it helps.
                "Global.use_cls": False,
                # A page of small print would keep everybody waiting for half a minute.
                "Det.max_candidates": 300,
                # Below this it is mostly the picture's texture.
                "Global.text_score": 0.6,
                "EngineConfig.onnxruntime.intra_op_num_threads": min(4, cores()),
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def _find(self, image: Image.Image) -> Iterable[tuple[Points, str, float]]:
        # The detector enlarges until the shorter side has 736 pixels: a strip of 1600 x 8 would
        # take gigabytes. Padding at the right or below leaves the coordinates as they are.
        least = max(image.size) // MAX_ASPECT
        padded = image.crop((0, 0, max(image.width, least), max(image.height, least)))
        found = self._engine(np.ascontiguousarray(np.asarray(padded)[:, :, ::-1]))
        if found.txts is None or found.boxes is None:
            return []
        return zip(found.boxes.tolist(), found.txts, found.scores, strict=True)


class Reads(Protocol):
    """What `EasyOcr` asks of an easyocr `Reader`."""

    def readtext(self, image: Any) -> list[tuple[Points, str, float]]: ...


class EasyOcr(_LineFinder):
    """easyocr for English; its models are downloaded once, by a person, never by the app."""

    name = "easyocr"

    def __init__(self, reader: Reads | None = None) -> None:
        """Load the models from easyocr's folder, unless a reader is given.

        Raises:
            Unavailable: at once, if easyocr or its models are not on this machine.
        """
        super().__init__()
        self._reader = reader or _easyocr_reader()

    def _find(self, image: Image.Image) -> Iterable[tuple[Points, str, float]]:
        return self._reader.readtext(np.asarray(image))


def easyocr_folder() -> Path:
    """Where easyocr keeps its models: under its own variables or in the home folder."""
    root = os.environ.get("EASYOCR_MODULE_PATH") or os.environ.get("MODULE_PATH") or "~/.EasyOCR"
    return Path(root).expanduser() / "model"


def _easyocr_reader() -> Reads:
    """easyocr's reader for English. The files are looked for first: importing it takes seconds."""
    for file in (easyocr_folder() / name for name in EASYOCR_MODELS):
        if not file.is_file():
            raise Unavailable(
                f"easyocr's model {file} is not on this machine; bring it there as the README "
                "says, or set MEMEAPP_OCR=rapidocr."
            )
    try:
        import easyocr  # noqa: PLC0415
        import torch  # noqa: PLC0415

        reader: Reads = easyocr.Reader(
            ["en"],
            gpu=torch.cuda.is_available(),
            model_storage_directory=str(easyocr_folder()),
            download_enabled=False,
            verbose=False,
        )
    except Exception as error:  # A damaged model file fails in torch in many ways.
        raise Unavailable(
            f"easyocr cannot load its models from {easyocr_folder()} ({error}); bring them there "
            "again, or set MEMEAPP_OCR=rapidocr."
        ) from error
    return reader


def open_ocr(setting: str) -> OcrEngine:
    """Open `rapidocr`, `easyocr`, or `auto`: easyocr if its models are here, else rapidocr.

    Raises:
        BadSetting: if there is no such engine.
        Unavailable: if the engine that was asked for cannot run here.
    """
    match setting:
        case "rapidocr":
            return RapidOcr()
        case "easyocr":
            return EasyOcr()
        case "auto":
            try:
                return EasyOcr()
            except Unavailable:
                return RapidOcr()
    raise BadSetting(f"There is no OCR engine {setting!r}; take auto, rapidocr or easyocr.")


def reading_order(lines: Iterable[TextLine]) -> list[TextLine]:
    """Lines from top to bottom and left to right, column by column where there are columns.

    Recursive XY-cut (Nagy and Seth, 1984): the lines are cut where the widest empty strip runs
    across them, into upper and lower or into left and right. An upright strip separates columns
    if it is also at least as wide as a line is high; narrower ones are spaces between words.
    What cannot be cut is read row by row.
    """
    ordered: list[TextLine] = []
    waiting = [list(lines)]
    while waiting:
        group = waiting.pop()
        if not group:
            continue
        height = statistics.median(line.box.height for line in group)
        down, bottom = _widest_gap([(line.box.top, line.box.bottom) for line in group])
        across, right = _widest_gap([(line.box.left, line.box.right) for line in group])
        if across > down and across >= height:
            waiting.append([line for line in group if line.box.left >= right])
            waiting.append([line for line in group if line.box.left < right])
        elif down > 0:
            waiting.append([line for line in group if line.box.top >= bottom])
            waiting.append([line for line in group if line.box.top < bottom])
        else:
            ordered += _rows(group)
    return ordered


def _widest_gap(intervals: list[tuple[float, float]]) -> tuple[float, float]:
    """Width and end of the widest strip that no interval touches; (0, 0) if there is none."""
    widest = (0.0, 0.0)
    reached = min(start for start, _ in intervals)
    for start, end in sorted(intervals):
        widest = max(widest, (start - reached, start))
        reached = max(reached, end)
    return widest if widest[0] > 0 else (0.0, 0.0)


def _rows(lines: list[TextLine]) -> list[TextLine]:
    """Lines that overlap by half a height share a row; rows top down, each left to right."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: line.box.top + line.box.bottom):
        if rows and _share_row(rows[-1][-1].box, line.box):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box.left)]


def _share_row(a: Box, b: Box) -> bool:
    overlap = min(a.bottom, b.bottom) - max(a.top, b.top)
    return overlap >= min(a.height, b.height) / 2


def _upright(points: Points, image: Image.Image) -> Box:
    """The box around the corners, inside the picture."""
    xs = [min(max(float(x), 0.0), image.width) for x, _ in points]
    ys = [min(max(float(y), 0.0), image.height) for _, y in points]
    return Box(min(xs), min(ys), max(xs), max(ys))
