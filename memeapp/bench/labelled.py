"""Labelled memes as a benchmark takes them: features, targets, texts and template families."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memeapp.crowd.targets import soft_targets
from memeapp.encoders import Encoder
from memeapp.errors import BadInput
from memeapp.labels import LabelSchema
from memeapp.learn.data import FeatureSet
from memeapp.ocr import OcrEngine
from memeapp.service.features import Report, between, feature_set, prepare
from memeapp.service.transfer import Transfer
from memeapp.settings import Settings
from memeapp.store import Store

TEST_SHARE = 0.2
"""Of the template families, measured on when no other labelled memes are named."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Memes that all have labels; every tuple has one entry a row of `features`."""

    name: str
    """For people: where they come from."""
    encoder: str
    features: FeatureSet
    texts: tuple[str, ...]
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Labelled:
        rows = np.arange(len(self))[index]
        return Labelled(
            self.name,
            self.encoder,
            self.features.take(rows),
            tuple(self.texts[row] for row in rows),
            tuple(self.families[row] for row in rows),
        )

    def digest(self) -> str:
        """SHA-256 (hex) of all that a result could depend on."""
        digest = hashlib.sha256(repr((self.encoder, self.features.labels, self.texts)).encode())
        for array in (self.features.image, self.features.text, self.features.targets):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load_labelled(
    folder: Path,
    *,
    settings: Settings,
    encoder: Encoder,
    ocr: Callable[[], OcrEngine],
    schema: LabelSchema,
    report: Report,
) -> Labelled:
    """The labelled memes of a data folder, or of a folder in MAMI's layout.

    What a data folder's memes lack in features is encoded and kept in it. A folder in MAMI's layout
    goes through a throw-away data folder, and is encoded anew each time.

    Raises:
        BadInput: without labelled memes.
    """
    if (folder / "memeapp.db").exists():
        return _from_store(folder, folder.name, encoder, ocr, schema, report)
    with tempfile.TemporaryDirectory() as throw_away:
        data = Path(throw_away)
        _import(folder, data, settings, schema, between(report, 0.0, 0.3))
        return _from_store(data, folder.name, encoder, ocr, schema, between(report, 0.3, 1.0))


def _import(
    folder: Path, data: Path, settings: Settings, schema: LabelSchema, report: Report
) -> None:
    store = Store(data)
    transfer = Transfer(
        store,
        schema,
        holdout_share=0.0,
        max_upload_mb=settings.max_upload_mb,
        max_text=settings.max_text,
    )
    transfer.import_folder(folder, lambda done, rows: report(f"{done} of {rows}", done / rows))
    store.close()


def _from_store(
    data: Path,
    name: str,
    encoder: Encoder,
    ocr: Callable[[], OcrEngine],
    schema: LabelSchema,
    report: Report,
) -> Labelled:
    store = Store(data)
    targets = soft_targets(store.standing_votes(blind=True), schema.names)
    memes = [meme for meme in store.memes() if meme.id in targets]
    if not memes:
        raise BadInput(f"{name!r} has no labelled memes; import some with labels, or label some.")
    memes, _ = prepare(store, memes, encoder, ocr, report)
    features = feature_set(store, memes, encoder, targets, schema.names)
    store.close()
    families = tuple(meme.family for meme in memes)
    _, groups = np.unique(families, return_inverse=True)
    return Labelled(
        name,
        encoder.id,
        replace(features, groups=groups),
        tuple(meme.text for meme in memes),
        families,
    )


def split_families(everything: Labelled, share: float = TEST_SHARE) -> tuple[Labelled, Labelled]:
    """The memes to learn from and those to measure on; a template family is on one side.

    The side is drawn from the family's id, so it stays when other memes come or go.
    """
    drawn = {family: _draw(family) for family in set(everything.families)}
    held_out = np.array([drawn[family] < share for family in everything.families], dtype=bool)
    if held_out.all() or not held_out.any():
        raise BadInput(
            f"{len(drawn)} template families cannot be split; name other memes with --test."
        )
    return everything.take(~held_out), everything.take(held_out)


def _draw(family: str) -> float:
    """In [0, 1), the same on every machine."""
    digest = hashlib.sha256(f"bench {family}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
