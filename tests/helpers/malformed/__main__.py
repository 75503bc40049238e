"""Runs the whole corpus, each case in a process of its own with bounded time and memory.

`python -m malformed [PATTERN]`; prints what is treated badly and exits with 1 if anything is.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from malformed import corpus, stored
from malformed.case import SECONDS, Case, problem

GIGABYTES = 2.0
_BATCH = 40
_HANGS, _DIES = "it hangs, and cannot be interrupted", "its process died"


def main(pattern: str = "") -> int:
    """Returns the exit code."""
    chosen = [case for case in corpus() if re.search(pattern, case.name)]
    torch.set_num_threads(1)  # a fork has none of its parent's threads
    importlib.import_module("torch._dynamo")  # which the first optimizer of each fork would import
    if any(case.outcome == "made good" for case in chosen):
        stored.finished()
    bad: dict[str, str] = {}
    slowest, largest, started = 0.0, 0.0, time.monotonic()
    for case, found, seconds, gigabytes in _in_forks(chosen):
        slowest, largest = max(slowest, seconds), max(largest, gigabytes)
        if found is not None:
            bad[case.name] = found
            print(f"{case.name}: {found}", flush=True)  # noqa: T201
    groups = Counter(case.name.partition("/")[0] for case in chosen)
    wrong = Counter(name.partition("/")[0] for name in bad)
    for name, count in groups.items():
        print(f"{name}: {count} cases, {wrong[name]} treated badly")  # noqa: T201
    print(  # noqa: T201
        f"{len(chosen)} cases, {len(bad)} treated badly; slowest {slowest:.1f} s, largest "
        f"{largest:.2f} GB beyond the imports, {time.monotonic() - started:.0f} s in all"
    )
    return int(bool(bad))


def _in_forks(cases: list[Case]) -> Iterator[tuple[Case, str | None, float, float]]:
    """Yields each case with its problem, seconds and gigabytes; a fork takes many, one by one."""
    while cases:
        receive, send = multiprocessing.Pipe(duplex=False)
        batch = cases[:_BATCH]
        process = multiprocessing.get_context("fork").Process(target=_run, args=(batch, send))
        process.start()
        send.close()
        for case in batch:
            started = time.monotonic()
            found, gigabytes = _answer(receive)
            cases = cases[1:]
            if found is None and gigabytes > GIGABYTES:
                found = f"it takes {gigabytes:.1f} GB"
            yield case, found, time.monotonic() - started, gigabytes
            if found in {_HANGS, _DIES}:
                break  # the others of the batch go on in a new process
        process.kill()
        process.join()


def _answer(receive: Connection) -> tuple[str | None, float]:
    if not receive.poll(SECONDS + 10):
        return _HANGS, 0.0
    try:
        found, gigabytes = json.loads(receive.recv())
    except EOFError:
        return _DIES, 0.0
    return found, gigabytes


def _run(batch: list[Case], send: Connection) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + int((GIGABYTES + 0.5) * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for case in batch:
        before = _peak()
        with tempfile.TemporaryDirectory(prefix="malformed-", ignore_cleanup_errors=True) as folder:
            found = problem(case, Path(folder))
            os.chdir("/")
        send.send(json.dumps([found, _peak() - before]))
    send.close()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
