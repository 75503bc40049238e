"""Threads for the blocks of a suite."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def block_pool() -> Iterator[ThreadPoolExecutor]:
    """Yields as many threads as torch uses, in each of which torch computes alone.

    Small operations lose more by being shared among threads than they gain, the more so on a busy
    machine.
    """
    import torch  # seconds, which reading a suite need not spend

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)
