"""Perturbations of all weights and of the normalisation layers, beside each other at one point."""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from common.stages import Stage, train
from robustbench_zosam.optim import OPTIMIZERS, WrappedOptimizer, create_optimizer
from robustbench_zosam.optim.directions import scale_to
from robustbench_zosam.optim.guards import BufferGuard
from robustbench_zosam.training.diagnostics import observe

METHODS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("Random perturbation", "random-perturbation", {}),
    ("ZO-SAM", "zo-sam", {}),
    ("ZO-SAM, 8 queries", "zo-sam", {"queries": 8}),
    ("Guided ZO-SAM", "zo-sam-guided", {}),
    ("S²-SAM", "s2-sam", {}),
    ("SAM", "sam", {}),
    ("Random perturbation, norm", "random-perturbation", {"scope": "norm"}),
    ("ZO-SAM, norm", "zo-sam", {"scope": "norm"}),
    ("ZO-SAM, norm, 8 queries", "zo-sam", {"scope": "norm", "queries": 8}),
    ("Guided ZO-SAM, norm", "zo-sam-guided", {"scope": "norm"}),
    ("S²-SAM, norm", "s2-sam", {"scope": "norm"}),
    ("SAM-ON", "sam", {"scope": "norm"}),
)


@dataclass
class Seen:
    """One perturbation of one mini-batch."""

    own: float
    all: float
    rise: float


def cosine(one: Tensor, other: Tensor) -> float:
    """Returns the cosine of two vectors."""
    return float(torch.dot(one, other) / (one.norm() * other.norm()).clamp_min(1e-30))


def remember(optimizer: WrappedOptimizer, previous: Tensor) -> None:
    """Gives a method the gradient of the step before."""
    support, _ = optimizer.support()
    gradient = previous.clone() if support is None else previous * support
    if type(optimizer).__name__ == "S2SAM":
        optimizer.vectors["previous"] = gradient
    if type(optimizer).__name__ == "GuidedZOSAM":
        optimizer.vectors["guide 000"] = scale_to(gradient, 1.0)


@torch.no_grad()
def look(stage: Stage, name: str, options: dict[str, object], share: float) -> Seen:
    """Perturbs for the next mini-batch, by a share of the length of the perturbed weights."""
    params = stage.optimizer.space.params
    masks = {p: m for p in params if (m := stage.masker.mask_of(p)) is not None}
    optimizer = create_optimizer(
        name, stage.model, masker=masks, lr=0.0, weight_decay=0.0, seed=stage.step, **options
    )
    space, (support, _) = optimizer.space, optimizer.support()
    weights = space.gather_weights()
    kept = weights if support is None else weights * support
    optimizer.rho = share * float(kept.norm())
    remember(optimizer, stage.previous)
    closure = stage.closure(stage.step)
    seen = observe(optimizer, stage.model, closure)
    with BufferGuard(stage.model).frozen(), space.excursion():
        clean = float(closure(backward=False))
        space.displace(seen.displacement)
        rise = float(closure(backward=False)) - clean
    own = seen.clean if support is None else seen.clean * support
    return Seen(cosine(seen.displacement, own), cosine(seen.displacement, seen.clean), rise)


def compare(args: argparse.Namespace) -> None:
    """Prints a table for each stage."""
    windows = [range(stop, stop + args.batches) for stop in args.stops]
    found: dict[int, dict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    losses: dict[int, float] = {}
    stops = tuple(step for window in windows for step in window)
    for stage in train(stops, data=args.data, images=args.images, sparsity=args.sparsity):
        start = max(stop for stop in args.stops if stop <= stage.step)
        losses.setdefault(start, stage.loss)
        for label, name, options in METHODS:
            found[start][label].append(look(stage, name, options, args.share))
    for start, rows in found.items():
        print(f"\nstep {start}, loss {losses[start]:.2f}, {args.batches} mini-batches")
        print("| method | cosine, own weights | cosine, all | rise of the loss | F / B |")
        print("| --- | --- | --- | --- | --- |")
        for label, name, options in METHODS:
            seen, passes = rows[label], OPTIMIZERS[name].passes_per_step(options)
            cells = [
                f"{mean([getattr(s, key) for s in seen]):+.4f}" for key in ("own", "all", "rise")
            ]
            print(f"| {label} | {' | '.join(cells)} | {passes.forwards:g} / {passes.backwards:g} |")


def mean(values: list[float]) -> float:
    """Returns the mean."""
    return sum(values) / len(values)
