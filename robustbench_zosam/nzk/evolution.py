"""Predicted evolution of outputs and loss under squared loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.distributions import ProbeDistribution

UPDATES = ("shared", "independent", "plain", "first-order")


def stable_rate(kernel: Tensor, *, outputs: int = 1) -> float:
    """Returns the learning rate 2n/λ_max below which the expected evolution does not grow.

    Args:
        kernel: expected kernel, symmetric, shape (nC, nC).
        outputs: C, the outputs of an example.

    Raises:
        InputError: the kernel is zero: no learning rate changes anything; or its rows are no
            multiple of the outputs.
    """
    if len(kernel) % require_integer("outputs", outputs, least=1):
        raise InputError(f"outputs is {outputs}: the kernel has {len(kernel)} rows, no multiple")
    top = float(torch.linalg.eigvalsh(_require_kernel(kernel))[-1])
    if top <= 0:
        raise InputError("the kernel is zero: check the inputs and the directions")
    return 2 * (len(kernel) // outputs) / top


def evolve(
    kernel: Tensor, start: Tensor, targets: Tensor, lr: float, steps: Sequence[int]
) -> Tensor:
    """Predicts the expected outputs after steps of gradient descent with a constant kernel.

    f_t = y + (I - lr·K/n)ᵗ (f_0 - y), for the loss ‖f - y‖²/(2n), which sums over the outputs of an
    example and averages over examples.

    Args:
        kernel: expected kernel, symmetric, shape (nC, nC).
        start: outputs before the first step, shape (n,) or (n, C).
        targets: y, of the same shape; one-hot for a classifier.
        lr: learning rate.
        steps: after how many steps.

    Returns:
        float64, shape (len(steps), n) or (len(steps), n, C).

    Raises:
        InputError: shapes that do not fit, or a kernel that is not symmetric.

    Source: arXiv 2603.21169, model evolution under squared loss, here with the 1/n of the mean.
    """
    require_number("lr", lr, above=0)
    _require_outputs(kernel, start, targets)
    values, vectors = torch.linalg.eigh(_require_kernel(kernel))
    factors = 1 - lr * values / len(start)
    return _decay(torch.stack([factors**step for step in steps]), vectors, start, targets)


def evolve_flow(kernel: Tensor, start: Tensor, targets: Tensor, times: Sequence[float]) -> Tensor:
    """Predicts the expected outputs of gradient flow: f_t = y + exp(-Kt/n)(f_0 - y).

    Args:
        kernel: expected kernel, symmetric, shape (nC, nC).
        start: outputs at time 0, shape (n,) or (n, C).
        targets: y, of the same shape.
        times: learning rate times steps.

    Returns:
        float64, shape (len(times), n) or (len(times), n, C).

    Raises:
        InputError: shapes that do not fit, or a kernel that is not symmetric.

    Source: the limit of small steps of `evolve`.
    """
    _require_outputs(kernel, start, targets)
    values, vectors = torch.linalg.eigh(_require_kernel(kernel))
    decay = torch.stack([torch.exp(-values * time / len(start)) for time in times])
    return _decay(decay, vectors, start, targets)


def update_moments(
    update: str, directions: ProbeDistribution, dimension: int
) -> tuple[float, float, float]:
    """Returns (κ, α, β) of a random update θ ← θ - lr·P∇L with E[P] = κI.

    E[PAPᵀ] = αA + β·tr(A)·I for symmetric A; P is ‖z‖²zzᵀ for `"shared"`, ζζᵀzzᵀ for
    `"independent"`, zzᵀ for `"plain"` and I for `"first-order"`.

    Args:
        update: one of `UPDATES`.
        directions: rotation-invariant.
        dimension: d.

    Source: this project's own derivation, from the moments of uniform directions.
    """
    require_choice("update", update, UPDATES)
    if update == "first-order":
        return 1.0, 1.0, 0.0
    kappa = directions.second(dimension)[0]
    alpha, beta = directions.quartic(dimension)
    if update == "shared":
        return (directions.fourth(dimension)[0], *directions.radial_quartic(dimension))
    if update == "independent":
        return kappa**2, alpha**2, 2 * alpha * beta + dimension * beta**2
    return kappa, alpha, beta


def expected_loss(
    jacobian: Tensor,
    start: Tensor,
    targets: Tensor,
    directions: ProbeDistribution,
    update: str,
    rates: Sequence[float],
    steps: Sequence[int],
) -> Tensor:
    """Predicts the expected loss of random steps, with the noise which the directions cause.

    `evolve` gives the loss of the expected outputs, which is too small: the loss is convex. Here
    the second moments of the weights are followed, mode by mode, exactly for a linear model.

    Args:
        jacobian: shape (nC, d).
        start: outputs before the first step, shape (n,) or (n, C).
        targets: y, of the same shape.
        directions: rotation-invariant.
        update: one of `UPDATES`.
        rates: learning rates, each for a curve of its own.
        steps: after how many steps.

    Returns:
        float64, shape (len(rates), len(steps)); infinite where the expectation is.

    Raises:
        InputError: shapes that do not fit, or directions that are not rotation-invariant.

    Source: this project's own derivation.
    """
    modes = LossModes.of(jacobian, start, targets)
    return modes.expected_loss(directions, update, rates, steps)


@dataclass(frozen=True)
class LossModes:
    """The squared loss of a linearised model along the singular vectors of its Jacobian.

    Attributes:
        examples: n.
        dimension: number of weights d.
        curvature: λ_i of JᵀJ/n, shape (k,).
        energy: λ_i c_i², c_i the weight error along mode i, shape (k,).
        floor: squared residual that is out of reach of the weights.
    """

    examples: int
    dimension: int
    curvature: Tensor
    energy: Tensor
    floor: float

    @staticmethod
    def of(jacobian: Tensor, start: Tensor, targets: Tensor) -> LossModes:
        """Returns the modes of a Jacobian, (nC, d), and outputs and targets, (n,) or (n, C)."""
        _require_outputs(jacobian, start, targets)
        n = len(start)
        left, scales, _ = torch.linalg.svd(jacobian.double(), full_matrices=False)
        residual = (start.double() - targets.double()).flatten()
        inside = left.T @ residual
        floor = float(residual @ residual - inside @ inside)
        return LossModes(n, jacobian.shape[1], scales**2 / n, inside**2 / n, floor)

    def expected_loss(
        self,
        directions: ProbeDistribution,
        update: str,
        rates: Sequence[float],
        steps: Sequence[int],
    ) -> Tensor:
        """Returns what the function of this name does, (len(rates), len(steps))."""
        lr = torch.tensor([require_number("lr", rate, above=0) for rate in rates]).double()[:, None]
        kappa, alpha, beta = update_moments(update, directions, self.dimension)
        curvature, energy = self.curvature, self.energy.expand(len(lr), -1)
        keep = 1 - 2 * lr * kappa * curvature + lr**2 * alpha * curvature**2
        spread = lr**2 * beta * curvature
        wanted, found = set(steps), {}
        for step in range(max(wanted) + 1):
            if step in wanted:
                found[step] = energy.sum(dim=1) / 2 + self.floor / (2 * self.examples)
            energy = keep * energy + spread * (energy @ curvature)[:, None]
        curves = torch.stack([found[step] for step in steps], dim=1)
        return curves.nan_to_num(torch.inf, torch.inf)

    def loss_of_expected(self, kappa: float, lr: float, steps: Sequence[int]) -> Tensor:
        """Returns the loss of the outputs that `evolve` predicts with the kernel κJJᵀ, (steps,)."""
        keep = (1 - lr * kappa * self.curvature).square()
        losses = torch.stack([(keep**step * self.energy).sum() for step in steps])
        return losses / 2 + self.floor / (2 * self.examples)


def _decay(factors: Tensor, vectors: Tensor, start: Tensor, targets: Tensor) -> Tensor:
    modes = vectors.T @ (start.double() - targets.double()).flatten()
    path = targets.double().flatten() + (factors * modes) @ vectors.T
    return path.view(len(factors), *start.shape)


def _require_outputs(rows: Tensor, start: Tensor, targets: Tensor) -> None:
    if start.shape != targets.shape or start.ndim not in {1, 2} or not start.numel():
        raise InputError(
            f"start has shape {tuple(start.shape)} and targets {tuple(targets.shape)}: give both "
            "as (n,) or (n, C)"
        )
    if len(rows) != start.numel():
        raise InputError(
            f"start has shape {tuple(start.shape)}, {start.numel()} outputs in all, and the matrix "
            f"{len(rows)} rows: give one row for each output of each example"
        )


def _require_kernel(kernel: Tensor) -> Tensor:
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not len(kernel):
        raise InputError(f"the kernel has shape {tuple(kernel.shape)}: give (nC, nC)")
    kernel = kernel.double()
    scale = float(kernel.abs().max())
    if not bool(kernel.isfinite().all()) or float((kernel - kernel.T).abs().max()) > 1e-9 * scale:
        raise InputError("the kernel is not symmetric and finite: give an expected kernel")
    return kernel
