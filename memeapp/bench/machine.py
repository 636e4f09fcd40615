"""What a benchmark says of its machine and command, and how it measures time and memory."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from memeapp.service.run import peak_memory_mb

T = TypeVar("T")
R = TypeVar("R")

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CLEAR_PEAK = Path("/proc/self/clear_refs")


def machine() -> str:
    """Processor, cores and versions in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    named = cpuinfo.exists() and re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
    processor = named[1].strip() if named else platform.processor() or platform.machine()
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scikit-learn"))
    return (
        f"{processor}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def heading() -> str:
    """The lines that every page of results opens with: how, when and on what it was made.

    Of a folder the name is told; where it lies on this machine is nobody's business.
    """
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = shlex.join(["memeapp", *words])
    return f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, on {machine()}."


@dataclass(slots=True)
class Cost:
    """What a piece of work took; filled when `measured` ends."""

    seconds: float = 0.0
    peak_mib: float = 0.0
    """Largest resident size of this process meanwhile, everything that it holds included."""
    cpu: float = 0.0
    """Seconds of all its threads: what other work on the machine changes little."""


@contextmanager
def measured() -> Iterator[Cost]:
    cost = Cost()
    if CLEAR_PEAK.exists():
        CLEAR_PEAK.write_text("5")  # the kernel's peak starts again from today's size
    began, used = time.perf_counter(), time.process_time()
    yield cost
    cost.seconds, cost.cpu = time.perf_counter() - began, time.process_time() - used
    cost.peak_mib = peak_memory_mb()


def in_fresh_processes(
    function: Callable[[T], R],
    tasks: Iterable[T],
    *,
    workers: int,
    threads: str | None = "1",
    initializer: Callable[[], object] | None = None,
) -> Iterator[R]:
    """Results as they come, each task in a process of its own: none sees another's memory.

    Args:
        workers: processes at a time; 0 runs the tasks here, one after the other.
        threads: of the numeric libraries in each process; None leaves them their default.
    """
    if workers == 0:
        if initializer:
            initializer()
        yield from map(function, tasks)
        return
    kept = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update({} if threads is None else dict.fromkeys(ONE_THREAD, threads))
    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=initializer,
        max_tasks_per_child=1,
    )
    try:
        futures = [pool.submit(function, task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
