"""How well an OCR engine reads: word error rate, word recall and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from memeapp.errors import BadInput, Unavailable
from memeapp.images import decode_file
from memeapp.ocr import OcrEngine
from memeapp.text import normalise


@dataclass(frozen=True, slots=True)
class OcrReport:
    """Figures of one engine over `pictures` pictures with `words` words of truth."""

    engine: str
    pictures: int
    words: int
    wer: float
    """Substitutions, deletions and insertions by number of true words; may exceed 1."""
    word_recall: float
    """Share of the true words that were read, wherever they stand in the picture."""
    median_seconds: float
    p95_seconds: float

    def to_dict(self) -> dict[str, str | int | float]:
        return asdict(self)

    def to_markdown(self) -> str:
        """A table with one row."""
        return (
            "| engine | pictures | words | WER | word recall | median s | 95 % s |\n"
            "| --- | --- | --- | --- | --- | --- | --- |\n"
            f"| {self.engine} | {self.pictures} | {self.words} | {self.wer:.3f} "
            f"| {self.word_recall:.3f} | {self.median_seconds:.2f} | {self.p95_seconds:.2f} |"
        )


def measure_ocr(
    rows: Iterable[tuple[Path, str]],
    engine: OcrEngine,
    on_row: Callable[[int], None] | None = None,
) -> OcrReport:
    """Read every picture and compare with its true text, both normalised, word by word.

    The first picture is read twice and its first reading not timed: it warms the engine up.
    Rows without a true word are left out. `on_row` is told how many pictures are done.

    Raises:
        Unavailable: if jiwer is not installed.
        BadInput: if no row has a true word.
        BadPicture: if a file is no picture the app opens; it is named.
    """
    try:
        import jiwer  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            "The OCR benchmark needs jiwer; `pip install -r requirements-dev.txt` brings it."
        ) from error
    truths: list[str] = []
    answers: list[str] = []
    seconds: list[float] = []
    for path, text in rows:
        truth = normalise(text)
        if not truth:
            continue
        image = decode_file(path).image
        if not truths:
            engine.read(image)
        reading = engine.read(image)
        truths.append(truth)
        answers.append(normalise(reading.text))
        seconds.append(reading.seconds)
        if on_row:
            on_row(len(truths))
    if not truths:
        raise BadInput("No picture of the benchmark has a true text; give a folder with data.csv.")
    words = sum(len(truth.split()) for truth in truths)
    read = sum(map(_shared_words, truths, answers))
    return OcrReport(
        engine=engine.name,
        pictures=len(truths),
        words=words,
        wer=float(jiwer.wer(truths, answers)),
        word_recall=read / words,
        median_seconds=float(np.median(seconds)),
        p95_seconds=float(np.quantile(seconds, 0.95)),
    )


def _shared_words(truth: str, answer: str) -> int:
    return (Counter(truth.split()) & Counter(answer.split())).total()
