"""`Checkpoint`: a trained model with all it needs to judge raw encoder features, and its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from memeapp.learn.calibration import Platt
from memeapp.learn.data import BadCheckpoint, BadFeatures
from memeapp.learn.losses import two_sided_logit
from memeapp.learn.nets import SemiMemes
from memeapp.learn.recipe import Recipe

FORMAT = 1
WEIGHTS = "weights.safetensors"
MANIFEST = "model.json"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The network, its calibration and thresholds, and where it comes from."""

    network: SemiMemes
    encoder: str
    """Id of the encoder whose features it learned from; it understands no other."""
    labels: tuple[str, ...]
    recipe: Recipe
    seed: int
    epochs: int
    """Epochs the classifier was trained for."""
    platt: Platt
    thresholds: NDArray[np.float64]
    """(C,): a label is given from this calibrated probability on."""

    @property
    def image_width(self) -> int:
        return self.network.image_to_text.encoder.in_features

    @property
    def text_width(self) -> int:
        return self.network.text_to_image.encoder.in_features

    def predict(self, image: ArrayLike, text: ArrayLike) -> NDArray[np.float64]:
        """Raw encoder features (N, image width), (N, text width) to probabilities (N, C).

        Raises:
            BadFeatures: widths that are not the model's, or a number that is not finite.
        """
        tensors = []
        for name, values, width in (
            ("image", image, self.image_width),
            ("text", text, self.text_width),
        ):
            array = np.asarray(values, dtype=np.float32)
            if array.ndim != 2 or array.shape[1] != width:
                raise BadFeatures(
                    f"The {name} features have shape {array.shape}; this model takes (N, {width}) "
                    f"from the encoder {self.encoder!r}."
                )
            if not np.isfinite(array).all():
                row = int(np.argwhere(~np.isfinite(array))[0, 0])
                raise BadFeatures(
                    f"The {name} features of row {row} are not finite; encode it again."
                )
            tensors.append(torch.tensor(array))
        with torch.inference_mode():
            logits = two_sided_logit(self.network(*tensors), self.recipe.lam)
        return self.platt(logits.double().numpy())

    def decide(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """(N, C) calibrated probabilities to decisions, at the thresholds; see `parent_first`."""
        decisions: NDArray[np.bool_] = np.asarray(probabilities) >= self.thresholds
        if self.recipe.parent_first:
            decisions[:, 1:] &= decisions[:, :1]
        return decisions

    def save(self, folder: Path) -> None:
        """Write weights.safetensors, then model.json, which makes the folder a checkpoint."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = save(self.network.state_dict())
        (folder / WEIGHTS).write_bytes(weights)
        manifest = {
            "format": FORMAT,
            "encoder": self.encoder,
            "labels": list(self.labels),
            "image_width": self.image_width,
            "text_width": self.text_width,
            "recipe": self.recipe.to_dict(),
            "seed": self.seed,
            "epochs": self.epochs,
            "slope": self.platt.slope.tolist(),
            "intercept": self.platt.intercept.tolist(),
            "thresholds": self.thresholds.tolist(),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
        text = json.dumps(manifest, indent=2, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read what `save` wrote.

        Raises:
            BadCheckpoint: a file is missing, damaged, of another format, or does not fit the other.
        """
        manifest = _read_manifest(folder / MANIFEST)
        weights = folder / WEIGHTS
        try:
            content = weights.read_bytes()
            state = load(content)
        except (OSError, SafetensorError) as error:
            raise BadCheckpoint(
                f"Cannot read the weights {weights}: {error}. Copy them again."
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != manifest.get("weights_sha256"):
            raise BadCheckpoint(
                f"{weights} has SHA-256 {digest}, its {MANIFEST} names "
                f"{manifest.get('weights_sha256')}; the two are not of one model. Copy both again."
            )
        try:
            labels = tuple(manifest["labels"])
            recipe = Recipe.from_dict(manifest["recipe"])
            widths = manifest["image_width"], manifest["text_width"]
            with torch.device("meta"):  # shapes without memory: the weights come from the file
                network = SemiMemes(*widths, len(labels), recipe)
            network.load_state_dict(state, assign=True)
            slope, intercept, thresholds = (
                np.array(manifest[name], dtype=np.float64).reshape(len(labels))
                for name in ("slope", "intercept", "thresholds")
            )
            return cls(
                network=network.eval(),
                encoder=manifest["encoder"],
                labels=labels,
                recipe=recipe,
                seed=manifest["seed"],
                epochs=manifest["epochs"],
                platt=Platt(slope, intercept),
                thresholds=thresholds,
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BadCheckpoint(
                f"{folder / MANIFEST} and {WEIGHTS} do not describe one model: {error}."
            ) from error


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(
            f"Cannot read {path}: {type(error).__name__} {error}. A checkpoint folder has "
            f"{MANIFEST} and {WEIGHTS}."
        ) from error
    if version != FORMAT:
        raise BadCheckpoint(
            f"{path} has format {version!r}, this program reads format {FORMAT}; "
            "use the program's version that wrote it, or train again."
        )
    return manifest
