"""Measure a version on labelled memes that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from memeapp.corpus import read_corpus
from memeapp.errors import BadTable, TooFewLabels
from memeapp.images import decode_file
from memeapp.labels import LabelSchema
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet
from memeapp.learn.metrics import Metrics, measure
from memeapp.registry import Registry
from memeapp.service.engines import Engines
from memeapp.service.features import Report, feature_set, prepare, soft_targets
from memeapp.store import Store
from memeapp.types import Meme, ModelVersion


class Evaluation:
    """Official scores, AUC and calibration of a version, with intervals."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        engines: Engines,
        schema: LabelSchema,
        *,
        max_upload_mb: int,
    ) -> None:
        self._store = store
        self._registry = registry
        self._engines = engines
        self._schema = schema
        self._max_bytes = max_upload_mb * 2**20

    def held_out(self, report: Report, name: str | None = None) -> Metrics:
        """Measure a version, the current one by default, on the labelled held-out memes.

        Raises:
            NotFound: if there is no such version.
            TooFewLabels: if no held-out meme has a vote.
            Mismatch: if the version knows other labels.
        """
        version = self._registry.find(name) if name else self._registry.current()
        metrics = self.on_memes(version, self._store.memes(held_out=True), report)
        if metrics is None:
            raise TooFewLabels("No held-out meme has a label yet; label some, or name a folder.")
        return metrics

    def on_memes(
        self, version: ModelVersion, memes: Sequence[Meme], report: Report
    ) -> Metrics | None:
        """Measure a version on those of these memes that have votes; None if none has.

        Raises:
            Mismatch: if the version knows other labels than the schema.
            Unavailable: if the version's encoder cannot be had.
        """
        self._schema.check_version(version)
        targets = soft_targets(self._store.standing_votes(blind=True), self._schema.names)
        judged = [meme for meme in memes if meme.id in targets]
        if not judged:
            return None
        encoder = self._engines.encoder_for(version.encoder)
        judged, _ = prepare(self._store, judged, encoder, self._engines.ocr, report)
        rows = feature_set(self._store, judged, encoder, targets, self._schema.names)
        return measure_on(self._registry.load(version.name), rows)

    def on_folder(
        self, folder: Path, report: Report, name: str | None = None, *, read_text: bool = False
    ) -> Metrics:
        """Measure a version on a labelled folder in MAMI's layout, without storing its memes.

        Args:
            read_text: let OCR read every text; only those that the table lacks otherwise.

        Raises:
            BadTable: if the folder's table is wrong or has no labels.
            BadPicture: if a picture cannot be used.
        """
        version = self._registry.find(name) if name else self._registry.current()
        self._schema.check_version(version)
        encoder = self._engines.encoder_for(version.encoder)
        rows = [row for row in read_corpus(folder, self._schema.names) if row.labels]
        if not rows:
            raise BadTable(f"{folder} has no labelled memes; its table needs label columns.")
        images, texts = [], []
        for number, row in enumerate(rows):
            report(f"{number} of {len(rows)}", number / len(rows))
            picture = decode_file(row.file, max_bytes=self._max_bytes)
            images.append(encoder.encode_images([picture.image])[0])
            read = read_text or not row.text
            texts.append(self._engines.ocr().read(picture.image).text if read else row.text or "")
        names = self._schema.names
        targets = [[float(row.labels.get(label, np.nan)) for label in names] for row in rows]
        judged = FeatureSet(
            ids=tuple(row.file.name for row in rows),
            image=np.stack(images),
            text=encoder.encode_texts(texts),
            targets=np.array(targets, dtype=np.float32),
            labels=names,
        )
        return measure_on(self._registry.load(version.name), judged)


def measure_on(checkpoint: Checkpoint, judged: FeatureSet) -> Metrics:
    """A checkpoint's answers against the majority of the votes; a tie counts as no."""
    truth = np.where(np.isnan(judged.targets), np.nan, judged.targets > 0.5)
    probabilities = checkpoint.predict(judged.image, judged.text)
    return measure(truth, probabilities, checkpoint.decide(probabilities), labels=judged.labels)
