"""The encoder that works on every machine at once: words, pieces of words, sentences, detector."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load

from memeapp.encoders.base import Encoder
from memeapp.encoders.detector import PARTS, BodyDetector, Detection
from memeapp.encoders.lexical import TermSpace, pieces, words
from memeapp.encoders.sentence import SentenceEncoder
from memeapp.errors import Unavailable

ASSET = Path(__file__).with_name("embedded.safetensors")
ASSET_SHA256 = "e813df36ea4b6c5ab111bd4cf71ec5e4634fadd9d5178d779bd6f060c70991c9"
"""Of the `ASSET` that `EmbeddedEncoder.id` stands for: another file is another encoder."""
ANALYSERS = {"words": words, "pieces": pieces}
"""The blocks of the asset, in the order of the vector, and what counts as a term in each."""
TENSORS = ("hashes", "idf", "components", "scale")
"""What the asset holds of each block, as `block.name`."""
GRID = 4
WORKING_SIZE = 128
"""Layout and colours are measured on the picture squashed to this square."""


class Detects(Protocol):
    """What the encoder asks of a detector."""

    def detect(self, image: Image.Image) -> list[Detection]: ...


class EncodesSentences(Protocol):
    """What the encoder asks of a sentence encoder."""

    width: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class EmbeddedEncoder(Encoder):
    """Vectors of text (three views of it) and picture (documented measurements).

    **Text.** 1,152 values in three blocks, each of length 1, or zero where it knows nothing of
    the text. The empty text is the zero vector.

    | block | width | what |
    | --- | --- | --- |
    | words | 384 | TF-IDF of word 1-2-grams, truncated SVD |
    | pieces | 384 | TF-IDF of character 3-5-grams within words, truncated SVD: misread words too |
    | sentence | 384 | `SentenceEncoder` of the text as written |

    The first two are a `TermSpace` each, made by `tools/fit_embedded.py` from MAMI's training
    texts. The asset holds no words, only 64-bit hashes of the terms, and int8 components.

    **Picture.** 97 values, each in [0, 1] but the first of the layout, which is in [-1, 1]:

    | block | width | what |
    | --- | --- | --- |
    | detector: score | 18 | best score of each class of `PARTS` |
    | detector: area | 18 | share of the picture that its boxes cover, summed, at most 1 |
    | detector: count | 18 | number of its boxes / 4, at most 1 |
    | shape | 2 | log2(width / height) / 4 within [-1, 1]; megapixels / 2.56, at most 1 |
    | brightness | 16 | mean value of each cell of a 4 x 4 grid, row by row |
    | edges | 3 | share of strong edges in the top, middle and bottom third |
    | hue | 12 | histogram of hue, weighted by saturation x value; sums to 1 or 0 (grey) |
    | saturation | 4 | histogram, sums to 1 |
    | value | 4 | histogram, sums to 1 |
    | extremes | 2 | share of near-white and of near-black pixels |
    """

    id = "embedded-2"
    image_width = 3 * len(PARTS) + 2 + GRID * GRID + 3 + 12 + 4 + 4 + 2

    def __init__(
        self,
        asset: Path = ASSET,
        detector: Detects | None = None,
        sentences: EncodesSentences | None = None,
    ) -> None:
        """Load the asset and, unless others are given, nudenet's detector and the sentence model.

        Raises:
            Unavailable: if the asset, nudenet or the sentence model is missing or unreadable, or
                a shipped file is not the one of this id.
        """
        try:
            content = asset.read_bytes()
            if asset == ASSET:
                _check_shipped(content)
            tensors = load(content)
            self._spaces = [
                TermSpace(analyse, **{name: tensors[f"{block}.{name}"] for name in TENSORS})
                for block, analyse in ANALYSERS.items()
            ]
        except (OSError, SafetensorError, KeyError) as error:
            raise Unavailable(
                f"The embedded encoder cannot read {asset} ({error}); restore the file or make "
                "it again with tools/fit_embedded.py."
            ) from error
        self._sentences = sentences or SentenceEncoder()
        self.text_width = sum(space.width for space in self._spaces) + self._sentences.width
        self._detector = detector or BodyDetector()

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, text_width); see the class."""
        blocks = [space.encode(texts) for space in self._spaces]
        return np.concatenate([*blocks, self._sentences.encode(texts)], axis=1)

    def encode_images(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, 97); see the class."""
        rows = np.zeros((len(pictures), self.image_width), np.float32)
        for row, picture in zip(rows, pictures, strict=True):
            row[:] = self._encode_image(picture.convert("RGB"))
        return rows

    def _encode_image(self, image: Image.Image) -> NDArray[np.float32]:
        return np.concatenate(
            [
                _evidence(self._detector.detect(image)),
                _shape(image),
                *_layout_and_colour(image),
            ]
        )


def _check_shipped(content: bytes) -> None:
    """Models know an encoder by its id alone, so one id must always give the same vectors."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != ASSET_SHA256:
        raise Unavailable(
            f"{ASSET} has SHA-256 {digest}, the encoder {EmbeddedEncoder.id!r} needs "
            f"{ASSET_SHA256}; restore the file or, if it was made anew, give the encoder a new id "
            f"and hash in {Path(__file__).name}."
        )


def _evidence(detections: Sequence[Detection]) -> NDArray[np.float32]:
    """(54,): best score, area and count of each class."""
    score, area, count = np.zeros((3, len(PARTS)), np.float32)
    for found in detections:
        part = PARTS.index(found.part)
        score[part] = max(score[part], found.score)
        area[part] += found.area
        count[part] += 1
    return np.concatenate([score, area, count / 4]).clip(0, 1)


def _shape(image: Image.Image) -> NDArray[np.float32]:
    aspect = np.clip(np.log2(image.width / image.height) / 4, -1, 1)
    return np.array([aspect, min(1, image.width * image.height / 2.56e6)], np.float32)


def _layout_and_colour(image: Image.Image) -> list[NDArray[np.float32]]:
    """Brightness (16), edges (3), hue (12), saturation (4), value (4), extremes (2)."""
    square = image.resize((WORKING_SIZE, WORKING_SIZE), Image.Resampling.BOX).convert("HSV")
    hue, saturation, value = np.asarray(square, np.float32).transpose(2, 0, 1) / 255
    cell = WORKING_SIZE // GRID
    brightness = value.reshape(GRID, cell, GRID, cell).mean((1, 3))
    down, right = np.gradient(value)
    edges = np.hypot(down, right) > 0.1
    hues, _ = np.histogram(hue, 12, (0, 1), weights=saturation * value)
    white = (value > 0.9) & (saturation < 0.1)
    blocks = [
        brightness.ravel(),
        [band.mean() for band in np.array_split(edges, 3)],
        hues / max(hues.sum(), 1e-6),
        np.histogram(saturation, 4, (0, 1))[0] / saturation.size,
        np.histogram(value, 4, (0, 1))[0] / value.size,
        [white.mean(), (value < 0.1).mean()],
    ]
    return [np.asarray(block, np.float32) for block in blocks]


def exposure(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, image width) vectors of the embedded encoder to (N,): the detector's best score of a
    part that is seldom shown bare, in [0, 1]."""
    bare = [
        number
        for number, part in enumerate(PARTS)
        if part.endswith("EXPOSED") and part.startswith(("ANUS", "BUTTOCKS", "FEMALE", "MALE_GEN"))
    ]
    return np.asarray(images[:, bare].max(axis=1), np.float64)
