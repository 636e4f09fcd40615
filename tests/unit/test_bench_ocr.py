from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from memeapp.bench.ocr import measure_ocr
from memeapp.errors import BadInput, BadPicture, Unavailable
from memeapp.ocr import OcrEngine
from memeapp.types import Box, Reading, TextLine


class Scripted(OcrEngine):
    """Reads what it is told, by the width of the picture, and takes as many seconds."""

    name = "scripted"

    def __init__(self, answers: dict[int, str]) -> None:
        self.answers = answers

    def read(self, image: Image.Image) -> Reading:
        line = TextLine(self.answers[image.width], 1.0, Box(0, 0, 1, 1))
        return Reading((line,), self.name, float(image.width))


def picture(folder: Path, width: int) -> Path:
    path = folder / f"{width}.png"
    Image.new("RGB", (width, 10)).save(path)
    return path


def test_errors_recall_and_times_are_counted_over_all_words(tmp_path: Path) -> None:
    rows = [
        (picture(tmp_path, 10), "One, two three FOUR!"),
        (picture(tmp_path, 20), "five six"),
        (picture(tmp_path, 30), "123 ??"),
    ]
    engine = Scripted({10: "two one three for", 20: "five six seven", 30: "x"})
    done: list[int] = []
    report = measure_ocr(rows, engine, done.append)
    # Words 1-4: "one" deleted, "one" inserted, "four" substituted; words 5-6: one insertion.
    assert report.wer == pytest.approx(4 / 6)
    assert report.word_recall == pytest.approx(5 / 6)
    assert (report.pictures, report.words, report.engine) == (2, 6, "scripted")
    assert report.median_seconds == 15
    assert report.p95_seconds == pytest.approx(19.5)
    assert done == [1, 2]


def test_a_report_is_a_dictionary_and_a_table(tmp_path: Path) -> None:
    report = measure_ocr([(picture(tmp_path, 10), "a word")], Scripted({10: "a word"}))
    assert report.to_dict()["wer"] == 0.0
    header, rule, row = report.to_markdown().splitlines()
    assert header.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| scripted | 1 | 2 | 0.000 | 1.000 | 10.00 |")


def test_rows_without_a_true_word_are_no_benchmark(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="true text"):
        measure_ocr([(picture(tmp_path, 10), "...")], Scripted({10: "x"}))


@pytest.mark.parametrize("content", [b"", b"<svg/>", None])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "lost.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadPicture, match=r"lost\.png"):
        measure_ocr([(path, "a word")], Scripted({}))


def test_without_jiwer_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(Unavailable, match="pip install -r requirements-dev"):
        measure_ocr([], Scripted({}))
