from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save, save_file

from memeapp.encoders import EmbeddedEncoder, embedded, open_encoder
from memeapp.encoders.detector import PARTS, BodyDetector, Detection
from memeapp.encoders.embedded import ASSET, ASSET_SHA256
from memeapp.encoders.lexical import hash_terms
from memeapp.errors import Unavailable

EXAMPLES = Path(__file__).resolve().parents[2] / "memeapp" / "ui" / "assets" / "examples"


class NothingDetected:
    def detect(self, image: Image.Image) -> list[Detection]:
        return []


class Scripted:
    def __init__(self, *found: Detection) -> None:
        self.found = list(found)

    def detect(self, image: Image.Image) -> list[Detection]:
        return self.found


class OneSentence:
    width = 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[0, 1] if text else [0, 0] for text in texts], np.float32)


@pytest.fixture(scope="module")
def encoder() -> EmbeddedEncoder:
    return EmbeddedEncoder(detector=NothingDetected())


@pytest.fixture
def tiny_asset(tmp_path: Path) -> Path:
    """Words "red" and "cat" on three axes, pieces " ca" and "red" on two."""
    words, pieces = hash_terms(["red", "cat"]), hash_terms([" ca", "red"])
    tensors = {
        "words.hashes": np.sort(words),
        "words.idf": np.ones(2, np.float32),
        "words.components": np.eye(2, 3, dtype=np.int8)[np.argsort(words)],
        "words.scale": np.ones(3, np.float32),
        "pieces.hashes": np.sort(pieces),
        "pieces.idf": np.ones(2, np.float32),
        "pieces.components": np.eye(2, dtype=np.int8)[np.argsort(pieces)],
        "pieces.scale": np.ones(2, np.float32),
    }
    save_file(tensors, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_the_text_vector_is_words_pieces_and_sentence_each_of_length_one(
    tiny_asset: Path,
) -> None:
    encoder = EmbeddedEncoder(tiny_asset, NothingDetected(), OneSentence())
    assert encoder.text_width == 7
    half = np.sqrt(0.5)
    assert encoder.encode_texts(["red cat", "CATS!", "dog", ""]) == pytest.approx(
        np.array(
            [
                [half, half, 0, half, half, 0, 1],
                [0, 0, 0, 1, 0, 0, 1],
                [0, 0, 0, 0, 0, 0, 1],
                [0, 0, 0, 0, 0, 0, 0],
            ]
        )
    )


def test_a_text_without_a_word_is_the_zero_vector(encoder: EmbeddedEncoder) -> None:
    rows = encoder.encode_texts(["", "   ", "\n\t"])
    assert rows.shape == (3, 1152)
    assert not rows.any()


def test_an_unknown_word_leaves_the_words_block_empty(encoder: EmbeddedEncoder) -> None:
    words, pieces, sentence = np.split(encoder.encode_texts(["qqzzqq", "\u041c\u0435\u043c"]), 3, 1)
    assert not words.any()
    assert not pieces.any()
    assert np.linalg.norm(sentence, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_a_misread_word_stays_near_the_word_by_its_pieces(encoder: EmbeddedEncoder) -> None:
    right, wrong = encoder.encode_texts(["sandwich", "sandwlch"])
    assert right[:384].any()
    assert not wrong[:384].any()
    assert right[384:768] @ wrong[384:768] > 0.3


def test_the_shipped_text_part_knows_common_words_and_is_finite(encoder: EmbeddedEncoder) -> None:
    rows = encoder.encode_texts(["when you make coffee in the kitchen", "the " * 5000])
    assert rows.dtype == np.float32
    for block in np.split(rows, 3, axis=1):
        assert np.linalg.norm(block, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_a_text_row_does_not_depend_on_its_neighbours(encoder: EmbeddedEncoder) -> None:
    texts = ["a nice day", "work and coffee", "", "my cat"]
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert np.abs(alone - encoder.encode_texts(texts)).max() < 1e-5


def test_the_shipped_asset_is_small_sorted_and_holds_no_words() -> None:
    assert ASSET.stat().st_size < 12e6
    tensors = load_file(ASSET)
    for block in ("words", "pieces"):
        hashes = tensors[f"{block}.hashes"]
        assert (hashes[1:] > hashes[:-1]).all()
    raw = ASSET.read_bytes()
    assert b"kitchen" not in raw
    assert b"coffee" not in raw


def test_nothing_to_encode_gives_empty_tables(encoder: EmbeddedEncoder) -> None:
    assert encoder.encode_texts([]).shape == (0, encoder.text_width)
    assert encoder.encode_images([]).shape == (0, encoder.image_width)


def test_detector_evidence_fills_three_values_of_its_class(tiny_asset: Path) -> None:
    found = [Detection("FACE_MALE", 0.5, 0.7), Detection("FACE_MALE", 0.8, 0.6)]
    encoder = EmbeddedEncoder(tiny_asset, Scripted(*found), OneSentence())
    vector = encoder.encode_images([Image.new("RGB", (64, 64))])[0]
    place = PARTS.index("FACE_MALE")
    score, area, count = vector[:54].reshape(3, 18)
    assert (score[place], area[place], count[place]) == pytest.approx((0.8, 1.0, 0.5))
    assert np.delete(vector[:54].reshape(3, 18), place, axis=1).sum() == 0


def test_a_crowd_of_detections_stays_bounded(tiny_asset: Path) -> None:
    crowd = [Detection("FACE_FEMALE", 0.9, 0.2)] * 50
    encoder = EmbeddedEncoder(tiny_asset, Scripted(*crowd), OneSentence())
    assert encoder.encode_images([Image.new("RGB", (64, 64))]).max() == 1.0


def test_layout_and_colours_are_where_the_docstring_says(encoder: EmbeddedEncoder) -> None:
    image = Image.new("RGB", (800, 200), "white")
    image.paste((255, 0, 0), (0, 0, 200, 50))
    image.paste("black", (0, 100, 800, 200))
    vector = encoder.encode_images([image])[0]
    shape, brightness, edges, hue, saturation, value, extremes = np.split(
        vector[54:], np.cumsum([2, 16, 3, 12, 4, 4])
    )
    assert shape == pytest.approx([0.5, 0.0625])
    assert brightness == pytest.approx([1] * 8 + [0] * 8)
    assert edges[1] > edges[2] == 0
    assert hue == pytest.approx([1] + [0] * 11)
    assert saturation == pytest.approx([15 / 16, 0, 0, 1 / 16])
    assert value == pytest.approx([0.5, 0, 0, 0.5])
    assert extremes == pytest.approx([7 / 16, 0.5])


@pytest.mark.parametrize("size", [(8, 8), (8, 1600), (1600, 8)])
@pytest.mark.parametrize("colour", ["black", "white", "navy"])
def test_plain_and_thin_pictures_give_bounded_finite_values(
    encoder: EmbeddedEncoder, size: tuple[int, int], colour: str
) -> None:
    vector = encoder.encode_images([Image.new("RGB", size, colour)])[0]
    assert np.isfinite(vector).all()
    assert np.abs(vector).max() <= 1


def test_the_real_detector_sees_a_face_and_is_the_default() -> None:
    encoder = open_encoder("embedded")
    with Image.open(EXAMPLES / "astronaut.jpg") as image:
        astronaut = image.convert("RGB")
    rows = encoder.encode_images([astronaut, Image.new("RGB", (300, 200), "teal")])
    faces = [PARTS.index("FACE_FEMALE"), PARTS.index("FACE_MALE")]
    assert rows[0, faces].max() > 0.3
    assert not rows[1, :54].any()
    assert np.abs(rows).max() <= 1
    alone = encoder.encode_images([astronaut])
    assert np.array_equal(alone[0], rows[0])


@pytest.mark.parametrize("size", [(8, 8), (8, 1600), (1600, 8)])
def test_the_real_detector_takes_thin_pictures(size: tuple[int, int]) -> None:
    assert BodyDetector().detect(Image.new("RGB", size, "grey")) == []


def test_the_id_opens_the_encoder_again() -> None:
    encoder = open_encoder(EmbeddedEncoder.id)
    assert encoder.id == "embedded-2"
    assert isinstance(encoder, EmbeddedEncoder)


NO_TENSORS = save({"hashes": np.zeros(1, np.uint64)})


@pytest.mark.parametrize("content", [None, b"", b"no tensors here", NO_TENSORS])
def test_a_missing_or_damaged_asset_is_named(tmp_path: Path, content: bytes | None) -> None:
    asset = tmp_path / "lost.safetensors"
    if content is not None:
        asset.write_bytes(content)
    with pytest.raises(Unavailable, match=r"lost\.safetensors"):
        EmbeddedEncoder(asset, NothingDetected())


def test_another_file_in_the_place_of_the_shipped_asset_is_refused_with_both_hashes(
    tiny_asset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ASSET", tiny_asset)
    digest = hashlib.sha256(tiny_asset.read_bytes()).hexdigest()
    with pytest.raises(Unavailable, match=f"{digest}.*'embedded-2'.*{ASSET_SHA256}.*restore"):
        EmbeddedEncoder(tiny_asset, NothingDetected())
