"""How many threads the models of this process may compute with: all cores, or a worker's share."""

from __future__ import annotations

import os

from threadpoolctl import threadpool_limits

_limit: int | None = None


def cores() -> int:
    """The cores that this process may use: those of the machine unless `limit` said less."""
    return _limit or os.cpu_count() or 1


def limit(threads: int) -> None:
    """Let this process use so many cores from now on; called before it opens a model."""
    global _limit
    _limit = threads
    for variable in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[variable] = str(threads)  # PyTorch and OpenCV look when they are imported
    threadpool_limits(threads)  # NumPy's BLAS is there already
