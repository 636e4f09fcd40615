"""Train a new version on the votes, measure it on held-out memes, hand it to the registry."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from memeapp.corpus import read_corpus
from memeapp.errors import BadInput, BadTable, Mismatch, TooFewLabels
from memeapp.images import decode
from memeapp.labels import LabelSchema
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet, TooFewRows
from memeapp.learn.metrics import Metrics, measure
from memeapp.learn.train import BEST, Progress, Recipe, fit
from memeapp.registry import Registry
from memeapp.service.engines import Engines
from memeapp.service.features import (
    Report,
    encode_missing,
    feature_set,
    read_missing_text,
    soft_targets,
)
from memeapp.store import Store
from memeapp.types import Counts, Meme, ModelVersion

MIN_LABELLED = 30
"""Labelled memes outside the holdout that a retrain asks for; fewer say nothing reliable."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training run."""

    version: ModelVersion
    before: Metrics | None
    """The version that answered until now, on the same held-out memes; None without any."""


class Training:
    """What an admin can do with the model; the caller has checked who asks."""

    def __init__(
        self, store: Store, registry: Registry, engines: Engines, schema: LabelSchema
    ) -> None:
        self._store = store
        self._registry = registry
        self._engines = engines
        self._schema = schema

    def counts(self) -> Counts:
        return self._store.counts(self._schema.names)

    def versions(self) -> list[ModelVersion]:
        """Newest first; the shipped one is the last."""
        return self._registry.versions()

    def current(self) -> ModelVersion:
        return self._registry.current()

    def promote(self, name: str) -> None:
        """Let this version answer from the next request on. Raises: NotFound, Mismatch."""
        version = self._registry.find(name)
        if version.labels != self._schema.names:
            raise Mismatch(
                f"Version {name} knows the labels {', '.join(version.labels)}, but the schema in "
                f"force has {', '.join(self._schema.names)}."
            )
        self._registry.promote(name)

    def check(self) -> None:
        """Refuse a retrain that could not work, before anything is started.

        Raises:
            TooFewLabels: with how many labels there are and how many are missing.
        """
        counts = self.counts()
        usable = counts.labelled - counts.held_out_labelled
        if usable < MIN_LABELLED:
            raise TooFewLabels(
                f"{usable} labelled memes are not held out; a retrain needs at least "
                f"{MIN_LABELLED}. Label {MIN_LABELLED - usable} more "
                f"({counts.held_out_labelled} labelled ones are held out for evaluation)."
            )

    def encode(self, report: Report) -> int:
        """Read and encode every meme that is not yet encoded; returns how many pictures were."""
        memes = read_missing_text(self._store, self._store.memes(), self._engines.ocr, report)
        return encode_missing(self._store, memes, self._engines.encoder(), report)

    def train(self, report: Report, *, seed: int = 0, recipe: Recipe = BEST) -> Trained:
        """CROM-AE on all memes that are not held out, RAW-N-COOK on the labelled ones of them.

        The new version becomes the current one; the caller sees how it compares.

        Args:
            report: called with the stage and the share done; an exception it raises stops the
                training and nothing is left behind.

        Raises:
            TooFewLabels: if there is not enough to learn from.
        """
        self.check()
        started = time.perf_counter()
        parent = self._registry.current()
        encoder = self._engines.encoder()
        everything = _between(report, 0.0, 0.6)
        memes = read_missing_text(self._store, self._store.memes(), self._engines.ocr, everything)
        encode_missing(self._store, memes, encoder, everything)
        known = self._features(memes, encoder.id)
        held_out = np.array([meme.held_out for meme in memes], dtype=bool)
        learnt_from = known.take(np.flatnonzero(~held_out))
        learning = _between(report, 0.6, 0.95)

        def on_epoch(progress: Progress) -> None:
            learning(progress.stage, progress.done)

        try:
            checkpoint = fit(learnt_from, recipe, encoder=encoder.id, seed=seed, on_epoch=on_epoch)
        except TooFewRows as error:
            raise TooFewLabels(str(error)) from error
        report("Measuring on held-out memes", 0.95)
        judged = known.take(np.flatnonzero(held_out)).labelled()
        metrics = measure_on(checkpoint, judged) if len(judged) else None
        version = self._registry.add(
            checkpoint,
            parent=parent.name,
            recipe=recipe.name,
            data={
                "labelled": len(learnt_from.labelled()),
                "unlabelled": len(learnt_from) - len(learnt_from.labelled()),
                "held_out_labelled": len(judged),
                "seed": seed,
                "seconds": round(time.perf_counter() - started, 1),
                "peak_memory_mb": round(peak_memory_mb()),
            },
            metrics=metrics.to_dict() if metrics else {},
        )
        before = self._measure_version(parent, memes) if len(judged) else None
        self._registry.promote(version.name)
        log.info("%s trained in %s s", version.name, version.data["seconds"])
        return Trained(version, before)

    def evaluate(self, report: Report, name: str | None = None) -> Metrics:
        """Measure a version (the current one by default) on the labelled held-out memes.

        Raises:
            TooFewLabels: if no held-out meme has a vote.
        """
        version = self._registry.find(name) if name else self._registry.current()
        encoder = self._engines.encoder_for(version.encoder)
        memes = read_missing_text(
            self._store, self._store.memes(held_out=True), self._engines.ocr, report
        )
        encode_missing(self._store, memes, encoder, report)
        metrics = self._measure_version(version, memes)
        if metrics is None:
            raise TooFewLabels("No held-out meme has a label yet; label some, or name a folder.")
        return metrics

    def evaluate_folder(
        self, folder: Path, report: Report, name: str | None = None, *, read_text: bool = False
    ) -> Metrics:
        """Measure a version on a labelled folder in MAMI's layout, without storing its memes.

        Args:
            read_text: let OCR read every text; only those the table lacks otherwise.

        Raises:
            BadTable: if the folder's table is wrong or has no labels.
        """
        version = self._registry.find(name) if name else self._registry.current()
        encoder = self._engines.encoder_for(version.encoder)
        rows = [row for row in read_corpus(folder, self._schema.names) if row.labels]
        if not rows:
            raise BadTable(f"{folder} has no labelled memes; its table needs label columns.")
        images, texts = [], []
        for number, row in enumerate(rows):
            report(f"{number} of {len(rows)}", number / len(rows))
            picture = decode(row.file.read_bytes(), name=row.file.name)
            images.append(encoder.encode_images([picture.image])[0])
            texts.append(
                self._engines.ocr().read(picture.image).text
                if read_text or not row.text
                else row.text
            )
        return measure_on(
            self._registry.load(version.name),
            FeatureSet(
                ids=tuple(row.file.name for row in rows),
                image=np.stack(images),
                text=encoder.encode_texts(texts),
                targets=np.array(
                    [
                        [row.labels.get(label, np.nan) for label in self._schema.names]
                        for row in rows
                    ],
                    dtype=np.float32,
                ),
                labels=self._schema.names,
            ),
        )

    def _measure_version(self, version: ModelVersion, memes: Sequence[Meme]) -> Metrics | None:
        """None when no held-out meme is labelled or the version knows other labels."""
        if version.labels != self._schema.names:
            return None
        held_out = [meme for meme in memes if meme.held_out]
        encoder = self._engines.encoder_for(version.encoder)
        encode_missing(self._store, held_out, encoder, _silent)
        judged = self._features(held_out, encoder.id).labelled()
        return measure_on(self._registry.load(version.name), judged) if len(judged) else None

    def _features(self, memes: Sequence[Meme], encoder_id: str) -> FeatureSet:
        targets = soft_targets(self._store.votes(), self._schema.names)
        return feature_set(
            self._store, memes, self._engines.encoder_for(encoder_id), targets, self._schema.names
        )


def measure_on(checkpoint: Checkpoint, judged: FeatureSet) -> Metrics:
    """A checkpoint's answers against the majority of the votes; a tie counts as no.

    Raises:
        BadInput: if checkpoint and rows have different labels.
    """
    if checkpoint.labels != judged.labels:
        raise BadInput(
            f"The model knows {', '.join(checkpoint.labels)}, the data {', '.join(judged.labels)}."
        )
    truth = np.where(np.isnan(judged.targets), np.nan, judged.targets > 0.5)
    probabilities = checkpoint.predict(judged.image, judged.text)
    return measure(
        truth, probabilities, probabilities >= checkpoint.thresholds, labels=judged.labels
    )


def peak_memory_mb() -> float:
    """The largest resident size of this process in MiB; today's size where Linux's is missing."""
    # getrusage would count the parent's size too: it survives fork and exec.
    status = Path("/proc/self/status")
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) / 1024
    return float(psutil.Process().memory_info().rss) / 2**20


def _between(report: Report, low: float, high: float) -> Report:
    def scaled(stage: str, done: float) -> None:
        report(stage, low + (high - low) * done)

    return scaled


def _silent(stage: str, done: float) -> None:
    pass
