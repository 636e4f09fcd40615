"""Measure a version on labelled memes that it was not trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memeapp.corpus import read_corpus
from memeapp.crowd.targets import soft_targets
from memeapp.errors import BadTable, Cancelled, MemeAppError, TooFewLabels
from memeapp.images import decode_file
from memeapp.labels import LabelSchema
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet
from memeapp.learn.gate import Decision, Rule, Verdict, judge
from memeapp.learn.metrics import Metrics, measure
from memeapp.registry import Registry
from memeapp.service.engines import Engines
from memeapp.service.features import Report, feature_set, prepare
from memeapp.service.snapshot import learned_by
from memeapp.store import Store
from memeapp.types import Meme, ModelVersion

log = logging.getLogger(__name__)


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
        """Measure a version, the current one by default, on the labelled held-out memes; those
        that it learned from in another place are left out.

        Raises:
            NotFound: if there is no such version.
            TooFewLabels: if none of them has a vote.
            Mismatch: if the version knows other labels.
        """
        version = self._registry.find(name) if name else self._registry.current()
        learned = learned_by(version)
        memes = [meme for meme in self._store.memes(held_out=True) if meme.id not in learned]
        metrics = self.on_memes(version, memes, report)
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
        return self._answers(version, judged, targets, report).measure() if judged else None

    def _answers(
        self,
        version: ModelVersion,
        judged: Sequence[Meme],
        targets: Mapping[str, NDArray[np.float32]],
        report: Report,
    ) -> Answers:
        """What a version of our labels says of memes with these targets. Raises: Unavailable."""
        encoder = self._engines.encoder_for(version.encoder)
        ready, _ = prepare(self._store, judged, encoder, self._engines.ocr, report)
        rows = feature_set(self._store, ready, encoder, targets, self._schema.names)
        return Answers.of(self._registry.load(version.name), rows)

    def gate(
        self,
        current: ModelVersion,
        answers: Answers | None,
        memes: Sequence[Meme],
        rule: Rule,
        report: Report,
    ) -> tuple[Answers | None, Decision]:
        """What the current version says of a candidate's memes, and the gate of both.

        Both are held against the targets of `answers`: votes that came meanwhile are not among
        them. Nor are memes that the current version learned from in another place.

        Args:
            answers: None: no held-out meme has a label.
            memes: the memes of `answers`, and others.
        """

        def comparing(stage: str, done: float) -> None:
            report(f"Comparing with {current.name} · {stage}", done)

        if answers is None:
            reason = "No held-out meme has a label yet, so nobody knows which is better."
            return None, Decision(Verdict.UNKNOWN, reason, rule, 0)
        answers = answers.without(learned_by(current))
        targets = dict(zip(answers.rows.ids, answers.rows.targets, strict=True))
        if not targets:
            reason = f"{current.name} learned from every labelled held-out meme; none is left."
            return None, Decision(Verdict.UNKNOWN, reason, rule, 0)
        judged = [meme for meme in memes if meme.id in targets]
        try:
            self._schema.check_version(current)
            before = self._answers(current, judged, targets, comparing)
        except Cancelled:
            raise
        except MemeAppError as error:
            log.warning("%s cannot be compared: %s", current.name, error)
            reason = f"{current.name} cannot be measured for comparison: {error}"
            return None, Decision(Verdict.UNKNOWN, reason, rule, len(judged))
        return before, answers.against(before, rule)

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
        return Answers.of(self._registry.load(version.name), judged).measure()


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model says of N labelled memes that it was not trained on."""

    rows: FeatureSet
    truth: NDArray[np.float64]
    """(N, C) majority of the votes, NaN where nobody judged; a tie counts as no."""
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]

    @classmethod
    def of(cls, checkpoint: Checkpoint, rows: FeatureSet) -> Answers:
        truth = np.where(np.isnan(rows.targets), np.nan, rows.targets > 0.5)
        probabilities = checkpoint.predict(rows.image, rows.text)
        return cls(rows, truth, probabilities, checkpoint.decide(probabilities))

    def without(self, memes: Set[str]) -> Answers:
        """Those about other memes than these."""
        kept = np.array([id not in memes for id in self.rows.ids], dtype=bool)
        if kept.all():
            return self
        return Answers(
            self.rows.take(kept), self.truth[kept], self.probabilities[kept], self.decisions[kept]
        )

    def measure(self) -> Metrics:
        """The figures; for their intervals near-duplicates are drawn together, as in the gate."""
        return measure(
            self.truth,
            self.probabilities,
            self.decisions,
            labels=self.rows.labels,
            groups=self.rows.groups,
        )

    def against(self, current: Answers, rule: Rule) -> Decision:
        """What the gate says of these answers beside those of the current version.

        Raises:
            ValueError: if they are not about the same memes with the same votes.
        """
        if self.rows.ids != current.rows.ids or not np.array_equal(
            self.truth, current.truth, equal_nan=True
        ):
            raise ValueError("Two versions are compared on the same memes and votes only.")
        return judge(
            self.truth,
            (self.probabilities, self.decisions),
            (current.probabilities, current.decisions),
            labels=self.rows.labels,
            groups=self.rows.groups,
            rule=rule,
        )
