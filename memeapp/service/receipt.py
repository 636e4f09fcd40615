"""The receipt of a version: all that its training took and found, as one file beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from memeapp.crowd.agreement import Agreement, WithModel, label_agreement, with_model
from memeapp.errors import BadInput, Cancelled, MemeAppError, NotFound
from memeapp.judging import VoteKind
from memeapp.learn.calibration import reliability
from memeapp.learn.curve import Curve, learning_curve
from memeapp.learn.loops import Progress
from memeapp.registry import Registry
from memeapp.service.bundle_json import check_json
from memeapp.service.evaluation import Answers
from memeapp.service.features import Report
from memeapp.service.flips import Flips, find_flips
from memeapp.service.run import Run
from memeapp.service.snapshot import held_out_for
from memeapp.store import Store
from memeapp.types import LossCurve, ModelVersion

log = logging.getLogger(__name__)

FILE = "receipt.json"
"""The receipt among the files of a version."""
SCHEMA = 1
STOPPED = "No receipt: it was stopped while its receipt was made."
FAILED = "No receipt: it could not be made; the log says why."

Bins = tuple[tuple[float, float, int], ...]
"""(mean probability, share of yes, memes) in bins of equal count."""


@dataclass(frozen=True, slots=True)
class OfLabel:
    """What a version learned of one label, and how its answers hold."""

    label: str
    judged: int
    """Memes that it learned from and that somebody judged on the label."""
    positives: int
    """Of them, for how many most people said yes."""
    held_out: int
    held_out_positives: int
    threshold: float
    """From this probability on the label is given."""
    unsure_from: float
    unsure_below: float
    out_of_fold: Bins
    """How its probabilities held in cross-validation."""
    on_held_out: Bins
    with_votes: WithModel
    """Single blind votes on the held-out memes beside its decisions."""
    with_majority: WithModel
    """Their majority beside its decisions."""
    among_people: Agreement
    """The same votes beside each other."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `version.json` tells, and what only the training itself could find out."""

    schema: int
    taken_at: str
    """Up to when votes counted; UTC, ISO 8601."""
    parent: str | None
    encoder: str
    recipe: str
    data: Mapping[str, int | float | str]
    """As `ModelVersion.data`."""
    metrics: Mapping[str, Any]
    """As `ModelVersion.metrics`: the scores, those of the parent, and the gate's decision."""
    labels: tuple[OfLabel, ...]
    curve: Curve
    flips: Flips | None
    """Against the parent; None without one that can be asked."""
    losses: tuple[LossCurve, ...]
    warnings: tuple[str, ...]
    """Fall-backs in force, and what could not be found out."""

    def to_bytes(self) -> bytes:
        """The file: JSON."""
        return _FILE.dump_json(self) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Receipt:
        """Read what `to_bytes` wrote, perhaps elsewhere.

        Raises:
            BadInput: if it is something else.
        """
        check_json(content, FILE)
        try:
            receipt = _FILE.validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])[:80]
            raise BadInput(f"{FILE} cannot be read: {where}: {first['msg']}.") from error
        if receipt.schema != SCHEMA:
            raise BadInput(f"{FILE} has schema {receipt.schema}; {SCHEMA} is what is read here.")
        return receipt


_FILE = TypeAdapter(Receipt)


def read_receipt(version: ModelVersion) -> Receipt:
    """The receipt of a version.

    Raises:
        NotFound: it has none: it came with the program, is older, or its receipt failed or is not
            ready yet.
        BadInput: it has one that cannot be read.
    """
    assert version.path is not None
    file = version.path / FILE
    if not file.is_file():
        raise NotFound(
            f"{version.name} has no receipt: it is being made, it was stopped or failed, or the "
            "version was not trained here, or before receipts were made."
        )
    return Receipt.from_bytes(file.read_bytes())


