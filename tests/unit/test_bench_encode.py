"""The encoding benchmark: every way through the same memes, and a page that says what it means."""

import re

import numpy as np
import pytest
from conftest import FakeEncoder, FakeOcr, draw_picture

from memeapp.bench import encode as module
from memeapp.bench.encode import bench_encode
from memeapp.errors import Failed
from memeapp.service.encoding import here


@pytest.fixture
def rows(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(12)]
    for number, file in enumerate(files):
        file.write_bytes(draw_picture(number))
    return [(file, f"text {number}") for number, file in enumerate(files)]


def measure(rows, out, **changes):
    given = {"encoder": FakeEncoder(), "ocr": FakeOcr(), "read": 5, "workers": [], "rounds": 2}
    told = []
    bench_encode(
        rows, out, address=None, report=lambda *args: told.append(args), **{**given, **changes}
    )
    return (out / "encode.md").read_text(), told


def test_the_page_has_the_rates_of_each_way_and_what_they_make_of_a_million(rows, tmp_path):
    page, told = measure(rows, tmp_path / "out")
    assert "12 memes, the text of 5 read by `fake-ocr`; encoder `fake-1`" in page
    assert re.search(r"\| in-process \| [\d.]+ \|( [\d.e+]+ \| 1.00 \|){3} [\d,]+ \|\n", page)
    assert re.search(r"\n\| 1,000,000 \| .* GB \| [\d.]+ GB \|\n", page)
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_a_way_that_gives_other_features_fails_the_benchmark(rows, tmp_path, monkeypatch):
    class Other(FakeEncoder):
        def encode_texts(self, texts):
            return np.nextafter(super().encode_texts(texts), 2, dtype=np.float32)

    def ways(encoder, ocr, workers, address):
        return {
            "in-process": lambda: here(encoder, lambda: ocr),
            "another": lambda: here(Other(), lambda: ocr),
        }

    monkeypatch.setattr(module, "_ways", ways)
    with pytest.raises(Failed, match="another gave other features than in-process"):
        measure(rows, tmp_path / "out")
