"""Made-up memes, quick recipes and a checkpoint built by hand, for tests around `memeapp.learn`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from memeapp.learn.calibration import Band, Platt
from memeapp.learn.checkpoint import Checkpoint, Evidence
from memeapp.learn.data import FeatureSet
from memeapp.learn.kernel import KernelHead, Shape
from memeapp.learn.nets import SemiMemes
from memeapp.learn.pool import Pool
from memeapp.learn.recipe import BEST, KERNEL, Recipe

NAN = float("nan")
MAMI = ("misogynous", "shaming", "stereotype", "objectification", "violence")


def shortened(recipe: Recipe, epochs: int) -> Recipe:
    return replace(
        recipe,
        hidden=16,
        branch=16,
        autoencoder=replace(recipe.autoencoder, epochs=3),
        classifier=replace(recipe.classifier, epochs=epochs, rate=5e-3),
    )


QUICK = shortened(BEST, epochs=12)


def memes(
    rows: int, labels: tuple[str, ...] = MAMI, *, unlabelled: int = 0, seed: int = 0
) -> FeatureSet:
    """Labels follow from the text's direction; pictures are noise of another width and scale."""
    rng = np.random.default_rng(seed)
    total = rows + unlabelled
    text = rng.normal(size=(total, 12))
    direction = text / np.linalg.norm(text, axis=1, keepdims=True)
    targets = (direction[:, : len(labels)] > 0.1).astype(float)
    targets[rows:] = NAN
    return FeatureSet(
        ids=tuple(f"meme-{row}" for row in range(total)),
        image=30 * rng.random((total, 7)),
        text=text,
        targets=targets,
        labels=labels,
    )


SMALL = replace(BEST, hidden=6, branch=5)


def make_checkpoint(
    image: int = 3, text: int = 7, recipe: Recipe = SMALL, **changes: Any
) -> Checkpoint:
    """A model of two labels whose every part is there and none is at its default."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    widths = (image, text, *((2 * recipe.hidden,) if recipe.cook else ()))
    landmarks = [rng.normal(size=(4, width)) for width in widths]
    platts = [Platt(np.array([0.1, 1 / 3]), np.array([-1e-17, 2.5])) for _ in recipe.heads]
    shares = (0.3, 0.7) if len(recipe.heads) == 2 else (1.0,)
    parts: dict[str, Any] = {
        "network": SemiMemes(image, text, 2, recipe).eval(),
        "kernel": KernelHead(
            Shape((0.0, 0.1 + 0.2, 1 / 7)[: len(widths)], 3.0),
            tuple(view.astype(np.float16).astype(np.float32) for view in landmarks),
            rng.normal(size=(4, 2)),
            np.array([0.4, 0.1]),
            (0.5, 1 / 3, 0.2)[: len(widths)],
        ),
        "encoder": "some-encoder",
        "labels": ("parent", "kind"),
        "recipe": recipe,
        "seed": 4,
        "epochs": 11,
        "pool": Pool(tuple(platts), shares, Platt(np.array([1.1, 0.9]), np.array([0.0, -0.2]))),
        "thresholds": np.array([0.5, 0.1 + 0.2]),
        "evidence": Evidence(
            (Band(0.4, 0.6, 0.2, 0.05, 0.1), Band(1 / 7, 1 / 3, 0.1, 0.0, 0.02)),
            (((0.2, 0.25, 4), (0.7, 0.75, 4)), ((1 / 3, 0.5, 2),)),
        ),
        "means": (np.ones(image, np.float32), np.full(text, 0.1, np.float32)),
    }
    if KERNEL not in recipe.heads:
        parts["kernel"] = None
    return Checkpoint(**(parts | changes))
