"""Small real parts and fakes for the heavy ones, for tests of the use cases."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memeapp.encoders.base import Encoder
from memeapp.errors import Unavailable
from memeapp.images import decode
from memeapp.ocr import OcrEngine
from memeapp.store import Store
from memeapp.types import Box, Reading, TextLine
from tests.conftest import draw_picture

__all__ = ["draw_picture"]


class FakeEncoder(Encoder):
    """Three numbers of the picture's colour, four of the text: quick, and they tell apart."""

    image_width = 3
    text_width = 4

    def __init__(self, id: str = "fake-1") -> None:
        self.id = id
        self.pictures_seen = 0

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        self.pictures_seen += len(pictures)
        return np.array(
            [np.asarray(picture).mean(axis=(0, 1)) / 255 for picture in pictures], np.float32
        )

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array(
            [
                [len(text) / 100, "red" in text, "kitchen" in text, "engine" in text]
                for text in texts
            ],
            np.float32,
        )


class FakeOcr(OcrEngine):
    """Reads the same line from every picture."""

    name = "fake-ocr"

    def __init__(self, text: str = "a line that was read") -> None:
        self.text = text
        self.reads = 0

    def read(self, image: Image.Image) -> Reading:
        self.reads += 1
        return Reading((TextLine(self.text, 0.9, Box(0, 0, 10, 10)),), self.name, 0.25)


class FakeEngines:
    """Hands out the fakes under the encoder ids it is told to know."""

    def __init__(self, *known: str) -> None:
        self.fakes = {id: FakeEncoder(id) for id in known or ("fake-1",)}
        self.fake = next(iter(self.fakes.values()))
        self.wanted = self.fake.id
        self.reader = FakeOcr()
        self.notices: tuple[str, ...] = ()

    def encoder(self) -> Encoder:
        return self.fake

    def encoder_for(self, spec: str) -> Encoder:
        if spec not in self.fakes:
            raise Unavailable(f"{spec} cannot be had")
        return self.fakes[spec]

    def look_again(self) -> None:
        pass

    def ocr(self) -> OcrEngine:
        return self.reader


TINY_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def write_tiny_clip(path: Path, seed: int) -> Path:
    """A CLIP of random weights in open_clip's own folder layout; 6 MB."""
    import open_clip  # noqa: PLC0415 - seconds, for these tests only
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    torch.manual_seed(seed)
    save_file(open_clip.CLIP(**TINY_CLIP).state_dict(), path / "open_clip_model.safetensors")
    config = {
        "model_cfg": TINY_CLIP,
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.1]},
    }
    (path / "open_clip_config.json").write_text(json.dumps(config))
    return path


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture
def engines():
    return FakeEngines()


@pytest.fixture
def picture():
    return decode(draw_picture(0))
