"""Trace, largest eigenvalue and loss grid beside pyhessian and loss-landscapes: CPU time, memory.

    python benchmarks/flatness.py            # ResNet-20, CIFAR-10
    python benchmarks/flatness.py --out RUN --only exact lambda   # a trained run, in parts
    python benchmarks/flatness.py --quick    # digits, minutes

Every measurement runs in a process of its own with one thread; CPU seconds are the best of
`--repeat` runs that alternate between the packages, and memory is the process's peak above what it
held before. The peers are installed into a folder of their own, since neither is a dependency.

The network is trained first, to 90 % sparsity by RigL, and kept in --out; a run that is there is
taken as it is. Its images are those of ZOSAM_TEST_DATA
(cifar10-jpeg.zip), or of --data.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from common.flatness_peers import (
    PEER_FOLDER,
    Bowl,
    install_peers,
    misfit,
    peer_bowl,
    peer_grid,
    pyhessian_lambda,
    pyhessian_trace,
)
from torch.func import functional_call

from robustbench_zosam.flatness import gate, hessian_trace, top_eigenvalues
from robustbench_zosam.landscape import plane
from robustbench_zosam.measurement.trained_models import TrainedModels, load_trained_models

HERE = Path(__file__).resolve()
PROBES = 30


def ours_exact(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """The exact trace in the active subspace, its gate included.

    Returns:
        Value, standard error, and the gate's share of the time, of another call.
    """
    name = next(iter(s.models))
    model = s.models[name].model
    found = hessian_trace(model, s.images, s.labels, masks=s.masks(name))
    assert found.method == "exact"
    again = time.process_time()
    gate(model, s.images)
    second = time.process_time() - again
    return {"value": found.value, "se": found.se or 0.0, "gate_seconds": second}


def ours_all_directions(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """The exact trace over pruned directions as well, which is what the peer estimates."""
    model = next(iter(s.models.values())).model
    found = hessian_trace(model, s.images, s.labels, include_pruned=True)
    return {"value": found.value}


def ours_lambda(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """The largest eigenvalue over all directions, to 1e-3."""
    model = next(iter(s.models.values())).model
    found = top_eigenvalues(
        model, s.images, s.labels, k=1, smallest=False, tol=args.tol, resolve="values",
        chunk=args.chunk,
    )  # fmt: skip
    return {"value": found.values[0], "error": found.errors[0], "products": found.steps + 1}


def ours_grid(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """A plane of the loss."""
    model = next(iter(s.models.values())).model
    plane(model, s.images, s.labels, points=args.grid)
    return {}


def ours_bowl(s: TrainedModels, args: argparse.Namespace) -> dict[str, float]:
    """A plane of an exact quadratic."""
    found = plane(Bowl(), s.images[:1], torch.zeros_like(s.labels[:1]), points=args.grid)
    return {"misfit": misfit(found.losses)}


JOBS: dict[str, Callable[[TrainedModels, argparse.Namespace], dict[str, float]]] = {
    "exact": ours_exact,
    "all-directions": ours_all_directions,
    "pyhessian-trace": pyhessian_trace,
    "lambda": ours_lambda,
    "pyhessian-lambda": pyhessian_lambda,
    "grid": ours_grid,
    "peer-grid": peer_grid,
    "bowl": ours_bowl,
    "peer-bowl": peer_bowl,
}
PEERS = {"pyhessian-trace", "pyhessian-lambda", "peer-grid", "peer-bowl"}


def run_job(args: argparse.Namespace) -> None:
    """Runs one measurement in this process and prints it as JSON."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    subjects = load_trained_models([args.out], data=None, model=None, images=args.images)
    importlib.import_module("torch.fx.experimental.symbolic_shapes")  # which autograd would load
    with torch.no_grad():
        for one in subjects.models.values():
            functional_call(one.model, {}, (subjects.images[:8],))  # before the clock starts
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    found = JOBS[args.job](subjects, args)
    seconds = time.process_time() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps(found | {"seconds": seconds, "peak_mb": peak}))


def measure(name: str, args: argparse.Namespace) -> dict[str, float] | str:
    """Runs one measurement in a process of its own; returns why not where it cannot run."""
    if name in PEERS and (reason := install_peers()):
        return f"skipped: {reason}"
    command = [sys.executable, str(HERE), "--job", name, "--out", str(args.out)]
    for key in ("images", "probes", "grid", "chunk", "tol"):
        command += [f"--{key}", str(getattr(args, key))]
    places = [HERE.parents[1]] + ([PEER_FOLDER] if name in PEERS else [])
    path = os.pathsep.join(map(str, places))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return f"skipped: {done.stderr.strip().splitlines()[-1]}"
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{name}: {found['seconds']:.2f} s", file=sys.stderr)
    return found


