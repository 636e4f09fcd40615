"""What an encoder is: pictures and texts in, one fixed vector each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Encoder(ABC):
    """A frozen encoder of pictures and texts.

    `id` names it for good: the same id always gives the same vectors, and `open_encoder(id)`
    opens it again. `image_width` and `text_width` are the lengths of the vectors; they may differ.
    An encoder may be used from several threads.
    """

    id: str
    image_width: int
    text_width: int
    logit_scale: float | None = None
    """What CLIP multiplies a picture's and a text's cosine with; None if they share no space."""
    batch: int = 1
    """Of how many a corpus is encoded at a time: the last bits of a row may depend on it."""
    on_gpu: bool = False

    @abstractmethod
    def encode_images(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, image_width), finite. A row does not depend on the other pictures."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, text_width), finite. Texts come as written; the encoder normalises them."""
