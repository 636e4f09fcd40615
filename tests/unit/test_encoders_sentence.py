from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from memeapp.encoders import sentence
from memeapp.encoders.runtime import open_session
from memeapp.encoders.sentence import FOLDER, SentenceEncoder
from memeapp.errors import Unavailable

TEXTS = [
    "A dog plays fetch in the park.",
    "A puppy runs after a ball on the grass.",
    "The central bank raised interest rates again.",
    "me",
    "WHEN THE COFFEE FINALLY ARRIVES " * 40,
    "",
]


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


def test_texts_that_mean_the_same_are_near_each_other(encoder: SentenceEncoder) -> None:
    dog, puppy, bank = encoder.encode(TEXTS[:3])
    assert dog @ puppy > 0.3
    assert abs(dog @ bank) < 0.1


def test_rows_have_length_one(encoder: SentenceEncoder) -> None:
    rows = encoder.encode(TEXTS[:5])
    assert (rows.dtype, rows.shape) == (np.float32, (5, 384))
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(5), abs=1e-5)


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b", "\ud800"])
def test_a_text_without_a_token_is_the_zero_vector(encoder: SentenceEncoder, text: str) -> None:
    assert not encoder.encode([text]).any()
    assert encoder.encode([text, "but not its neighbour"])[1].any()


def test_a_row_does_not_depend_on_its_batch(encoder: SentenceEncoder) -> None:
    texts = TEXTS * 8
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert np.abs(alone - encoder.encode(texts)).max() < 1e-5


def test_threads_get_what_one_caller_gets(encoder: SentenceEncoder) -> None:
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda text: encoder.encode([text])[0], TEXTS * 4))
    assert np.abs(np.array(rows) - encoder.encode(TEXTS * 4)).max() < 1e-5


def test_case_accents_and_white_space_do_not_matter(encoder: SentenceEncoder) -> None:
    first, second = encoder.encode(["  Caf\u00e9   TIME\n", "cafe time"])
    assert np.array_equal(first, second)


def test_what_comes_after_128_tokens_does_not_matter(encoder: SentenceEncoder) -> None:
    first, second = encoder.encode(["cat " * 126 + "dog", "cat " * 126 + "house"])
    assert np.array_equal(first, second)


def test_nothing_to_encode_gives_an_empty_table(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_or_changed_file_is_named(tmp_path: Path, name: str) -> None:
    for file in ("model.onnx", "tokenizer.json"):
        shutil.copyfile(FOLDER / file, tmp_path / file)
    with (tmp_path / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(Unavailable, match=rf"{name} has SHA-256 [0-9a-f]{{64}}.*needs.*restore"):
        SentenceEncoder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Unavailable, match=rf"cannot read .*{name}.*restore"):
        SentenceEncoder(tmp_path)


@pytest.mark.parametrize("package", ["tokenizers", "onnxruntime"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Unavailable, match=f"needs {package}.*pip install"):
        SentenceEncoder()


@pytest.mark.parametrize("model", [b"no model", Path("lost.onnx")])
def test_a_model_that_onnxruntime_cannot_open_is_unavailable(model: bytes | Path) -> None:
    with pytest.raises(Unavailable, match="onnxruntime cannot open"):
        open_session(model, threads=1)


def test_the_files_come_with_their_licence_and_say_what_they_are() -> None:
    notice = (FOLDER / "NOTICE").read_text()
    assert "Apache License 2.0" in notice
    assert sentence.MODEL_SHA256 in notice
    assert sentence.TOKENIZER_SHA256 in notice
    assert "Apache License" in (FOLDER / "LICENSE").read_text()
    assert sum(file.stat().st_size for file in FOLDER.parent.rglob("*.*")) < 36e6
