"""`Checkpoint`: a trained model with all it needs to judge raw encoder features, and its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional

from memeapp.learn.calibration import Band, Platt
from memeapp.learn.data import BadCheckpoint, BadFeatures
from memeapp.learn.kernel import KernelHead, Shape, nearest
from memeapp.learn.losses import two_sided_logit
from memeapp.learn.nets import SemiMemes
from memeapp.learn.pool import Pool
from memeapp.learn.recipe import KERNEL, RAW_N_COOK, Recipe

FORMAT = 2
WEIGHTS = "weights.safetensors"
MANIFEST = "model.json"

Array = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What cross-validation said of the probabilities; empty for a recipe without folds."""

    bands: tuple[Band, ...]
    """One a label."""
    reliability: tuple[tuple[tuple[float, float, int], ...], ...]
    """Per label: (mean probability, share of yes, rows) in bins of equal count."""


def decide(probabilities: Array, thresholds: Array, *, parent_first: bool) -> NDArray[np.bool_]:
    """(N, C) probabilities to decisions; `parent_first` gates the kinds."""
    decisions: NDArray[np.bool_] = probabilities >= thresholds
    if parent_first:
        decisions[:, 1:] &= decisions[:, :1]
    return decisions


def kernel_views(sources: Sequence[Tensor]) -> tuple[Floats, ...]:
    """What the kernel head sees: image, text and, as one view, the cooked features if any."""
    image, text, *cooked = (source.detach().float().cpu() for source in sources)
    views = [image, text]
    if cooked:
        views.append(functional.normalize(torch.cat(cooked, dim=1), dim=1))
    return tuple(view.numpy() for view in views)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The network, the kernel head, their calibration and thresholds, and where they come from."""

    network: SemiMemes
    kernel: KernelHead | None
    """None for a recipe without it."""
    encoder: str
    """Id of the encoder whose features it learned from; it understands no other."""
    labels: tuple[str, ...]
    recipe: Recipe
    seed: int
    epochs: int
    """Epochs the classifier was trained for."""
    pool: Pool
    thresholds: Array
    """(C,): a label is given from this calibrated probability on."""
    evidence: Evidence
    means: tuple[Floats, Floats]
    """Mean image (image width,) and text (text width,) of the rows it was fitted on."""

    @property
    def image_width(self) -> int:
        return self.network.image_to_text.encoder.in_features

    @property
    def text_width(self) -> int:
        return self.network.text_to_image.encoder.in_features

    @property
    def bands(self) -> tuple[Band, ...]:
        """One a label; bands of no width where nothing is known."""
        if self.evidence.bands:
            return self.evidence.bands
        return tuple(Band(t, t, 0.0, float("nan"), float("nan")) for t in self.thresholds.tolist())

    @property
    def reliability(self) -> tuple[tuple[tuple[float, float, int], ...], ...]:
        return self.evidence.reliability

    def predict(self, image: ArrayLike, text: ArrayLike) -> Array:
        """Raw encoder features (N, image width), (N, text width) to probabilities (N, C).

        Raises:
            BadFeatures: widths that are not the model's, or a number that is not finite.
        """
        return self.pool(self.heads(image, text))

    def heads(self, image: ArrayLike, text: ArrayLike) -> list[Array]:
        """(N, C) logits of each of the recipe's heads, before calibration. Raises: as `predict`."""
        with torch.inference_mode():
            sources = self.network.sources(*self._check(image, text))
            answers: dict[str, Array] = {}
            if RAW_N_COOK in self.recipe.heads:
                logits = two_sided_logit(self.network.classifier(sources), self.recipe.lam)
                answers[RAW_N_COOK] = logits.double().numpy()
            if self.kernel is not None:
                answers[KERNEL] = self.kernel(kernel_views(sources))
        return [answers[head] for head in self.recipe.heads]

    def decide(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """(N, C) calibrated probabilities to decisions, at the thresholds; see `parent_first`."""
        return decide(
            np.asarray(probabilities), self.thresholds, parent_first=self.recipe.parent_first
        )

    def unsure(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """(N, C): whether a calibrated probability lies in its label's abstain band."""
        p = np.asarray(probabilities)
        low, high = (
            np.array([getattr(band, end) for band in self.bands]) for end in ("low", "high")
        )
        inside: NDArray[np.bool_] = (p >= low) & (p < high)
        return inside

    def unlike(self, image: ArrayLike, text: ArrayLike) -> NDArray[np.bool_]:
        """(N, 2): whether the picture, the text is farther from the nearest training row that was
        kept than 99 % of those rows are from each other. False without a kernel head.

        Raises:
            BadFeatures: as `predict`.
        """
        tensors = self._check(image, text)
        far = np.zeros((len(tensors[0]), 2), dtype=bool)
        if self.kernel is not None:
            for column, features in enumerate(tensors):
                landmarks = self.kernel.landmarks[column]
                view = self.network.prepare(features).numpy()
                far[:, column] = nearest(view, landmarks) > self.kernel.reach[column] + 1e-4
        return far

    def _check(self, image: ArrayLike, text: ArrayLike) -> tuple[Tensor, Tensor]:
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
        return tensors[0], tensors[1]

    @property
    def weights_hash(self) -> str:
        """SHA-256 of the weights as `save` writes them, hex."""
        return hashlib.sha256(save(self._tensors())).hexdigest()

    def save(self, folder: Path) -> None:
        """Write weights.safetensors, then model.json, which makes the folder a checkpoint."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = save(self._tensors())
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
            "pool": {
                "shares": list(self.pool.shares),
                "platts": [_platt_to_dict(platt) for platt in self.pool.platts],
                "final": _platt_to_dict(self.pool.final),
            },
            "thresholds": self.thresholds.tolist(),
            "kernel": self.kernel
            and {**asdict(self.kernel.shape), "reach": list(self.kernel.reach)},
            "evidence": asdict(self.evidence),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
        text = json.dumps(manifest, indent=2, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {
            "mean.image": torch.tensor(self.means[0]),
            "mean.text": torch.tensor(self.means[1]),
        }
        if self.kernel is not None:
            tensors |= {
                "kernel.weights": torch.tensor(self.kernel.weights).contiguous(),
                "kernel.mean": torch.tensor(self.kernel.mean),
            }
            for number, view in enumerate(self.kernel.landmarks):
                tensors[f"kernel.landmarks.{number}"] = torch.tensor(view).half()
        return tensors

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
                f"Cannot read the weights {_shown(weights)}: {_why(error)}. Copy them again."
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != manifest.get("weights_sha256"):
            raise BadCheckpoint(
                f"{_shown(weights)} has SHA-256 {digest}, its {MANIFEST} names "
                f"{manifest.get('weights_sha256')}; the two are not of one model. Copy both again."
            )
        try:
            if odd := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
                raise ValueError(f"{odd[0]!r} holds numbers that are not finite")
            labels = tuple(manifest["labels"])
            recipe = Recipe.from_dict(manifest["recipe"])
            widths = manifest["image_width"], manifest["text_width"]
            with torch.device("meta"):  # shapes without memory: the weights come from the file
                network = SemiMemes(*widths, len(labels), recipe)
            network.load_state_dict(
                {
                    name.removeprefix("network."): value
                    for name, value in state.items()
                    if name.startswith("network.")
                },
                assign=True,
            )
            model = cls(
                network=network.eval(),
                kernel=_kernel(manifest["kernel"], state),
                encoder=manifest["encoder"],
                labels=labels,
                recipe=recipe,
                seed=manifest["seed"],
                epochs=manifest["epochs"],
                pool=_pool(manifest["pool"], len(labels)),
                thresholds=_per_label(manifest["thresholds"], len(labels)),
                evidence=_evidence(manifest["evidence"], len(labels)),
                means=(state["mean.image"].numpy(), state["mean.text"].numpy()),
            )
            zeros = np.zeros((1, model.image_width)), np.zeros((1, model.text_width))
            model.predict(*zeros)
            model.unlike(*zeros)  # Parts that do not fit each other fail here, not in use.
            return model
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise BadCheckpoint(
                f"{_shown(folder / MANIFEST)} and {WEIGHTS} do not describe one model: {error}."
            ) from error


def _shown(file: Path) -> str:
    """A file as pages may show it: where it lies on this machine is nobody's business."""
    return f"{file.parent.name}/{file.name}"


def _why(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else str(error)


def _platt_to_dict(platt: Platt) -> dict[str, list[float]]:
    return {"slope": platt.slope.tolist(), "intercept": platt.intercept.tolist()}


def _per_label(raw: Any, labels: int) -> Array:
    return np.array(raw, dtype=np.float64).reshape(labels)


def _platt(raw: Any, labels: int) -> Platt:
    return Platt(_per_label(raw["slope"], labels), _per_label(raw["intercept"], labels))


def _pool(raw: Any, labels: int) -> Pool:
    return Pool(
        tuple(_platt(platt, labels) for platt in raw["platts"]),
        tuple(float(share) for share in raw["shares"]),
        _platt(raw["final"], labels),
    )


def _evidence(raw: Any, labels: int) -> Evidence:
    if not len(raw["bands"]) == len(raw["reliability"]) in (0, labels):
        raise ValueError(f"the evidence is not of {labels} labels")
    return Evidence(
        tuple(Band(**band) for band in raw["bands"]),
        tuple(
            tuple((float(p), float(share), int(rows)) for p, share, rows in table)
            for table in raw["reliability"]
        ),
    )


def _kernel(raw: Any, state: dict[str, Tensor]) -> KernelHead | None:
    if raw is None:
        return None
    scales = tuple(float(scale) for scale in raw["scales"])
    return KernelHead(
        Shape(scales, float(raw["ridge"])),
        tuple(state[f"kernel.landmarks.{i}"].float().numpy() for i in range(len(scales))),
        state["kernel.weights"].numpy(),
        state["kernel.mean"].numpy(),
        tuple(float(reach) for reach in raw["reach"]),
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(
            f"Cannot read {_shown(path)}: {type(error).__name__} {_why(error)}. A checkpoint "
            f"folder has {MANIFEST} and {WEIGHTS}."
        ) from error
    if version != FORMAT:
        raise BadCheckpoint(
            f"{_shown(path)} has format {version!r}, this program reads format {FORMAT}; "
            "use the program's version that wrote it, or train again."
        )
    return manifest
