"""What one classification costs, and how much of it the reasons and the reading take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import ParamSpec, TypeVar

import numpy as np

from memeapp.bench.machine import heading
from memeapp.encoders import Encoder
from memeapp.errors import BadInput
from memeapp.images import decode_file
from memeapp.ocr import OcrEngine
from memeapp.service.classify import Classifier
from memeapp.service.features import Report

WARM_UP = 3
"""Memes at the beginning that are judged and not timed."""
ROWS = (
    "text encoded",
    "answer, text given, new picture, no reasons",
    "reasons alone",
    "answer, text given, new picture, with reasons",
    "OCR alone",
    "answer, text read, new picture, with reasons",
)

Measured = dict[str, list[float]]
Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


def bench_classify(
    rows: Sequence[tuple[Path, str]],
    out: Path,
    *,
    open_classifier: Callable[[], Classifier],
    encoder: Encoder,
    ocr: OcrEngine,
    labelled: int,
    report: Report,
) -> None:
    """Time the parts of a classification, one meme at a time, and write `classify.md` to `out`.

    Each way of asking has a classifier of its own, so that none profits from a picture that another
    one has encoded or read. A meme goes through all of them before the next does: what slows the
    machine down for a while slows them all.

    Args:
        rows: pictures and their texts.
        labelled: labelled memes in the data folder, among which the nearest are sought.

    Raises:
        BadInput: if there are too few rows with a text, or only zero-shot answers.
    """
    if len(rows) <= WARM_UP:
        raise BadInput(f"{len(rows)} memes have a text; give a folder with more than {WARM_UP}.")
    bare, whole, reading = (open_classifier() for _ in range(3))
    seconds: Measured = {name: [] for name in ROWS}
    for number, (path, text) in enumerate(rows):
        picture = decode_file(path)
        encoded, _ = _timed(encoder.encode_texts, [text])
        without, _ = _timed(bare.classify, picture, text, reasons=False)
        with_reasons, answer = _timed(whole.classify, picture, text)
        if answer.reasons is None:
            raise BadInput("No trained version answers here, so there are no reasons to time.")
        read, _ = _timed(ocr.read, picture.image)
        with_reading, _ = _timed(reading.classify, picture, "")
        if number >= WARM_UP:
            found = encoded, without, answer.reasons.seconds, with_reasons, read, with_reading
            for name, value in zip(ROWS, found, strict=True):
                seconds[name].append(value)
        report(f"{number + 1} of {len(rows)} memes", (number + 1) / len(rows))
    out.mkdir(parents=True, exist_ok=True)
    (out / "classify.md").write_text(
        page(seconds, encoder=encoder.id, ocr=ocr.name, labelled=labelled), encoding="utf-8"
    )


def _timed(
    work: Callable[Asked, Answer], *args: Asked.args, **kwargs: Asked.kwargs
) -> tuple[float, Answer]:
    began = perf_counter()
    answer = work(*args, **kwargs)
    return perf_counter() - began, answer


def page(seconds: Measured, *, encoder: str, ocr: str, labelled: int) -> str:
    """The results in Markdown."""
    *_, read, with_reading = (np.asarray(seconds[name]) for name in ROWS)
    ratio = np.quantile(with_reading / read, (0.5, 0.95))
    lines = [
        "# What a classification costs",
        "",
        heading(),
        "",
        f"- {len(read):,} memes, one after the other, after {WARM_UP} to warm up; "
        f"encoder `{encoder}`, OCR `{ocr}`, {labelled:,} labelled memes among which reasons name "
        "the nearest.",
        "- Seconds on the server, without Gradio's own. “New picture” counts its encoding; a "
        "picture that is asked about again is not encoded again.",
        "",
        "| | median ms | 95 % ms | largest ms |",
        "| --- | --- | --- | --- |",
    ]
    for name, values in seconds.items():
        median, high, largest = 1e3 * np.quantile(values, (0.5, 0.95, 1.0))
        lines.append(f"| {name} | {median:.0f} | {high:.0f} | {largest:.0f} |")
    lines += [
        "",
        f"An answer with OCR takes {ratio[0]:.2f} times what the OCR takes alone (median over "
        f"memes; 95 %: {ratio[1]:.2f}).",
        "",
    ]
    return "\n".join(lines)
