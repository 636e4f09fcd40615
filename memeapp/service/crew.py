"""A crew of workers somewhere else, each with one shard at a time; who is gone is replaced."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol, Self

from memeapp import __version__
from memeapp.errors import Failed, MemeAppError, Mismatch
from memeapp.service.encoding import Done, Shard

ATTEMPTS = 3
"""A shard that fails goes to another worker; the last time each of its items goes alone."""
FAILURES = 10
"""So many in a row, of whatever shards, and the fault is not theirs."""


class Hand(Protocol):
    """A worker somewhere else. A future of one that is gone raises."""

    def ready(self) -> Future[str]:
        """The release of the app it runs, once it can take a shard."""

    def do(self, shard: Shard) -> Future[Done]: ...

    def leave(self) -> None:
        """End it, whatever it does."""


class Crew:
    """The engine that gives each of its hands one shard at a time, and takes on a new one for each
    that fails or is gone."""

    def __init__(self, hire: Callable[[], Hand], workers: int) -> None:
        self._hire = hire
        self.workers = workers
        self._starting: dict[Future[str], Hand] = {}
        self._idle: list[Hand] = []
        self._hands: set[Hand] = set()
        self._failures = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def gather(self) -> None:
        """Take on all hands and wait until they are there; `run` begins with whoever is."""
        while len(self._hands) < self.workers:
            self._start()
        while self._starting:
            for started in wait(self._starting, return_when=FIRST_COMPLETED).done:
                self._welcome(started)

    def close(self) -> None:
        """Let all hands go; what is under way is lost."""
        while self._hands:
            self._hands.pop().leave()

    def run(self, shards: Iterable[Shard]) -> Iterator[Done]:
        """See `Engine`. An item on which workers fail time and again is refused."""
        waiting = _Waiting(shards)
        if not waiting:
            return  # nobody is needed
        while len(self._hands) < self.workers:
            self._start()
        busy: dict[Future[Done], tuple[Hand, Shard]] = {}
        while True:
            while self._idle and waiting:
                hand, shard = self._idle.pop(), waiting.pop()
                busy[hand.do(shard)] = hand, shard
            if self._idle and not busy:
                return
            futures: list[Future[Any]] = [*busy, *self._starting]
            for future in wait(futures, return_when=FIRST_COMPLETED).done:
                if future in self._starting:
                    self._welcome(future)
                    continue
                hand, shard = busy.pop(future)
                try:
                    done = future.result()
                except MemeAppError:
                    raise
                except Exception as error:
                    self._replace(hand, error, shard)
                    yield waiting.put_back(shard, error)
                else:
                    self._failures = 0
                    self._idle.append(hand)
                    yield done

    def _start(self) -> None:
        hand = self._hire()
        self._hands.add(hand)
        self._starting[hand.ready()] = hand

    def _welcome(self, started: Future[str]) -> None:
        hand = self._starting.pop(started)
        try:
            release = started.result()
        except Exception as error:
            self._replace(hand, error)
            return
        if release != __version__:
            raise Mismatch(
                f"A worker runs memeapp {release}, this is {__version__}; install the same release "
                "on every machine."
            )
        self._idle.append(hand)

    def _replace(self, hand: Hand, error: Exception, shard: Shard | None = None) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            last = f", the last one on {', '.join(shard.keys)}" if shard else " as they start"
            raise Failed(
                f"{FAILURES} workers failed in a row{last} ({type(error).__name__}: {error}). See "
                "whether the machine has enough memory, take fewer --workers, and start it again: "
                "what is encoded is kept."
            ) from error
        self._hands.discard(hand)
        hand.leave()
        self._start()


class _Waiting:
    """Shards in their order; those that failed come first."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._fresh = iter(shards)
        self._next: deque[Shard] = deque()
        self._failed: Counter[str] = Counter()

    def __bool__(self) -> bool:
        if not self._next:
            self._next.extend(itertools.islice(self._fresh, 1))
        return bool(self._next)

    def pop(self) -> Shard:
        return self._next.popleft()

    def put_back(self, shard: Shard, error: Exception) -> Done:
        """What is over with it: nothing, or that its only item is refused."""
        self._failed.update(shard.keys)
        times = self._failed[shard.keys[0]]
        if times == ATTEMPTS:
            return Done(refused={shard.keys[0]: f"{ATTEMPTS} workers failed on it ({error})"})
        self._next.extendleft(shard.alone() if times == ATTEMPTS - 1 else [shard])
        return Done()
