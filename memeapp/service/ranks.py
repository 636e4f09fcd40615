"""Puts the memes of a session into its queues, by what the current version says of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from memeapp.crowd.targets import soft_targets
from memeapp.encoders import Encoder
from memeapp.encoders.embedded import EmbeddedEncoder, exposure
from memeapp.errors import MemeAppError
from memeapp.judging import Rank
from memeapp.labels import LabelSchema
from memeapp.learn.calibration import log_odds
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet
from memeapp.registry import Registry
from memeapp.service.engines import EMBEDDED, Engines, plain
from memeapp.service.features import (
    Report,
    between,
    feature_set,
    prepare,
    unit_rows,
)
from memeapp.store import Store
from memeapp.store.connections import now
from memeapp.types import Meme

NUDITY = 1
"""The bit of `Rank.kinds` for nudity; kind i of the schema has the bit 1 << i."""
NUDE = 0.5
"""The detector's score from which on a picture counts as nude."""
SPREAD_OUT = 500
"""Memes put into the queue `far` at a time; the rest comes in once these are labelled."""
CANDIDATES = 5_000
"""Unlabelled memes among which those are sought, drawn by chance."""
REMEMBERED = 5_000
"""Labelled memes from which they should be far, drawn by chance."""

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

log = logging.getLogger(__name__)


class Ranking:
    """Ranks sessions; for a process of its own, as it may have to encode memes first."""

    def __init__(
        self, store: Store, registry: Registry, engines: Engines, schema: LabelSchema
    ) -> None:
        self._store = store
        self._registry = registry
        self._engines = engines
        self._schema = schema

    def rank(self, session_id: int, report: Report) -> int:
        """Rank every meme of a session anew; gives how many there are.

        - `uncertain`: the log-odds of the label that is nearest to its threshold lie this far from
          it. Held-out memes are not in this queue: they would no longer be a fair sample.
        - `far`: farthest-first order (Gonzalez 1985) among those without votes, away from each
          other and from what has votes.
        - `relabel`: the mean difference between the votes' shares and the model's probabilities,
          of memes that have votes; the largest first.

        Raises:
            NotFound: if there is no such session or no version.
            Mismatch, Unavailable: if the current version or its encoder cannot be had.
        """
        ids = set(self._store.session_meme_ids(session_id))
        memes = [meme for meme in self._store.memes() if meme.id in ids]
        version = self._registry.current()
        self._schema.check_version(version)
        checkpoint = self._registry.load(version.name)
        encoder = self._engines.encoder_for(version.encoder)
        memes, _ = prepare(
            self._store, memes, encoder, self._engines.ocr, between(report, 0.0, 0.9)
        )
        report("Ranking", 0.9)
        shares = soft_targets(
            self._store.standing_votes([meme.id for meme in memes]), self._schema.names
        )
        rows = feature_set(self._store, memes, encoder, shares, self._schema.names)
        ranks = _ranks(version.name, checkpoint, rows, memes, self._nudity(memes, encoder, rows))
        self._store.set_ranks(session_id, ranks)
        return len(ranks)

    def rank_open(self, report: Report) -> int:
        """Rank every session that is open; one that cannot be ranked keeps what it has."""
        ranked = 0
        time = now()
        for session in self._store.sessions():
            if session.is_open(time):
                try:
                    ranked += self.rank(session.id, report)
                except MemeAppError as error:
                    log.warning("Session %s is not ranked: %s", session.id, error)
        return ranked

    def _nudity(self, memes: Sequence[Meme], encoder: Encoder, rows: FeatureSet) -> Array:
        """(N,) the detector's score, 0 where the embedded encoder has not seen a picture."""
        if plain(encoder.id) == EMBEDDED:
            return exposure(rows.image)
        known = self._store.image_features(EmbeddedEncoder.id, [meme.id for meme in memes])
        return np.array(
            [exposure(known[meme.id][None])[0] if meme.id in known else 0.0 for meme in memes]
        )


def _ranks(
    model: str,
    checkpoint: Checkpoint,
    rows: FeatureSet,
    memes: Sequence[Meme],
    nudity: Array,
) -> Mapping[str, Rank]:
    probabilities = checkpoint.predict(rows.image, rows.text)
    says = checkpoint.decide(probabilities)
    distance = np.abs(log_odds(probabilities) - log_odds(checkpoint.thresholds)).min(axis=1)
    difference = np.abs(rows.targets - probabilities)
    order = {at: place for place, at in enumerate(_farthest_first(rows))}
    severity = np.maximum(probabilities[:, 0] * (0.5 + probabilities[:, 1:].max(axis=1)), nudity)
    ranks = {}
    for at, meme in enumerate(memes):
        judged = ~np.isnan(difference[at])
        kinds = NUDITY * bool(nudity[at] >= NUDE)
        kinds += sum(1 << kind for kind in range(1, says.shape[1]) if says[at, kind])
        ranks[meme.id] = Rank(
            uncertain=None if meme.held_out else float(distance[at]),
            far=float(order[at]) if at in order else None,
            relabel=float(-difference[at][judged].mean()) if judged.any() else None,
            severity=float(min(severity[at], 1.0)),
            kinds=int(kinds),
            suggestion={
                "model": model,
                "chances": {
                    label: round(float(chance), 4)
                    for label, chance in zip(rows.labels, probabilities[at], strict=True)
                },
                "says": {
                    label: bool(said) for label, said in zip(rows.labels, says[at], strict=True)
                },
            },
        )
    return ranks


def _farthest_first(rows: FeatureSet, seed: int = 0) -> list[int]:
    """Positions of memes without votes, each as far as can be from those before it and from what
    has votes: a k-centre selection. At most `SPREAD_OUT`."""
    rng = np.random.default_rng(seed)
    judged = rows.judged
    waiting = _some(rng, np.flatnonzero(~judged), CANDIDATES)
    known = _some(rng, np.flatnonzero(judged), REMEMBERED)
    vectors = _joined(rows, waiting)
    if not len(waiting):
        return []
    if len(known):
        nearest = (vectors @ _joined(rows, known).T).max(axis=1)
    else:
        nearest = vectors @ vectors.mean(axis=0)  # begin at the edge
    chosen = []
    for _ in range(min(SPREAD_OUT, len(waiting))):
        at = int(nearest.argmin())
        chosen.append(int(waiting[at]))
        nearest = np.maximum(nearest, vectors @ vectors[at])
        nearest[at] = np.inf
    return chosen


def _joined(rows: FeatureSet, at: NDArray[np.int64]) -> Floats:
    """Picture and text side by side, each of length 1: their product is the sum of both cosines."""
    return np.concatenate([unit_rows(rows.image[at]), unit_rows(rows.text[at])], axis=1)


def _some(rng: np.random.Generator, positions: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return np.sort(rng.choice(positions, min(most, len(positions)), replace=False))
