from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from memeapp.errors import BadSetting, Unavailable
from memeapp.ocr import EASYOCR_MODELS, EasyOcr, RapidOcr, open_ocr, reading_order
from memeapp.text import normalise
from memeapp.types import Box, TextLine

ASSETS = Path(__file__).resolve().parents[2] / "memeapp" / "ui" / "assets"


@pytest.fixture(scope="module")
def rapid() -> RapidOcr:
    return RapidOcr()


def line(text: str, left: float, top: float, right: float, bottom: float) -> TextLine:
    return TextLine(text, 0.9, Box(left, top, right, bottom))


def in_order(*lines: TextLine) -> str:
    return " ".join(line.text for line in reading_order(lines))


def caption(*texts: str, size: tuple[int, int] = (600, 500)) -> Image.Image:
    image = Image.new("RGB", size, "seagreen")
    font = ImageFont.truetype(ASSETS / "fonts" / "Anton-Regular.woff2", 48)
    places = ((size[0] / 2, 10, "ma"), (size[0] / 2, size[1] - 20, "md"))
    for text, (x, y, anchor) in zip(texts, places, strict=False):
        ImageDraw.Draw(image).text(
            (x, y), text, "white", font, anchor, stroke_width=3, stroke_fill="black"
        )
    return image


def test_top_and_bottom_captions_are_read_in_order_with_boxes(rapid: RapidOcr) -> None:
    reading = rapid.read(caption("WHEN THE TESTS", "PASS AT ONCE"))
    assert normalise(reading.text) == "when the tests pass at once"
    assert reading.engine == "rapidocr"
    assert reading.seconds > 0
    top, bottom = reading.lines
    assert 0 <= top.box.top < top.box.bottom < 120
    assert 400 < bottom.box.top < bottom.box.bottom <= 500
    assert all(0 <= line.confidence <= 1 for line in reading.lines)


@pytest.mark.parametrize("name", ["astronaut", "camera", "coffee", "hubble_deep_field"])
def test_the_shipped_examples_are_read_without_an_error(rapid: RapidOcr, name: str) -> None:
    expected = {
        "astronaut": "she said she needed space now she flies a shuttle",
        "camera": "he said one last photo that was two hours ago",
        "coffee": "my brother makes the coffee my sister makes the bridges",
        "hubble_deep_field": "turned on all the lights still cannot find my keys",
    }
    with Image.open(ASSETS / "examples" / f"{name}.jpg") as image:
        assert normalise(rapid.read(image).text) == expected[name]


@pytest.mark.parametrize("size", [(8, 8), (8, 1600), (1600, 8), (300, 200)])
def test_a_picture_without_text_gives_no_lines(rapid: RapidOcr, size: tuple[int, int]) -> None:
    reading = rapid.read(Image.new("RGB", size, "navy"))
    assert reading.lines == ()
    assert reading.text == ""


def test_the_engine_is_quiet(rapid: RapidOcr, capfd: pytest.CaptureFixture[str]) -> None:
    RapidOcr().read(Image.new("RGB", (64, 64)))
    assert capfd.readouterr() == ("", "")


def test_threads_may_share_an_engine(rapid: RapidOcr) -> None:
    words = ["APPLE", "BANANA", "CHERRY", "ORANGE"]
    with ThreadPoolExecutor(4) as pool:
        readings = pool.map(rapid.read, [caption(word, size=(400, 200)) for word in words])
    assert [reading.text for reading in readings] == words


def test_a_line_above_comes_before_a_line_below() -> None:
    assert in_order(line("b", 0, 50, 90, 70), line("a", 10, 10, 80, 30)) == "a b"


def test_pieces_of_one_row_are_read_from_left_to_right_though_they_tilt() -> None:
    row = (line("c", 210, 2, 300, 24), line("a", 0, 10, 100, 32), line("b", 105, 6, 205, 28))
    assert in_order(*row, line("d", 0, 30, 300, 52)) == "a b c d"


def test_columns_are_read_one_after_the_other() -> None:
    left = [line(f"l{i}", 0, 25 * i, 200, 25 * i + 20) for i in range(3)]
    right = [line(f"r{i}", 300, 25 * i + 7, 500, 25 * i + 27) for i in range(3)]
    assert in_order(*right, *left) == "l0 l1 l2 r0 r1 r2"


def test_a_title_over_two_columns_comes_first() -> None:
    title = line("title", 0, 0, 500, 30)
    left = [line(f"l{i}", 0, 100 + 25 * i, 200, 120 + 25 * i) for i in range(2)]
    right = [line(f"r{i}", 300, 100 + 25 * i, 500, 120 + 25 * i) for i in range(2)]
    assert in_order(*right, *left, title) == "title l0 l1 r0 r1"


def test_four_panels_are_read_row_by_row() -> None:
    panels = {"1": (0, 0), "2": (300, 0), "3": (0, 400), "4": (300, 400)}
    lines = [
        line(f"{name}{part}", x, y + 25 * row, x + 200, y + 25 * row + 20)
        for name, (x, y) in panels.items()
        for row, part in enumerate("ab")
    ]
    assert in_order(*reversed(lines)) == "1a 1b 2a 2b 3a 3b 4a 4b"


boxes = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(0, 30)] * 2)


@given(st.lists(boxes, max_size=40))
def test_reading_order_keeps_every_line(drawn: list[tuple[int, int, int, int]]) -> None:
    lines = [line(str(n), x, y, x + w, y + h) for n, (x, y, w, h) in enumerate(drawn)]
    assert sorted(map(id, reading_order(lines))) == sorted(map(id, lines))


class FakeReader:
    def readtext(self, image: np.ndarray) -> Iterable[tuple[object, str, float]]:
        assert image.shape == (100, 200, 3)
        tilted = [[20, 62], [180, 58], [181, 88], [21, 92]]
        outside = [[np.int32(-5), 5], [260, 5], [260, 30], [-5, 30]]
        return [(tilted, "below", 0.8), (outside, " above ", np.float64(1.2)), (outside, " ", 0.3)]


def test_easyocr_lines_become_upright_boxes_inside_the_picture_in_reading_order() -> None:
    reading = EasyOcr(FakeReader()).read(Image.new("RGB", (200, 100)))
    assert reading.engine == "easyocr"
    assert reading.lines == (
        TextLine("above", 1.0, Box(0, 5, 200, 30)),
        TextLine("below", 0.8, Box(20, 58, 181, 92)),
    )


def test_easyocr_without_models_says_at_once_which_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYOCR_MODULE_PATH", str(tmp_path))
    began = time.perf_counter()
    with pytest.raises(Unavailable, match=f"{tmp_path}/model/craft_mlt_25k.pth"):
        open_ocr("easyocr")
    assert time.perf_counter() - began < 3
    assert not list(tmp_path.iterdir())


def test_easyocr_with_damaged_models_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYOCR_MODULE_PATH", str(tmp_path))
    (tmp_path / "model").mkdir()
    for name in EASYOCR_MODELS:
        (tmp_path / "model" / name).write_bytes(b"no weights")
    with pytest.raises(Unavailable, match="cannot load its models"):
        open_ocr("easyocr")


def test_auto_takes_rapidocr_where_easyocr_has_no_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYOCR_MODULE_PATH", str(tmp_path))
    assert isinstance(open_ocr("auto"), RapidOcr)


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadSetting, match="'tesseract'; take auto, rapidocr or easyocr"):
        open_ocr("tesseract")
