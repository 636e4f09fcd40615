"""What was worked out a moment ago, once for all who ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

V = TypeVar("V")

CHEAP = 0.01
"""Seconds; what takes less is worked out anew each time."""
LASTS = 20
"""Times as long as it took to work out: so at most a twentieth of the time goes into it."""
LONGEST = 60.0
"""Seconds."""
MOST = 256
"""Values that are kept at once; the first to come is the first to go."""


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    mark: object = None
    until: float = float("-inf")
    value: object = None


class Recent(Generic[V]):
    """A costly function whose values last a while; safe to share between threads.

    Where several ask for the same one at once, one of them works it out and the others wait.
    """

    def __init__(
        self,
        work: Callable[[Any], V],
        *,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        """
        Args:
            clock: seconds, by which values grow old.
            spent: seconds that this thread has worked: waiting for others is no cost.
        """
        self._work = work
        self._clock = clock
        self._spent = spent
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept] = {}

    def __call__(self, of: Hashable, mark: object = None) -> V:
        """The value for this argument: of now, or of a moment ago where `mark` is the same.

        Raises: what the function raises; that is not kept.
        """
        with self._lock:
            kept = self._kept.setdefault(of, _Kept())
            if len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]
        with kept.lock:
            if kept.mark != mark or self._clock() >= kept.until:
                began = self._spent()
                kept.value = self._work(of)
                cost = self._spent() - began
                lasts = min(LASTS * cost, LONGEST) if cost >= CHEAP else 0.0
                kept.mark, kept.until = mark, self._clock() + lasts
            return cast(V, kept.value)
