"""How often the sign of a zero-order query is right, by precision, radius and stage of training.

    python benchmarks/zo_precision.py
    ZOSAM_TEST_DATA=... python benchmarks/zo_precision.py --data cifar10    # its JPEG copy

A 90 % sparse ResNet-20 is trained for a while with SGD. At each stop, random directions u of length
1 on the active weights are probed on mini-batches: the sign of L(w + rho u) - L(w - rho u) in
bfloat16 (autocast) and float32 beside that in float64, which is computed where float32 leaves it in
doubt, within 8 units in the last place; and the sign of the forward-mode derivative along u in
bfloat16 (all of the network) beside that in float32. The noise is the root mean square of the
difference's error in bfloat16, in units of the loss times its epsilon. Images are halved in size,
to 16 pixels.
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import time
from collections import defaultdict

import torch
from common.stages import Stage, train
from torch import Tensor, nn

from robustbench_zosam.optim.directions import draw_direction, scale_to
from robustbench_zosam.optim.guards import BufferGuard
from robustbench_zosam.optim.space import ParameterSpace

Batch = tuple[Tensor, Tensor]
DOUBT = 8


class Probe:
    """A network in one precision; bfloat16 is autocast over float32."""

    def __init__(self, model: nn.Module, precision: str) -> None:
        self.half = precision == "bf16"
        self.model = copy.deepcopy(model).double() if precision == "fp64" else model
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        self.space = ParameterSpace(list(self.model.parameters()))
        self.guard = BufferGuard(self.model)
        self.cast = copy.deepcopy(model).bfloat16() if self.half else self.model

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean loss in training mode."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return nn.functional.cross_entropy(self.model(images.to(self.dtype)), labels)

    @torch.no_grad()
    def difference(
        self, u: Tensor, rho: float, batch: tuple[Tensor, Tensor]
    ) -> tuple[float, float]:
        """Returns L(w + rho u) - L(w - rho u), and their mean."""
        u = u.to(self.dtype)
        with self.guard.frozen(), self.space.excursion():
            found = []
            for sign in (rho, -rho):
                self.space.displace(u, sign)
                found.append(float(self.loss(*batch)))
        return found[0] - found[1], sum(found) / 2

    def derivative(self, u: Tensor, batch: Batch) -> float:
        """Returns the derivative along u, by forward-mode differentiation."""
        cast = torch.bfloat16 if self.half else self.dtype  # autocast and jvp do not go together
        names = [name for name, _ in self.model.named_parameters()]
        values = {n: p.detach().to(cast) for n, p in self.model.named_parameters()}
        tangents = dict(zip(names, self.space.views(u.to(cast)), strict=True))

        def loss_at(params: dict[str, Tensor]) -> Tensor:
            images, labels = batch
            buffers = {n: b.clone() for n, b in self.cast.named_buffers()}
            logits = torch.func.functional_call(self.cast, {**params, **buffers}, images.to(cast))
            return nn.functional.cross_entropy(logits.to(self.dtype), labels)

        return float(torch.func.jvp(loss_at, (values,), (tangents,))[1])


def measure(stage: Stage, args: argparse.Namespace) -> None:
    """Prints the rows of one stage."""
    probes = {name: Probe(stage.model, name) for name in ("bf16", "fp32", "fp64")}
    space, support = stage.optimizer.space, stage.optimizer.support()[0]
    right, errors, derivatives = defaultdict(list), [], []
    seconds = defaultdict(float)

    def timed(what: str, name: str, *arguments: object) -> float:
        begun = time.process_time()
        found = getattr(probes[name], what)(*arguments)
        seconds[what, name] += time.process_time() - begun
        return found

    for query in range(args.directions):
        images, labels = stage.batch(stage.step + query)
        batch = images[: args.batch], labels[: args.batch]
        u = scale_to(draw_direction(space.zeros(), "gaussian", (1, stage.step, query), support), 1)
        slopes = [timed("derivative", name, u, batch) for name in ("bf16", "fp32")]
        derivatives.append(slopes[0] * slopes[1] > 0)
        for rho in args.rho:
            half, _ = timed("difference", "bf16", u, rho, batch)
            single, loss = timed("difference", "fp32", u, rho, batch)
            true = single
            if abs(single) < DOUBT * torch.finfo(torch.float32).eps * loss:
                true, _ = probes["fp64"].difference(u, rho, batch)
            right["bf16", rho].append(half * true > 0)
            right["fp32", rho].append(single * true > 0)
            errors.append((half - true) / (torch.finfo(torch.bfloat16).eps * loss))
    noise = math.sqrt(statistics.mean(e * e for e in errors))
    for name in ("bf16", "fp32"):
        cells = [_share(right[name, rho]) for rho in args.rho]
        cells += [_share(derivatives), f"{noise:.3f}"] if name == "bf16" else ["", ""]
        ratio = len(args.rho) * seconds["derivative", name] / seconds["difference", name]
        cells.append(f"{ratio:.2f}")
        print(f"| {stage.step} | {stage.loss:.2f} | {name} | {' | '.join(cells)} |", flush=True)


def _share(hits: list[bool]) -> str:
    return f"{sum(hits)}/{len(hits)}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--stops", type=int, nargs="+", default=[10, 60, 200])
    parser.add_argument("--data", default="digits", choices=("digits", "cifar10"))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--rho", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3, 1.0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--directions", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    radii = " | ".join(f"ρ = {rho:g}" for rho in args.rho)
    head = f"| step | loss | precision | {radii} | derivative | noise / (ε L) | jvp / difference |"
    for index, stage in enumerate(
        train(tuple(args.stops), data=args.data, images=args.images, sparsity=args.sparsity)
    ):
        if index == 0:
            print(head)
            print("|" + " --- |" * (len(args.rho) + 6))
        measure(stage, args)


if __name__ == "__main__":
    main()
