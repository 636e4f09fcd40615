"""Two versions beside each other, measured now on what people have said of the held-out memes."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from memeapp.crowd.targets import soft_targets
from memeapp.errors import MemeAppError
from memeapp.labels import LabelSchema
from memeapp.learn.calibration import reliability
from memeapp.learn.gate import Decision, Rule
from memeapp.learn.metrics import Metrics
from memeapp.registry import Registry
from memeapp.service.evaluation import Answers
from memeapp.service.flips import Flips, encoded, find_flips
from memeapp.service.receipt import Bins
from memeapp.service.snapshot import held_out_for
from memeapp.store import Store
from memeapp.types import ModelVersion

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Side:
    """One version on the held-out memes as they are labelled now."""

    metrics: Metrics
    bins: tuple[Bins, ...]
    """One a label: how its probabilities hold there."""


@dataclass(frozen=True, slots=True)
class Versus:
    """Two versions of the labels in force; what is missing is told in words."""

    a: ModelVersion
    b: ModelVersion
    labelled: int
    """Held-out memes that are labelled now and that neither has learned from."""
    missing: str = ""
    """Why they cannot be measured, as a sentence; the rest is None then."""
    side_a: Side | None = None
    side_b: Side | None = None
    decision: Decision | None = None
    """b minus a, on the same memes."""
    flips: Flips | None = None
    """From a to b; None if they are one version."""


def compare(
    store: Store, registry: Registry, schema: LabelSchema, a: str, b: str, rule: Rule
) -> Versus:
    """Measure both on the same memes, from features that are there: no encoder is opened.

    Raises:
        NotFound: if there is no such version.
    """
    versions = registry.find(a), registry.find(b)
    memes = held_out_for(store.memes(), *versions)
    targets = soft_targets(store.standing_votes(blind=True), schema.names)
    judged = [meme for meme in memes if meme.held_out and meme.id in targets]
    try:
        for version in versions:
            schema.check_version(version)
        models = [registry.load(version.name) for version in versions]
    except MemeAppError as error:
        log.warning("%s and %s cannot be compared: %s", a, b, error)
        return Versus(*versions, len(judged), str(error))
    sets = [encoded(store, judged, model.encoder, schema.names, targets) for model in models]
    both = set(sets[0].ids) & set(sets[1].ids)
    flips = None if a == b else find_flips(store, memes, models[0], models[1], targets)
    if not both:
        missing = "No labelled held-out meme has been encoded for both; run `memeapp encode`."
        if not judged:
            missing = "No held-out meme has a label yet, or one of the two learned from all."
        return Versus(*versions, len(judged), missing, flips=flips)
    answers = [
        Answers.of(model, rows.take(np.array([id in both for id in rows.ids])))
        for model, rows in zip(models, sets, strict=True)
    ]
    sides = [Side(one.measure(), reliability(one.probabilities, one.truth)) for one in answers]
    decision = answers[1].against(answers[0], rule)
    return Versus(*versions, len(judged), "", sides[0], sides[1], decision, flips)
