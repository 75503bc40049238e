"""What a cell costs beyond its own work: many trivial cells in processes, and in one process.

python benchmarks/cells.py --cells 1000
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]
os.environ["OMP_NUM_THREADS"] = "1"

from robustbench_zosam.loading import load_config  # noqa: E402
from robustbench_zosam.runs import experiment  # noqa: E402
from robustbench_zosam.runs.plan import Plan, make_plan  # noqa: E402


def plan(out: Path, cells: int, workers: int) -> Plan:
    """Returns trainings of one epoch on a few images, with nothing measured."""
    settings = {
        "data.limit": 30, "model.width": 0.25, "optimizers": ["sgd"], "sparsities": [0.5],
        "dense_reference": False, "seeds": list(range(cells)), "training.epochs": 1,
        "run.out": str(out), "run.workers": workers, "run.device": "cpu",
    }  # fmt: skip
    return make_plan(load_config(None, settings), measure=False)


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Returns wall-clock and CPU seconds, those of ended child processes included."""
    before, started = _cpu_seconds(), time.perf_counter()
    work()
    return time.perf_counter() - started, _cpu_seconds() - before


def _cpu_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Prints seconds per cell, by engine and number of cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # imports
        experiment.run(plan(Path(folder), 1, 0), lambda event: None, report=False)
    print(f"{'engine':<10} {'cells':>6} {'wall s':>8} {'CPU s':>8} {'CPU ms per cell':>16}")
    spent: dict[tuple[str, int], float] = {}
    for cells in (max(arguments.cells // 10, 2), arguments.cells):
        for engine, workers in (("inline", 0), ("processes", arguments.workers)):
            with tempfile.TemporaryDirectory() as folder:
                planned = plan(Path(folder), cells, workers)
                wall, cpu = measure(
                    lambda run=planned: experiment.run(run, lambda event: None, report=False)
                )
            spent[engine, cells] = cpu
            print(f"{engine:<10} {cells:>6} {wall:>8.1f} {cpu:>8.1f} {1000 * cpu / cells:>16.1f}")
    few, many = sorted({cells for _, cells in spent})
    slopes = {
        engine: (spent[engine, many] - spent[engine, few]) / (many - few)
        for engine in ("inline", "processes")
    }  # without what a run costs however many cells it has
    own, whole = 1000 * slopes["inline"], 1000 * slopes["processes"]
    print(
        f"each further cell: {own:.1f} ms inline, {whole:.1f} ms as a process: {whole - own:+.1f}"
    )


if __name__ == "__main__":
    main()
