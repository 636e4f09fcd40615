"""`FeatureSet`: the features and targets of some memes, checked once. Also the core's errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class BadFeatures(ValueError):
    """Features or targets that cannot be used; the message says which and why."""


class BadCheckpoint(ValueError):
    """Files of a model that are missing, damaged or do not belong together."""


class TooFewRows(ValueError):
    """Not enough labelled rows to learn from; the message says how many are needed."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSet:
    """N memes as one encoder sees them, with what people said about them.

    Raises:
        BadFeatures: shapes that do not fit, an id or label twice, a feature that is not finite,
            a target outside [0, 1]; the message names the meme.
    """

    ids: tuple[str, ...]
    image: Floats
    """(N, image width), straight from the encoder."""
    text: Floats
    """(N, text width), straight from the encoder."""
    targets: Floats
    """(N, C): 0, 1 or a share of votes in between; NaN means not judged."""
    labels: tuple[str, ...]
    """C names, the parent (task A) first."""
    weights: Floats = None  # type: ignore[assignment]  # filled in below
    """(N,) how much each meme counts in training, positive; all the same by default."""
    groups: NDArray[np.int64] = None  # type: ignore[assignment]  # filled in below
    """(N,) number of the family of near-duplicates, which cross-validation keeps together; by
    default every meme is a family of its own."""

    def __post_init__(self) -> None:
        for name in ("image", "text", "targets"):
            with np.errstate(over="ignore"):  # an overflow becomes inf and is refused below
                array = np.asarray(getattr(self, name), dtype=np.float32)
            if array.ndim != 2 or len(array) != len(self.ids):
                raise BadFeatures(
                    f"`{name}` has shape {array.shape}; it needs one row for each of the "
                    f"{len(self.ids)} ids."
                )
            object.__setattr__(self, name, array)
        if self.targets.shape[1] != len(self.labels) or not self.labels:
            raise BadFeatures(
                f"`targets` has {self.targets.shape[1]} columns for {len(self.labels)} labels; "
                "it needs one column a label, and at least one label."
            )
        for kind, names in (("id", self.ids), ("label", self.labels)):
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise BadFeatures(f"The {kind} {twice!r} is there twice; every {kind} must differ.")
        for name, array in (("image", self.image), ("text", self.text)):
            if not np.isfinite(array).all():
                row, column = np.argwhere(~np.isfinite(array))[0]
                raise BadFeatures(
                    f"The {name} feature {column} of meme {self.ids[row]!r} is "
                    f"{array[row, column]}; encode that meme again or leave it out."
                )
        wrong = (self.targets < 0) | (self.targets > 1)  # False for NaN
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise BadFeatures(
                f"The target {self.labels[column]!r} of meme {self.ids[row]!r} is "
                f"{self.targets[row, column]}; it must lie in [0, 1], or be NaN for not judged."
            )

        self._check_rows()

    def _check_rows(self) -> None:
        weights = np.ones(len(self)) if self.weights is None else self.weights
        groups = np.arange(len(self)) if self.groups is None else self.groups
        object.__setattr__(self, "weights", np.asarray(weights, dtype=np.float32))
        object.__setattr__(self, "groups", np.asarray(groups, dtype=np.int64))
        for name in ("weights", "groups"):
            shape = getattr(self, name).shape
            if shape != (len(self),):
                raise BadFeatures(
                    f"`{name}` has shape {shape}; it needs one value for each of the "
                    f"{len(self)} ids."
                )
        wrong = ~(np.isfinite(self.weights) & (self.weights > 0))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise BadFeatures(
                f"The weight of meme {self.ids[row]!r} is {self.weights[row]}; it must be a "
                "positive number."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> FeatureSet:
        """The rows that `index` (positions, or a mask of N booleans) selects, in that order."""
        rows = np.arange(len(self))[index]
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            image=self.image[rows],
            text=self.text[rows],
            targets=self.targets[rows],
            weights=self.weights[rows],
            groups=self.groups[rows],
        )

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(N,): whether somebody judged the meme on at least one label."""
        return np.asarray((~np.isnan(self.targets)).any(axis=1))

    def labelled(self) -> FeatureSet:
        """The rows that have at least one target."""
        return self.take(self.judged)
