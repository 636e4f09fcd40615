"""How many threads the core computes with: one, for the same sums everywhere and no waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Own random state, and one CPU thread: its sums do not depend on how many cores there are, and
    on batches this small several threads wait for each other (40 times longer on a busy machine).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            threadpool_limits(1),
            torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        ):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def one_thread_a_request() -> None:
    """For the rest of this process: a server's requests are its threads, and matrices of a few rows
    take several threads longer than one."""
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
