"""What a training tells while it runs: how far it is, when it ends, how its loss goes down."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from memeapp.learn.loops import Progress
from memeapp.service.pace import Backlog, Estimate, Paces
from memeapp.store.connections import moment
from memeapp.types import LossCurve

LONGEST = 200
"""Points of a curve that are kept."""
SECONDS_BETWEEN_CURVES = 1.0


class Curves:
    """The losses of a training so far, a curve for each stage."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._points: dict[str, list[tuple[int, float]]] = {}

    def add(self, progress: Progress) -> None:
        """Note an epoch; one without a finite loss is passed over."""
        if progress.epoch and progress.loss is not None and math.isfinite(progress.loss):
            self._epochs[progress.stage] = progress.epochs
            self._points.setdefault(progress.stage, []).append((progress.epoch, progress.loss))

    def drawn(self) -> tuple[LossCurve, ...]:
        """In the order of the stages, of at most `LONGEST` points each, the last among them."""
        return tuple(
            LossCurve(stage, self._epochs[stage], tuple(_thinned(points)))
            for stage, points in self._points.items()
        )


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    step = math.ceil(len(points) / LONGEST)
    return points[::-step][::-1]


class Course:
    """Turns the reports of a training into what its job tells of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.curves = Curves()
        self._clock = clock
        self._estimate: Estimate | None = None
        self._drawn_at = -math.inf

    def begin(self, backlog: Backlog, paces: Paces) -> None:
        """From now on the end can be estimated."""
        self._estimate = Estimate(backlog, paces, self._clock)

    def tell(self, done: float) -> dict[str, Any]:
        """Columns of the job as `Store.update_job` takes them; the curves not at every report.

        Args:
            done: share of the progress, as the training reports it.
        """
        share, left = self._estimate.tell(done) if self._estimate else (done, None)
        told: dict[str, Any] = {
            "progress": share,
            "ends_at": "" if left is None else moment(datetime.now(UTC), before=-left),
        }
        if self._clock() - self._drawn_at >= SECONDS_BETWEEN_CURVES:
            self._drawn_at = self._clock()
            told["losses"] = self.curves.drawn()
        return told

    def end(self) -> dict[str, float]:
        """Seconds a meme in each part of the work that is over now, for later estimates."""
        if self._estimate is None:
            return {}
        self._estimate.end()
        return {part: round(pace, 6) for part, pace in self._estimate.measured.items()}
