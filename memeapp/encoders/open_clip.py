"""CLIP and its relatives through open_clip: by pretrained tag, or from a local folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memeapp.encoders.base import Encoder
from memeapp.encoders.hub import WEIGHTS, Pretrained, find_pretrained, no_network
from memeapp.errors import BadSetting, Mismatch, Unavailable
from memeapp.text import normalise

LOCAL = "local-dir:"
BATCH = 32
BATCH_ON_CPU = 8
"""Larger ones are no faster there."""


class OpenClipEncoder(Encoder):
    """A frozen open_clip model, float32, on the GPU if there is one.

    Pictures are squashed to the model's square (bicubic): no centre crop, captions sit at the
    edges. Mean and standard deviation are the model's own. Texts go through `normalise`, then
    the model's tokenizer, which truncates. Features are not L2-normalised, as in SemiMemes.
    """

    def __init__(self, spec: str) -> None:
        """Load `ARCHITECTURE/TAG` (from the cache, else the hub) or `local-dir:/path[#hash]`.

        A folder holds `open_clip_config.json` and `open_clip_model.safetensors`; its id ends
        in the first 12 hex digits of the SHA-256 of the weights.

        Raises:
            BadSetting: if there is no such architecture, tag or folder.
            Unavailable: within 3 s, if the weights are neither here nor within reach.
            Mismatch: if the spec names a hash and the folder holds other weights.
        """
        options: dict[str, Any] = {}
        offline = True
        if spec.startswith(LOCAL):
            folder, self.id = _local_folder(spec)
            name = f"{LOCAL}{folder}"
        else:
            pretrained = find_pretrained(spec)
            name, self.id = pretrained.architecture, pretrained.id
            options |= {"pretrained": pretrained.tag, "force_quick_gelu": pretrained.quick_gelu}
            offline = _is_here(pretrained)
        self._load(name, offline, options)

    def _load(self, name: str, offline: bool, options: dict[str, Any]) -> None:
        # Only now: these imports take seconds.
        import open_clip  # noqa: PLC0415
        import torch  # noqa: PLC0415

        self._torch = torch
        self.on_gpu = torch.cuda.is_available()
        self._device = "cuda" if self.on_gpu else "cpu"
        self.batch = BATCH if self.on_gpu else BATCH_ON_CPU
        try:
            with no_network(offline):
                model, self._preprocess = open_clip.create_model_from_pretrained(
                    name,
                    device=self._device,
                    image_resize_mode="squash",
                    image_interpolation="bicubic",
                    **options,
                )
                self._tokenize = open_clip.get_tokenizer(name)
            self.image_width = self.text_width = open_clip.get_model_config(name)["embed_dim"]
            self.logit_scale = model.logit_scale.detach().exp().item()
        except Exception as error:  # A folder or a download can be broken in many ways.
            raise Unavailable(
                f"open_clip cannot load {self.id} ({error}); bring the files here again or take "
                "the encoder `embedded`."
            ) from error
        self._model: Any = model.eval()

    def encode_images(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, image_width); in batches of 32."""
        rows = np.zeros((len(pictures), self.image_width), np.float32)
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            pixels = self._torch.stack([self._preprocess(picture) for picture in batch])
            rows[start : start + BATCH] = self._forward(self._model.encode_image, pixels)
        return rows

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, text_width); in batches of 32."""
        rows = np.zeros((len(texts), self.text_width), np.float32)
        for start in range(0, len(texts), BATCH):
            tokens = self._tokenize([normalise(text) for text in texts[start : start + BATCH]])
            rows[start : start + BATCH] = self._forward(self._model.encode_text, tokens)
        return rows

    def _forward(self, tower: Any, batch: Any) -> NDArray[np.float32]:
        with self._torch.inference_mode():
            features: NDArray[np.float32] = tower(batch.to(self._device)).float().cpu().numpy()
        return features


def check_open_clip(spec: str) -> None:
    """Find out within 3 s whether an encoder can be had, without loading it.

    Raises:
        BadSetting, Unavailable: as `OpenClipEncoder` does. Damaged weights are not noticed here.
    """
    if spec.startswith(LOCAL):
        _local_weights(spec)
    else:
        _is_here(find_pretrained(spec))


def _is_here(pretrained: Pretrained) -> bool:
    """Whether the weights are on this machine; raises Unavailable if they cannot be fetched."""
    if pretrained.is_cached():
        return True
    if not pretrained.is_within_reach():
        raise Unavailable(
            f"The weights of {pretrained.id} are not on this machine and the hub does not answer. "
            "Bring them here as the README says, or take the encoder `embedded`."
        )
    return False


def _local_weights(spec: str) -> tuple[Path, str | None]:
    """The file of the weights of a `local-dir:` spec and the hash it names, if it names one."""
    hashed = re.fullmatch(r"(.*)#([0-9a-f]{12})", spec)
    path, wanted = hashed.groups() if hashed else (spec, None)
    written = path.removeprefix(LOCAL)
    try:
        folder = Path(written).expanduser().resolve()
        weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        complete = weights is not None and (folder / "open_clip_config.json").is_file()
    except (OSError, RuntimeError, ValueError) as error:  # no such user, no permission, too long
        raise BadSetting(f"The folder {written[:200]!r} cannot be read: {error}.") from error
    if weights is None or not complete:
        raise BadSetting(
            f"{folder} is no open_clip model: it needs open_clip_config.json and {WEIGHTS[0]}."
        )
    return weights, wanted


def _local_folder(spec: str) -> tuple[Path, str]:
    """The folder of a `local-dir:` spec and the encoder's id with the hash of its weights."""
    weights, wanted = _local_weights(spec)
    folder = weights.parent
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise Unavailable(
            f"{weights} cannot be read ({error}); bring the file here again."
        ) from error
    if wanted not in (None, found):
        raise Mismatch(
            f"The encoder {spec} was asked for, but {weights.name} in that folder has the hash "
            f"{found}. Bring the old weights back, or encode and train anew with {LOCAL}{folder}."
        )
    return folder, f"{LOCAL}{folder}#{found}"