def train(args: argparse.Namespace) -> None:
    """Trains the sparse network, unless it is there."""
    if list(args.out.glob("cells/*/model.safetensors")):
        return
    options = ["--data", args.data, "--model", args.model] if args.data else []
    command = [
        sys.executable, "-c", "from robustbench_zosam.cli import main; main()", "train",
        "--optimizer", "sgd", "--sparsifier", "rigl", "--sparsity", "0.9", "--seeds", "1",
        "--epochs", str(args.epochs), "--limit", str(args.limit), "--workers", "0",
        "--set", "dense_reference=false", "--out", str(args.out), *options,
    ]  # fmt: skip
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(HERE.parents[1])})


def best(runs: list[dict[str, float] | str]) -> dict[str, float] | str:
    """Returns the fastest run."""
    done = [one for one in runs if isinstance(one, dict)]
    return min(done, key=lambda one: one["seconds"]) if done else runs[0]


def report(found: dict[str, dict[str, float] | str], args: argparse.Namespace) -> None:
    """Prints times, memory and the ratios that matter, of what was measured."""
    print(f"{args.images} images, one thread, best of {args.repeat}")
    for name, one in found.items():
        if isinstance(one, str):
            print(f"  {name:18} {one}")
            continue
        rest = ", ".join(f"{k} {v:.5g}" for k, v in one.items() if k not in {"seconds", "peak_mb"})
        print(f"  {name:18} {one['seconds']:8.2f} s CPU  +{one['peak_mb']:6.0f} MB  {rest}")
    done = {name: one for name, one in found.items() if isinstance(one, dict)}
    if {"exact", "all-directions", "pyhessian-trace"} <= done.keys():
        report_trace(done)
    for ours, peer in (("lambda", "pyhessian-lambda"), ("grid", "peer-grid")):
        if {ours, peer} <= done.keys():
            ratio = done[peer]["seconds"] / done[ours]["seconds"]
            print(f"{ours}: {ratio:.2f}x faster than the peer")


def report_trace(done: dict[str, dict[str, float]]) -> None:
    """Prints what the exact trace costs in probes, and how far off the probes are."""
    ours, peer, whole = (done[k] for k in ("exact", "pyhessian-trace", "all-directions"))
    seconds = ours["seconds"] - ours["gate_seconds"]  # the gate ran once more, to be timed
    probe = peer["seconds"] / peer["probes"]
    error = abs(peer["value"] / whole["value"] - 1)
    print(
        f"exact trace, gate included: {seconds / probe:.1f} probes of pyhessian "
        f"({(seconds - ours['gate_seconds']) / probe:.1f} without the gate); "
        f"{PROBES * probe / seconds:.1f}x less than {PROBES} of them, whose error "
        f"here was {100 * error:.1f} % ({peer['probes']:.0f} probes, all directions)"
    )


def main() -> None:
    """Runs all measurements, or one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="digits, few images and probes")
    parser.add_argument("--data", help="as of `zosam-robust train --data`")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=5000)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--probes", type=int, default=PROBES)
    parser.add_argument("--grid", type=int, default=21)
    parser.add_argument("--chunk", type=int, default=32)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--job", choices=JOBS)
    args = parser.parse_args()
    if args.job:
        run_job(args)
        return
    if args.quick:
        args.images, args.probes, args.grid, args.repeat, args.epochs = 64, 5, 5, 1, 3
    elif args.data is None:
        zipped = Path(os.environ.get("ZOSAM_TEST_DATA", "")) / "cifar10-jpeg.zip"
        if not zipped.is_file():
            print("skipped: set ZOSAM_TEST_DATA or --data, or take --quick")
            return
        args.data = f"folder:{zipped}"
    args.out = args.out or Path(
        "build/bench-flatness-quick" if args.quick else "build/bench-flatness"
    )
    train(args)
    runs: dict[str, list[dict[str, float] | str]] = {name: [] for name in args.only}
    for _ in range(args.repeat):
        for name, seen in runs.items():
            seen.append(measure(name, args))
    report({name: best(seen) for name, seen in runs.items()}, args)


if __name__ == "__main__":
    main()
