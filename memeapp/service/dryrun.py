"""What a training would learn from if it started now; nothing is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from memeapp.encoders import check_encoder
from memeapp.errors import MemeAppError, NotFound
from memeapp.labels import LabelSchema
from memeapp.learn.recipe import BEST
from memeapp.service.pace import Backlog, known_paces
from memeapp.service.said import Said
from memeapp.service.training import Training
from memeapp.service.triggers import learned_until
from memeapp.store import Store
from memeapp.types import JobKind

TRAININGS = 20
"""Earlier ones that the estimate of the time looks at."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """All counts are of memes unless they say otherwise."""

    encoder: str
    recipe: str
    aggregation: str
    votes: str
    parent: str | None
    """The version that answers now; the new one is compared with it."""
    labelled: int
    positives: Mapping[str, int]
    """Label → labelled memes that are rather a yes."""
    unlabelled: int
    held_out_labelled: int
    """To measure on."""
    vote_count: int
    """Judgements that count."""
    left_out: Mapping[str, int]
    """Why → judgements that do not count; as `Store.fates` names the reasons."""
    new_labels: int
    """Judged for the first time or anew since the votes that the parent learned from."""
    to_read: int
    """Their text has to be read first."""
    to_encode: int
    """Their pictures have to be encoded first."""
    seconds: float | None
    """How long it would take; None where no earlier training tells."""
    why_not: str
    """Why it cannot start, in a sentence; empty if it can."""


class DryRuns:
    """Looks at the store as a training would."""

    def __init__(self, store: Store, training: Training, schema: LabelSchema) -> None:
        self._store = store
        self._training = training
        self._schema = schema

    def look(
        self, encoder: str | None = None, *, aggregation: str = "majority", votes: str = "blind"
    ) -> DryRun:
        """What a training that is started like this would learn from.

        Templates that nobody has compared yet may still join, which a training does first: a meme
        may change sides of the holdout by that.

        Raises:
            BadInput: there is no such aggregation or choice of votes.
        """
        name = (encoder or "").strip() or self._training.usual_encoder()
        memes = self._store.memes()
        labels = self._schema.names
        said = Said.take(self._store, memes, labels, aggregation=aggregation, votes=votes)
        held_out = {meme.id for meme in memes if meme.held_out}
        learned = [said.targets[meme] for meme in said.targets if meme not in held_out]
        yes = np.sum(np.array(learned).reshape(-1, len(labels)) > 0.5, axis=0)
        fates = self._store.fates(votes)
        backlog = Backlog.of(self._store, memes, name, self._store.trained_here())
        try:
            parent = self._training.current()
        except NotFound:
            parent = None
        jobs = self._store.jobs(JobKind.TRAIN, limit=TRAININGS)
        return DryRun(
            encoder=name,
            recipe=BEST.name,
            aggregation=aggregation,
            votes=votes,
            parent=parent.name if parent else None,
            labelled=len(learned),
            positives={label: int(count) for label, count in zip(labels, yes, strict=True)},
            unlabelled=len(memes) - len(held_out) - len(learned),
            held_out_labelled=len(said.targets) - len(learned),
            vote_count=len(said.votes),
            left_out={why: count for why, count in fates.items() if why != "counted"},
            new_labels=self._store.new_labels(learned_until(self._store, parent), votes),
            to_read=backlog.reading,
            to_encode=backlog.pictures,
            seconds=backlog.total(known_paces(jobs, name)),
            why_not=self._why_not(name),
        )

    def _why_not(self, encoder: str) -> str:
        if self._store.active_jobs():
            return "A training is at work; there is one at a time."
        try:
            self._training.check()
            check_encoder(encoder)
        except MemeAppError as error:
            return str(error)
        return ""
