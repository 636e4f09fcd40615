"""What one training learned from, frozen: enough to make the same version again, bit for bit."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from memeapp.errors import BadInput, Mismatch, NotFound
from memeapp.learn.data import FeatureSet
from memeapp.learn.recipe import Recipe
from memeapp.learn.train import fit
from memeapp.registry import Registry
from memeapp.service.features import Report, numbered, stack
from memeapp.store import Store
from memeapp.store.features import text_key
from memeapp.types import Meme, ModelVersion

log = logging.getLogger(__name__)

FILE = "snapshot.jsonl.gz"
"""The snapshot among the files of a version."""


@dataclass(frozen=True, slots=True)
class Row:
    """One meme as a training saw it."""

    meme: str
    text: str
    """The key of its text's features, `store.features.text_key`."""
    template: str
    weight: float
    targets: tuple[float | None, ...]
    """One a label; None: nobody judged it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every meme that was not held out, with what the votes up to one instant said of it."""

    taken_at: str
    last_vote: int
    """Number of the newest vote there was; votes are numbered as they come."""
    votes: int
    """How many of them counted."""
    labels: tuple[str, ...]
    encoder: str
    recipe: Mapping[str, Any]
    seed: int
    features: str
    """SHA-256 of the feature arrays, hex."""
    rows: tuple[Row, ...]

    @classmethod
    def take(
        cls,
        known: FeatureSet,
        memes: Sequence[Meme],
        *,
        encoder: str,
        recipe: Recipe,
        seed: int,
        taken_at: str,
        last_vote: int,
        votes: int,
    ) -> Snapshot:
        """Freeze what `fit(known, recipe, encoder=encoder, seed=seed)` is about to learn from.

        Args:
            known: the rows of training alone.
            memes: the memes of these rows, in the same order.
        """
        rows = tuple(
            Row(
                meme.id,
                text_key(meme.text),
                meme.template,
                float(weight),
                tuple(None if np.isnan(value) else float(value) for value in targets),
            )
            for meme, weight, targets in zip(memes, known.weights, known.targets, strict=True)
        )
        digest, constants = _digest(known), json.loads(json.dumps(recipe.to_dict()))
        return cls(taken_at, last_vote, votes, known.labels, encoder, constants, seed, digest, rows)

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides on the weights, hex; the time is not part of it."""
        digest = hashlib.sha256()
        for line in self._lines(("labels", "encoder", "recipe", "seed", "features")):
            digest.update(line)
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """The file: a line for the whole, then a line for each meme, compressed."""
        head = [field.name for field in fields(self) if field.name != "rows"]
        return gzip.compress(b"".join(self._lines(head)), mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> Snapshot:
        """Read what `to_bytes` wrote.

        Raises:
            BadInput: if it is something else.
        """
        try:
            first, *lines = gzip.decompress(content).splitlines()
            head = json.loads(first)
            rows = tuple(
                Row(**{**raw, "targets": tuple(raw["targets"])}) for raw in map(json.loads, lines)
            )
            return cls(**{**head, "labels": tuple(head["labels"])}, rows=rows)
        except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
            raise BadInput(f"That is no snapshot of a training: {error}.") from error

    def feature_set(self, store: Store) -> FeatureSet:
        """The rows as the training saw them, from the features that the store keeps.

        Raises:
            NotFound: naming the meme, if its features are there no more.
            Mismatch: if the features are not the ones of then.
        """
        images = store.image_features(self.encoder, [row.meme for row in self.rows])
        texts = store.text_features_of(self.encoder, {row.text for row in self.rows})
        for row in self.rows:
            if row.meme not in images or row.text not in texts:
                raise NotFound(
                    f"Meme {row.meme[:12]}… of this snapshot has no features of {self.encoder} "
                    "here any more; the version cannot be made again."
                )
        targets = [[np.nan if v is None else v for v in row.targets] for row in self.rows]
        known = FeatureSet(
            ids=tuple(row.meme for row in self.rows),
            image=stack([images[row.meme] for row in self.rows], 1),
            text=stack([texts[row.text] for row in self.rows], 1),
            targets=np.array(targets, dtype=np.float32).reshape(len(self.rows), len(self.labels)),
            labels=self.labels,
            weights=np.array([row.weight for row in self.rows], dtype=np.float32),
            groups=numbered([row.template for row in self.rows]),
        )
        if _digest(known) != self.features:
            raise Mismatch(
                f"The features of {self.encoder} that are here are not those of the snapshot; "
                "the version cannot be made again."
            )
        return known

    def _lines(self, head: Sequence[str]) -> list[bytes]:
        lines: list[object] = [{name: getattr(self, name) for name in head}]
        lines += [asdict(row) for row in self.rows]
        return [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines]


def learned_by(version: ModelVersion) -> frozenset[str]:
    """Ids of the memes that a version learned from; none are known without a sound snapshot.

    A version from another place may have learned from memes that are held out here.
    """
    return _memes_in(version.path / FILE) if version.path else frozenset()


def held_out_for(memes: Iterable[Meme], *versions: ModelVersion) -> list[Meme]:
    """The memes, those that one of the versions learned from no longer held out: of them it says
    nothing new."""
    learned = frozenset[str]().union(*map(learned_by, versions))
    return [
        replace(meme, held_out=False) if meme.held_out and meme.id in learned else meme
        for meme in memes
    ]


@lru_cache(maxsize=4)
def _memes_in(file: Path) -> frozenset[str]:
    """The files of a version never change, and its name is never given again."""
    try:
        return frozenset(row.meme for row in Snapshot.from_bytes(file.read_bytes()).rows)
    except FileNotFoundError:
        return frozenset()
    except (OSError, BadInput) as error:
        log.warning("%s cannot be read; what was learned from is not known: %s", file, error)
        return frozenset()


def rebuild(store: Store, registry: Registry, name: str, report: Report) -> bool:
    """Train a version again from its snapshot and the stored features.

    Returns:
        Whether every weight came out the same.

    Raises:
        NotFound: if there is no such version, it has no snapshot, or features are gone.
        Mismatch: if the features are not the ones of then.
    """
    version = registry.find(name)
    assert version.path is not None
    file = version.path / FILE
    if not file.exists():
        raise NotFound(f"{name} has no snapshot of what it learned from; it was not trained here.")
    snapshot = Snapshot.from_bytes(file.read_bytes())
    again = fit(
        snapshot.feature_set(store),
        Recipe.from_dict(snapshot.recipe),
        encoder=snapshot.encoder,
        seed=snapshot.seed,
        on_epoch=lambda progress: report(progress.stage.capitalize(), progress.done),
    )
    return again.weights_hash == registry.load(name).weights_hash


def _digest(known: FeatureSet) -> str:
    digest = hashlib.sha256(known.image.tobytes())
    digest.update(known.text.tobytes())
    return digest.hexdigest()
