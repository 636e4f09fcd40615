"""CLIP's own first answer from prompts alone: no labels used, not calibrated, and shown as such."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memeapp.encoders import Encoder
from memeapp.labels import MAMI, Label, LabelSchema
from memeapp.registry import Registry
from memeapp.service.engines import Engines
from memeapp.service.features import unit_rows
from memeapp.types import LabelScore, ModelVersion

NAME = "CLIP zero-shot"
CAVEAT = "CLIP zero-shot: uncalibrated, no labels used"
THRESHOLD = 0.5

PROMPTS: dict[str, tuple[tuple[str, str], ...]] = {
    "misogynous": (
        ("a meme that insults or demeans women", "a harmless funny meme"),
        ("a sexist joke about women", "a joke about everyday life"),
    ),
    "shaming": (
        ("a meme that mocks how a woman looks", "a meme about everyday life"),
        ("a joke about how old or heavy a woman is", "a joke about work or animals"),
    ),
    "stereotype": (
        ("a meme that says what women should be like", "a meme about everyday life"),
        ("a joke about women in the kitchen or women drivers", "a joke about work or animals"),
    ),
    "objectification": (
        ("a meme that shows a woman as a body to look at", "a meme about everyday life"),
        ("a sexualised picture of a woman", "a picture of people doing ordinary things"),
    ),
    "violence": (
        ("a meme that jokes about violence against a woman", "a harmless funny meme"),
        ("a woman who is threatened or hit", "a woman who is safe and calm"),
    ),
}
"""Per label of MAMI's schema: pairs of a prompt that speaks for it and one that speaks against it.

Opposites are named, not negated: CLIP reads "no women" much like "women".
"""


def prompts_for(label: Label) -> tuple[tuple[str, str], ...]:
    """The pairs of a label: `PROMPTS` for MAMI's, made of title and help for any other."""
    if label in MAMI.labels:
        return PROMPTS[label.name]
    pairs = [(f"a meme that is an example of {label.title}", "an ordinary meme")]
    if label.help:
        pairs.append((label.help, "a meme about everyday life"))
    return tuple(pairs)


class ZeroShot:
    """Compares a meme with prompts in the space that CLIP's pictures and texts share.

    For each pair, cosine of meme and prompt, as the mean over the meme's picture and its text (the
    picture alone where there is no text); softmax over the two prompts with the model's own logit
    scale; a label's probability is the mean over its pairs. A kind holds only if the parent does.
    """

    def __init__(self, encoder: Encoder, schema: LabelSchema) -> None:
        """Encodes the prompts. Raises: ValueError, for an encoder that is no CLIP."""
        if encoder.logit_scale is None:
            raise ValueError(f"{encoder.id} has no space that pictures and texts share.")
        self.encoder = encoder
        self.labels = schema.names
        self._scale = encoder.logit_scale
        pairs = [prompts_for(label) for label in schema.labels]
        prompts = encoder.encode_texts([prompt for two in pairs for pair in two for prompt in pair])
        prompts = unit_rows(prompts).reshape(-1, 2, encoder.text_width)
        self._directions = prompts[:, 0] - prompts[:, 1]  # (P, W)
        self._label_of = np.repeat(np.arange(len(pairs)), [len(two) for two in pairs])
        self._no_text = unit_rows(encoder.encode_texts([""]))

    @property
    def version(self) -> ModelVersion:
        """What stands in for a model version where this alone answers."""
        return ModelVersion(NAME, "", self.encoder.id, self.labels, None, "", {})

    def predict(
        self, image: NDArray[np.float32], text: NDArray[np.float32]
    ) -> NDArray[np.floating]:
        """(N, C) probabilities, not calibrated, of (N, W) picture and (N, W) text features."""
        image, text = unit_rows(image), unit_rows(text)
        has_text = ~np.isclose(text, self._no_text, atol=1e-4).all(axis=1, keepdims=True)
        meme = np.where(has_text, (image + text) / 2, image)
        margins = self._scale * meme.astype(np.float64) @ self._directions.T.astype(np.float64)
        chances = 1 / (1 + np.exp(-margins))  # the softmax over two
        labels = range(len(self.labels))
        return np.stack([chances[:, self._label_of == label].mean(1) for label in labels], axis=1)

    def scores(
        self, image: NDArray[np.float32], text: NDArray[np.float32]
    ) -> tuple[LabelScore, ...]:
        """The answer for one meme of (W,) picture and (W,) text features, label by label."""
        (chances,) = self.predict(image[None, :], text[None, :]).tolist()
        return tuple(
            LabelScore(label, chance, THRESHOLD, min(chance, chances[0]) >= THRESHOLD)
            for label, chance in zip(self.labels, chances, strict=True)
        )


def find_zero_shot(engines: Engines, registry: Registry, schema: LabelSchema) -> ZeroShot | None:
    """The zero-shot answer of the encoder wanted, as long as no version is trained on it.

    None as well where that encoder is no CLIP or cannot be had.
    """
    encoder = engines.encoder()
    if encoder.logit_scale is None or is_tried(encoder, registry, schema):
        return None
    return ZeroShot(encoder, schema)


def is_tried(encoder: Encoder, registry: Registry, schema: LabelSchema) -> bool:
    """Whether a version is trained on this encoder and these labels."""
    sought = (encoder.id, schema.names)
    return any((version.encoder, version.labels) == sought for version in registry.versions())
