from types import SimpleNamespace

import pytest
from PIL import Image

from memeapp.bench.classify import ROWS, WARM_UP, bench_classify, page
from memeapp.errors import BadInput


class Remembering:
    """A classifier that notes what it is asked."""

    def __init__(self):
        self.asked = []

    def classify(self, picture, text, *, reasons=True):
        self.asked.append((picture.id, text, reasons))
        return SimpleNamespace(reasons=SimpleNamespace(seconds=0.05) if reasons else None)


@pytest.fixture
def corpus(tmp_path):
    rows = []
    for number in range(WARM_UP + 2):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (20 + number, 20)).save(path)
        rows.append((path, f"text {number}"))
    return rows


def run(rows, out):
    made = []
    progress = []

    def open_classifier():
        made.append(Remembering())
        return made[-1]

    bench_classify(
        rows,
        out,
        open_classifier=open_classifier,
        encoder=SimpleNamespace(id="embedded-9", encode_texts=lambda texts: texts),
        ocr=SimpleNamespace(name="scripted", read=lambda image: None),
        labelled=7,
        report=lambda stage, share: progress.append(share),
    )
    return made, progress


def test_each_way_of_asking_sees_every_picture_for_the_first_time(corpus, tmp_path):
    (bare, whole, reading), progress = run(corpus, tmp_path / "out")
    texts = [text for _, text in corpus]
    assert [(text, reasons) for _, text, reasons in bare.asked] == [(t, False) for t in texts]
    assert [(text, reasons) for _, text, reasons in whole.asked] == [(t, True) for t in texts]
    assert [text for _, text, _ in reading.asked] == [""] * len(texts)
    assert all(len({id for id, *_ in one.asked}) == len(texts) for one in (bare, whole, reading))
    assert progress[-1] == 1


def test_the_page_counts_only_memes_after_the_warm_up(corpus, tmp_path):
    run(corpus, tmp_path / "out")
    text = (tmp_path / "out" / "classify.md").read_text(encoding="utf-8")
    assert f"- 2 memes, one after the other, after {WARM_UP} to warm up" in text
    assert "`embedded-9`, OCR `scripted`, 7 labelled memes" in text
    assert "| reasons alone | 50 | 50 | 50 |" in text


def test_quantiles_are_over_memes_and_the_ratio_is_taken_meme_by_meme():
    seconds = {name: [0.01] * 3 for name in ROWS}
    seconds["OCR alone"] = [1.0, 0.1, 0.2]
    seconds["answer, text read, new picture, with reasons"] = [2.0, 0.11, 0.6]
    text = page(seconds, encoder="e", ocr="o", labelled=0)
    assert "| OCR alone | 200 | 920 | 1000 |" in text
    assert "takes 2.00 times what the OCR takes alone (median over memes; 95 %: 2.90)" in text


def test_too_few_memes_are_no_benchmark(corpus, tmp_path):
    with pytest.raises(BadInput, match="3 memes have a text"):
        run(corpus[:WARM_UP], tmp_path / "out")
    assert not (tmp_path / "out").exists()
