"""Train a new version on the votes, compare it with the current one on held-out memes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from memeapp.encoders import Encoder
from memeapp.errors import MemeAppError, NotFound, TooFewLabels
from memeapp.labels import LabelSchema
from memeapp.learn.data import TooFewRows
from memeapp.learn.gate import BY_DEFAULT, Rule
from memeapp.learn.loops import OnEpoch
from memeapp.learn.train import BEST, MINIMUM_ROWS, Progress, Recipe, fit
from memeapp.registry import Registry
from memeapp.service.course import Curves
from memeapp.service.encoding import OpenEngine, here
from memeapp.service.engines import EMBEDDED, Engines, plain
from memeapp.service.evaluation import Answers, Evaluation
from memeapp.service.features import Report, between, feature_set, prepare
from memeapp.service.pace import LEARNED, PREPARED
from memeapp.service.receipt import add_receipt
from memeapp.service.recent import Recent
from memeapp.service.run import Run, Trained
from memeapp.service.said import Said, check_choice
from memeapp.service.snapshot import FILE as SNAPSHOT
from memeapp.service.snapshot import Snapshot
from memeapp.service.templates import join_neighbours
from memeapp.store import Store
from memeapp.types import Counts, Meme, ModelVersion

log = logging.getLogger(__name__)

Reliability = Mapping[str, Sequence[tuple[float, float, int]]]


class Training:
    """What an admin can do with the model; the caller has checked who asks."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        engines: Engines,
        schema: LabelSchema,
        evaluation: Evaluation,
        *,
        rule: Rule = BY_DEFAULT,
    ) -> None:
        self._store = store
        self._registry = registry
        self._engines = engines
        self._schema = schema
        self._evaluation = evaluation
        self._rule = rule
        self._reliability: tuple[str, Reliability] | None = None
        self._counts: Recent[Counts] = Recent(lambda _: store.counts(schema.names))

    def counts(self) -> Counts:
        """At most a minute old where it is costly, but never older than what an admin did."""
        return self._counts(0, self._store.counts_mark())

    def versions(self) -> list[ModelVersion]:
        """Newest first; the shipped one is the last."""
        return self._registry.versions()

    def current(self) -> ModelVersion:
        """The version that answers. Raises: NotFound, if there is none at all."""
        return self._registry.current()

    def reliability(self) -> Reliability:
        """How the current version's probabilities held out of fold; empty where it cannot be read.

        Per label (mean probability, share of yes, memes) in bins of equal count.
        """
        try:
            name = self.current().name
            if self._reliability is None or self._reliability[0] != name:
                checkpoint = self._registry.load(name)
                table = dict(zip(checkpoint.labels, checkpoint.reliability, strict=False))
                self._reliability = name, table
        except NotFound:
            return {}  # there is no version at all yet
        except MemeAppError as error:
            log.warning("No reliability plot: %s", error)
            return {}
        return self._reliability[1]

    def promote(self, name: str) -> None:
        """Let this version answer from the next request on.

        Raises:
            NotFound: if there is no such version.
            Mismatch: if it knows other labels.
        """
        self._schema.check_version(self._registry.find(name))
        self._registry.promote(name)

    def check(self) -> None:
        """Refuse a retrain that could not work, before anything is started.

        Raises:
            TooFewLabels: with how many labels there are and how many are missing.
        """
        counts = self._store.counts(self._schema.names)
        usable = counts.labelled - counts.held_out_labelled
        if usable < MINIMUM_ROWS:
            raise TooFewLabels(
                f"{usable} labelled memes can be trained on; a retrain needs at least "
                f"{MINIMUM_ROWS}. Label {MINIMUM_ROWS - usable} more. "
                f"({counts.held_out_labelled} labelled ones are held out to measure on.)"
            )

    def usual_encoder(self) -> str:
        """The encoder that a training takes if nobody names one.

        The one of the setting until a version is trained on it; then that of the current version.
        """
        return self._usual(self.versions())

    def _usual(self, versions: Sequence[ModelVersion]) -> str:
        wanted = self._engines.wanted
        tried = {plain(version.encoder) for version in versions}
        return plain(self.current().encoder if plain(wanted) in tried else wanted)

    def known_encoders(self) -> list[str]:
        """The usual encoder, then the others that the setting, a version or the store names."""
        versions = self.versions()
        names = [self._usual(versions), EMBEDDED, self._engines.wanted]
        names += [version.encoder for version in versions]
        return list(dict.fromkeys(plain(name) for name in [*names, *self._store.encoders()]))

    def encode(
        self,
        report: Report,
        encoder: str | None = None,
        open_engine: OpenEngine = here,
    ) -> tuple[int, str]:
        """Read and encode every meme that is not yet encoded.

        Args:
            encoder: as `open_encoder` takes it; the usual one if None.
            open_engine: opens what does the work; this process unless it says otherwise.

        Returns:
            How many pictures were encoded, and the id of the encoder.

        Raises:
            BadSetting, Mismatch, Unavailable: if that encoder cannot be had.
            BadPicture: as `prepare` does.
        """
        opened = self._open(encoder, report)
        memes = self._store.memes()
        with open_engine(opened, self._engines.ocr) as engine:
            _, encoded = prepare(self._store, memes, opened, self._engines.ocr, report, engine)
        join_neighbours(self._store, opened.id)
        return encoded, opened.id

    def train(
        self,
        report: Report,
        *,
        encoder: str | None = None,
        seed: int = 0,
        recipe: Recipe = BEST,
        aggregation: str = "majority",
        votes: str = "blind",
        on_epoch: OnEpoch | None = None,
        on_saved: Callable[[Trained], None] | None = None,
    ) -> Trained:
        """CROM-AE on all memes that are not held out, RAW-N-COOK on the labelled ones of them.

        The caller sees what the gate says of it, and promotes it or not. Both versions are
        measured on the same truth, the majority of the blind votes on the held-out memes,
        whatever they were trained on.

        Args:
            report: called with the stage and the share done; an exception it raises stops the
                training, and nothing but encoded features is left behind. Once the version is
                saved, only its receipt is missing then.
            encoder: as `open_encoder` takes it; the usual one if None.
            aggregation, votes: as `Said.take` has them.
            on_epoch: called after every epoch, before `report`.
            on_saved: called once the version is saved, before its receipt is made.

        Raises:
            BadInput: as `check_choice`.
            TooFewLabels: if there is not enough to learn from.
            BadSetting, Mismatch, Unavailable: if that encoder cannot be had.
        """
        check_choice(aggregation, votes)
        self.check()
        started = time.perf_counter()
        parent = self._parent()
        opened = self._open(encoder, report)
        memes = self._prepared(opened, between(report, 0.0, PREPARED))
        held_out = np.array([meme.held_out for meme in memes], dtype=bool)
        said = Said.take(
            self._store, memes, self._schema.names, aggregation=aggregation, votes=votes
        )
        known = feature_set(
            self._store, memes, opened, said.targets, self._schema.names, said.judges
        )
        learnt_from = known.take(~held_out)
        snapshot = Snapshot.take(
            learnt_from,
            [meme for meme in memes if not meme.held_out],
            encoder=opened.id,
            recipe=recipe,
            seed=seed,
            taken_at=said.taken_at,
            last_vote=said.last_vote,
            votes=len(said.votes),
        )
        self._store.mark_learned(learnt_from.ids)
        learning = between(report, PREPARED, LEARNED)
        curves = Curves()

        def after_epoch(progress: Progress) -> None:
            curves.add(progress)
            if on_epoch:
                on_epoch(progress)
            of = f": epoch {progress.epoch} of at most {progress.epochs}" if progress.epoch else ""
            learning(f"{progress.stage.capitalize()}{of}", progress.done)

        try:
            checkpoint = fit(
                learnt_from, recipe, encoder=opened.id, seed=seed, on_epoch=after_epoch
            )
        except TooFewRows as error:
            raise TooFewLabels(str(error)) from error
        report("Measuring on held-out memes", LEARNED)
        judged = known.take(held_out).labelled()
        answers = Answers.of(checkpoint, judged) if len(judged) else None
        before, decision = None, None
        if parent:
            current, decision = self._evaluation.gate(
                parent, answers, memes, self._rule, between(report, LEARNED, 0.97)
            )
            before = current.measure() if current else None
        run = Run(
            parent=parent,
            memes=memes,
            said=said,
            aggregation=aggregation,
            votes=votes,
            learnt=learnt_from,
            judged=judged,
            snapshot=snapshot,
            checkpoint=checkpoint,
            answers=answers,
            metrics=answers.measure() if answers else None,
            before=before,
            decision=decision,
            losses=curves.drawn(),
            notices=self._engines.notices,
            started=started,
        )
        report("Saving the version", 0.97)
        version = self._registry.add(
            checkpoint,
            parent=parent.name if parent else None,
            recipe=recipe.name,
            data=run.data,
            metrics=run.scores,
            files={SNAPSHOT: snapshot.to_bytes()},
        )
        trained = Trained(version, run.metrics, before, decision, run.notices)
        if on_saved:
            on_saved(trained)
        missing = add_receipt(run, version, self._store, self._registry, between(report, 0.97, 1.0))
        return replace(trained, notices=(*run.notices, missing)) if missing else trained

    def _prepared(self, encoder: Encoder, report: Report) -> list[Meme]:
        """All memes with texts and features, on the side of the holdout where they are to stay."""
        memes, _ = prepare(self._store, self._store.memes(), encoder, self._engines.ocr, report)
        join_neighbours(self._store, encoder.id)
        now_there = {meme.id: meme for meme in self._store.memes()}
        return [
            replace(
                meme, template=now_there[meme.id].template, held_out=now_there[meme.id].held_out
            )
            for meme in memes
        ]

    def _parent(self) -> ModelVersion | None:
        try:
            return self._registry.current()
        except NotFound:
            return None  # Only while the shipped version itself is made.

    def _open(self, encoder: str | None, report: Report) -> Encoder:
        name = encoder or self.usual_encoder()
        report(f"Opening the encoder {name}", 0.0)
        return self._engines.encoder_for(name)