def add_receipt(
    run: Run, version: ModelVersion, store: Store, registry: Registry, report: Report
) -> str:
    """Make the receipt of a version that is saved, and put it beside its other files.

    Returns:
        Why it has none, as a sentence; empty where it has one. The version stays in any case.
    """
    try:
        receipt = make_receipt(run, version, store, registry, report)
        registry.enclose(version.name, FILE, receipt.to_bytes())
    except Cancelled:
        return STOPPED
    except Exception:
        log.exception("%s gets no receipt", version.name)
        return FAILED
    return ""


def make_receipt(
    run: Run, version: ModelVersion, store: Store, registry: Registry, report: Report
) -> Receipt:
    """Measure what only a receipt tells: the learning curve, flips, agreement with votes."""

    def after_epoch(progress: Progress) -> None:
        report("Drawing the learning curve", 0.8 * progress.done)

    curve = learning_curve(run.learnt, run.judged, run.checkpoint, on_epoch=after_epoch)
    report("Looking for decisions that flipped", 0.8)
    flips, warning = _flips(run, store, registry)
    report("Comparing votes with answers", 0.95)
    return Receipt(
        SCHEMA,
        run.said.taken_at,
        version.parent,
        version.encoder,
        version.recipe,
        version.data,
        version.metrics,
        tuple(of_labels(run, store)),
        curve,
        flips,
        run.losses,
        (*run.notices, *([warning] if warning else [])),
    )


def _flips(run: Run, store: Store, registry: Registry) -> tuple[Flips | None, str]:
    """The flips, or why there are none to be told."""
    if run.parent is None:
        return None, ""
    if run.parent.labels != run.checkpoint.labels:
        return None, f"Flips are not known: {run.parent.name} knows other labels."
    try:
        parent = registry.load(run.parent.name)
    except MemeAppError as error:
        return None, f"Flips are not known: {error}"
    targets = dict(zip(run.judged.ids, run.judged.targets, strict=True))
    memes = held_out_for(run.memes, run.parent)
    return find_flips(store, memes, parent, run.checkpoint, targets), ""


def of_labels(run: Run, store: Store) -> list[OfLabel]:
    """The facts of each label."""
    said = _votes(store, run.judged.ids, run.judged.labels)
    bins = _bins(run.answers, len(run.judged.labels))
    out_of_fold = run.checkpoint.reliability or ((),) * len(run.judged.labels)
    facts = []
    for column, label in enumerate(run.judged.labels):
        learnt = run.learnt.targets[:, column]
        truth = run.answers.truth[:, column] if run.answers else np.zeros(0)
        says = run.answers.decisions[:, column] if run.answers else np.zeros(0, dtype=np.bool_)
        band = run.checkpoint.bands[column]
        majority = np.column_stack([truth == 1, truth == 0]).astype(np.int64)
        facts.append(
            OfLabel(
                label,
                int((~np.isnan(learnt)).sum()),
                int((learnt > 0.5).sum()),
                int((~np.isnan(truth)).sum()),
                int((truth == 1).sum()),
                float(run.checkpoint.thresholds[column]),
                band.low,
                band.high,
                out_of_fold[column],
                bins[column],
                with_model(said[:, column], says),
                with_model(majority, says),
                label_agreement(said[:, column]),
            )
        )
    return facts


def _bins(answers: Answers | None, labels: int) -> tuple[Bins, ...]:
    if answers is None:
        return ((),) * labels
    return reliability(answers.probabilities, answers.truth)


def _votes(store: Store, memes: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """(N, C, 2) single blind votes of yes and no on these memes."""
    rows = {meme: row for row, meme in enumerate(memes)}
    columns = {label: column for column, label in enumerate(labels)}
    counts = np.zeros((len(memes), len(labels), 2), dtype=np.int64)
    for vote in store.standing_votes(memes, blind=True):
        if vote.kind is VoteKind.DECISION:
            continue
        for label, yes in vote.labels.items():
            if label in columns:
                counts[rows[vote.meme_id], columns[label], 0 if yes else 1] += 1
    return counts
