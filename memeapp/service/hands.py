"""Whom an encoding is given to: worker processes of this machine, or those of a Ray cluster."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context, parent_process
from typing import Any
from urllib.parse import urlsplit

import psutil

from memeapp import __version__
from memeapp.cores import cores, limit
from memeapp.encoders import Encoder
from memeapp.errors import Unavailable
from memeapp.ocr import OcrEngine
from memeapp.service.crew import Crew
from memeapp.service.encoding import Done, Engine, InProcess, Shard, Worker

RAY_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
"""Nothing is told to anybody."""

RAY_PORT = 6379
KNOCK_SECONDS = 3.0

_worker: Worker | None = None
"""In a worker process, once it has begun."""


@contextmanager
def local(
    encoder: Encoder, ocr: Callable[[], OcrEngine], *, workers: int | None = None
) -> Iterator[Engine]:
    """Workers on this machine that share its cores; with one, this process does the work.

    Args:
        workers: as many as there are cores if None, fewer where they would not fit into memory
            beside each other, and one where the encoder has a GPU.
    """
    workers = workers or (1 if encoder.on_gpu else _fitting())
    if workers == 1:
        yield InProcess(encoder, ocr)
        return
    with Crew(partial(Process, threads_each(workers)), workers) as crew:
        yield crew


def threads_each(workers: int) -> int:
    """Threads of each of so many workers on this machine."""
    return max(1, cores() // workers)


def _fitting() -> int:
    """Workers that fit: each takes about what this process does, which has the encoder open."""
    each = psutil.Process().memory_info().rss
    return max(1, min(cores(), psutil.virtual_memory().available // each))


class Process:
    """A hand: one process, started anew and not forked, which ends when this one does."""

    def __init__(self, threads: int, worker: Callable[[], Worker] = Worker) -> None:
        self._pool = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_begin, initargs=(threads, worker)
        )
        self._process: psutil.Process | None = None

    def ready(self) -> Future[str]:
        """See `Hand`."""
        ready: Future[str] = Future()

        def told(future: Future[int]) -> None:
            if error := future.exception():
                ready.set_exception(error)
                return
            with suppress(psutil.NoSuchProcess):
                self._process = psutil.Process(future.result())
            ready.set_result(__version__)

        self._pool.submit(os.getpid).add_done_callback(told)
        return ready

    def do(self, shard: Shard) -> Future[Done]:
        """See `Hand`."""
        try:
            return self._pool.submit(_do, shard)
        except BrokenExecutor as error:  # it died while it had nothing to do
            failed: Future[Done] = Future()
            failed.set_exception(error)
            return failed

    def leave(self) -> None:
        """See `Hand`."""
        if self._process:
            with suppress(psutil.NoSuchProcess):
                self._process.kill()
        self._pool.shutdown(cancel_futures=True)


def _begin(threads: int, worker: Callable[[], Worker]) -> None:
    """The first thing a worker process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it sees to Ctrl+C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit(threads)
    global _worker
    _worker = worker()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
    os._exit(1)


def _do(shard: Shard) -> Done:
    assert _worker is not None
    return _worker.do(shard)


@contextmanager
def on_ray(
    encoder: Encoder,
    ocr: Callable[[], OcrEngine],
    *,
    workers: int | None = None,
    address: str | None = None,
    worker: Callable[[], Worker] = Worker,
) -> Iterator[Engine]:
    """Workers in a Ray cluster that is there, each with one of its CPUs.

    Every machine of it needs this release of the app, and what it has to download.

    Args:
        workers: as many as the cluster has CPUs if None.
        address: the cluster that this machine belongs to if None.

    Raises:
        Unavailable: if Ray is not installed, or no cluster answers there.
    """
    os.environ.update(RAY_QUIET)
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            f'The engine ray needs Ray ({error}); `pip install "memeapp[ray]"` brings it.'
        ) from error
    try:
        if address not in (None, "auto"):
            _knock(address)
        ray.init(address=address or "auto", log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(
            f"No Ray cluster answers at {address or 'this machine'} ({error}). Start one by "
            "`ray start --head --disable-usage-stats`, or take --engine local."
        ) from error
    try:
        there = int(ray.cluster_resources().get("CPU", 1))
        with Crew(partial(Actor, ray, worker), workers or there) as crew:
            yield crew
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Find out soon whether anybody listens there; Ray itself would try for minutes."""
    there = urlsplit(address if "//" in address else f"//{address}")
    socket.create_connection((there.hostname, there.port or RAY_PORT), KNOCK_SECONDS).close()


class Actor:
    """A hand: one actor of a Ray cluster, with one CPU."""

    def __init__(self, ray: Any, worker: Callable[[], Worker]) -> None:
        self._ray = ray
        self._actor = ray.remote(num_cpus=1)(_Remote).remote(worker)

    def ready(self) -> Future[str]:
        """See `Hand`."""
        ready: Future[str] = self._actor.release.remote().future()
        return ready

    def do(self, shard: Shard) -> Future[Done]:
        """See `Hand`."""
        done: Future[Done] = self._actor.do.remote(shard).future()
        return done

    def leave(self) -> None:
        """See `Hand`."""
        self._ray.kill(self._actor)


class _Remote:
    """What an actor is on its machine."""

    def __init__(self, worker: Callable[[], Worker]) -> None:
        limit(1)
        self._worker = worker()

    def release(self) -> str:
        return __version__

    def do(self, shard: Shard) -> Done:
        return self._worker.do(shard)
