"""`Recipe`: every choice of a training run as one frozen value; the named recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from memeapp.learn import losses
from memeapp.learn.losses import Balance

RAW_N_COOK = "raw_n_cook"
KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run of Adam; the learning rate is multiplied by `decay` after every epoch."""

    epochs: int
    rate: float
    decay: float
    batch: int
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. Nothing here depends on the encoder or the number of labels."""

    name: str
    loss: Balance | None
    """Constants of the distribution-balanced loss; None is plain binary cross-entropy."""
    normalise: bool
    """Scale each image and text vector to length 1 (a zero vector stays zero)."""
    cook: bool
    """Use the autoencoders (CROM-AE); without them the heads see raw features alone."""
    cook_after_activation: bool
    """Take the autoencoders' hidden features after the PReLU; the paper takes them before."""
    cook_on_all: bool
    """Fit the autoencoders on all rows; the paper leaves the labelled ones out."""
    hidden: int
    """Width of the cooked features."""
    branch: int
    interaction: bool
    """RAW-N-COOK also reads the product of the image's and the text's branch."""
    dropout: float
    autoencoder: Schedule
    classifier: Schedule
    heads: tuple[str, ...]
    """Classifiers whose calibrated answers are averaged: `RAW_N_COOK`, `KERNEL`."""
    folds: int
    """Cross-validation inside the labelled rows, which picks the number of epochs, the calibration
    and the thresholds. 0: train all epochs, decide at 0.5, as the paper does."""
    parent_first: bool
    """The first label is the parent: the other labels hold only where it does."""
    patience: int
    """Epochs without a better out-of-fold loss after which cross-validation stops; at least 1."""

    @property
    def lam(self) -> float:
        """λ of the loss, which says how logits become probabilities; 1 for cross-entropy."""
        return 1.0 if self.loss is None else self.loss.lam

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_dict`; raises TypeError or KeyError on anything else."""
        return cls(
            **{
                **raw,
                "loss": None if raw["loss"] is None else Balance(**raw["loss"]),
                "autoencoder": Schedule(**raw["autoencoder"]),
                "classifier": Schedule(**raw["classifier"]),
                "heads": tuple(raw["heads"]),
            }
        )


BEST = Recipe(
    name="best",
    loss=losses.EVEN,
    normalise=True,
    cook=True,
    cook_after_activation=True,
    cook_on_all=True,
    hidden=256,
    branch=128,
    interaction=False,
    dropout=0.2,
    autoencoder=Schedule(epochs=15, rate=1e-3, decay=0.9, batch=256, weight_decay=1e-4),
    classifier=Schedule(epochs=60, rate=1e-3, decay=1.0, batch=128),
    heads=(RAW_N_COOK, KERNEL),
    folds=5,
    parent_first=True,
    patience=4,
)
"""The default: what did best on validation rows."""

REFERENCE = Recipe(
    name="reference",
    loss=losses.REFERENCE,
    normalise=False,
    cook=True,
    cook_after_activation=False,
    cook_on_all=False,
    hidden=768,
    branch=256,
    interaction=False,
    dropout=0.2,
    autoencoder=Schedule(epochs=100, rate=2e-4, decay=0.95, batch=40, weight_decay=1e-4),
    classifier=Schedule(epochs=50, rate=1e-4, decay=0.93, batch=40),
    heads=(RAW_N_COOK,),
    folds=0,
    parent_first=False,
    patience=1,
)
"""What the public code of SemiMemes (arXiv 2304.00020) runs with 5 % labels; the classifier's decay
is 0.90 with 10 % and 0.85 with 30 %. Its labels are task B's four."""

PAPER = replace(REFERENCE, name="paper", loss=losses.PAPER)
"""`REFERENCE` with the constants of the loss's own publication, focal term included."""

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (BEST, REFERENCE, PAPER)}
