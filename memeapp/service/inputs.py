"""Writes down what was classified, in plain figures, beside the path of the request."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from memeapp.service.language import language_of
from memeapp.store import Store
from memeapp.store.connections import moment
from memeapp.types import Input, Prediction

log = logging.getLogger(__name__)

SECONDS = 5.0
"""The longest that a row waits for others to be written with."""
FULL = 200
"""Rows that are written without waiting for more."""
MOST = 10 * FULL
"""Rows that wait at most, while a disk is slow; the oldest go first."""
REPEATS = 1_000
"""Memes asked about last that are known when they come again."""


@dataclass(frozen=True, slots=True)
class _Asked:
    at: datetime
    prediction: Prediction
    kept: bool


class InputLog:
    """Rows of what was classified, on their way into the store; safe to share between threads.

    `add` only puts a row into a list in memory; a thread writes them some seconds later, and finds
    out the language there. What waits is lost when the process is killed, and what a disk does not
    take is dropped with a line in the log: drift is seen as well without it, and no answer is ever
    held up or refused. A text is in memory no longer than that.
    """

    def __init__(
        self, store: Store, *, keep_days: float, watch: Callable[[], object] = lambda: None
    ) -> None:
        """
        Args:
            keep_days: rows that are older go when others come.
            watch: called on the writing thread after each write, but for the last.
        """
        self._store = store
        self._keep_days = keep_days
        self._watch = watch
        self._change = threading.Condition()
        self._waiting: deque[_Asked] = deque(maxlen=MOST)
        self._known: OrderedDict[int, None] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._failing = False

    def add(self, picture_id: str, prediction: Prediction, *, kept: bool) -> None:
        """Count an answer in; comes back at once.

        The same picture and text are counted once while they are among the last `REPEATS`: an
        example that everybody tries says nothing about what comes in. They are known by a hash in
        memory.
        """
        question = hash((picture_id, prediction.text, prediction.model))
        with self._change:
            again = question in self._known
            self._known[question] = None
            self._known.move_to_end(question)
            if again:
                return
            if len(self._known) > REPEATS:
                self._known.popitem(last=False)
            self._waiting.append(_Asked(datetime.now(UTC), prediction, kept))
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._write, name="inputs", daemon=True)
                self._thread.start()
            self._change.notify()

    def flush(self) -> None:
        """Write what waits, now; a failure is told to the log alone."""
        with self._change:
            asked = list(self._waiting)
            self._waiting.clear()
        if not asked:
            return
        try:
            self._store.add_inputs([_row(one) for one in asked], keep_days=self._keep_days)
            self._failing = False
        except Exception as error:
            if not self._failing:  # once, not every few seconds
                log.warning("What was classified is not counted for drift: %s", error)
            self._failing = True

    def close(self) -> None:
        """Write what waits and end the thread; nothing is written after that."""
        with self._change:
            self._closing = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        closing = False
        while not closing:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                self._change.wait_for(
                    lambda: len(self._waiting) >= FULL or self._closing, timeout=SECONDS
                )
                closing = self._closing
            self.flush()
            if not closing:
                self._look()

    def _look(self) -> None:
        try:
            self._watch()
        except Exception:
            log.exception("Nobody watches for drift")


def _row(asked: _Asked) -> Input:
    prediction = asked.prediction
    unlike = prediction.reasons.unlike if prediction.reasons else None
    return Input(
        at=moment(asked.at.replace(minute=0, second=0, microsecond=0)),
        version=prediction.model,
        text_length=len(prediction.text),
        language=language_of(prediction.text),
        ocr_confidence=prediction.ocr_confidence,
        unlike_image=None if unlike is None else "picture" in unlike,
        unlike_text=None if unlike is None else "text" in unlike,
        scores={score.label: round(score.probability, 3) for score in prediction.scores},
        kept=asked.kept,
    )
