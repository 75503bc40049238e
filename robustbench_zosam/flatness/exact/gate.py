"""The gate: may the trace of the Hessian be computed as that of the Gauss-Newton matrix?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.exact.piecewise import FixedSlopes
from robustbench_zosam.flatness.model.guard import measuring, unwrap
from robustbench_zosam.flatness.model.network import Network
from robustbench_zosam.flatness.noise import gaussian
from robustbench_zosam.flatness.operators.derivatives import (
    NoSecondDerivativeError,
    gradient,
    second_derivatives,
)
from robustbench_zosam.schema import GateVerdict

_IMAGES = 8
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class GateResult:
    """Whether every logit is affine in each parameter tensor taken alone.

    Attributes:
        passed: the verdict.
        max_ratio: largest |u.d2z| / (|grad u.z| |v|) of the tensors tested, along a random
            direction v, for random weights u of all images and classes; infinite where there is no
            second derivative.
        tensors: number of tensors tested; testing stops at the first failure.
        n: images tested on.
        reason: why not, in words; empty when passed.
    """

    passed: bool
    max_ratio: float
    tensors: int
    n: int
    reason: str
    seed: int

    def to_dict(self) -> GateVerdict:
        """Returns strict JSON values."""
        return {
            "passed": self.passed,
            "max_ratio": self.max_ratio if math.isfinite(self.max_ratio) else None,
            "tensors": self.tensors,
            "n": self.n,
            "reason": self.reason,
            "seed": self.seed,
        }


def gate(
    model: nn.Module, images: Tensor, *, names: Iterable[str] | None = None, seed: int = 0
) -> GateResult:
    """Tests numerically whether the logits are affine in each parameter tensor taken alone.

    Second derivatives of a random mixture of the logits along one random direction in each tensor,
    in float64 on 8 images from all over the set. A random mixture and direction see a non-zero
    quadratic form with probability one. All weights are moved at random first, so that a layer that
    starts at zero hides nothing: the verdict is one on the architecture. The model is tested in the
    mode it is in, and left as it was.

    Args:
        model: any module returning logits (n, C).
        images: (n, ...) floating point.
        names: parameter names to test; all with `requires_grad` when None.
        seed: seed of the directions.

    Returns:
        The verdict.

    Raises:
        InputError: a name is unknown, or there are no images.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import gate
        >>> images = torch.rand(8, 3, 4, 4)
        >>> def net(activation):
        ...     return nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.Flatten(), nn.Linear(16, 2))
        >>> gate(net(nn.ReLU()), images).passed, gate(net(nn.GELU()), images).passed
        (True, False)
    """
    if len(images) == 0:
        raise InputError("the gate needs at least one image, got none")
    model = unwrap(model)
    with measuring(model, evaluation=False):
        network = Network.of(model, torch.float64)
        tested = list(network.leaves() if names is None else names)
        if unknown := set(tested) - set(network.parameters):
            raise InputError(f"the model has no parameter {sorted(unknown)[0]!r}")
        chosen = torch.linspace(0, len(images) - 1, min(len(images), _IMAGES)).round().long()
        return _test(_moved(network, seed), images[chosen.to(images.device)], tested, seed)


def _moved(network: Network, seed: int) -> Network:
    """Returns a copy at weights nearby, none of which is zero."""
    moved = {
        name: value.detach()
        + _step(value) * gaussian(tuple(value.shape), seed, "move", name).to(value)
        for name, value in network.parameters.items()
    }
    parameters = {
        name: value.requires_grad_(network.parameters[name].requires_grad)
        for name, value in moved.items()
    }
    return replace(network, parameters=parameters)


def _step(value: Tensor) -> float:
    """Returns a tenth of the usual size of a tensor's entries, or of 1 where they are zero."""
    size = float(value.detach().square().mean().sqrt()) if value.numel() else 0.0
    return 0.1 * (size or 1.0)


def _test(network: Network, images: Tensor, names: list[str], seed: int) -> GateResult:
    worst, tested, reason = 0.0, 0, ""
    try:
        for name, ratio in _ratios(network, images, names, seed):
            worst, tested = max(worst, ratio), tested + 1
            if not ratio <= _TOLERANCE:
                reason = f"the logits are not affine in {name!r} (ratio {ratio:.2g})"
                break
    except NoSecondDerivativeError as error:
        worst, reason = math.inf, str(error)
    return GateResult(not reason, worst, tested, len(images), reason, seed)


def _ratios(
    network: Network, images: Tensor, names: list[str], seed: int
) -> Iterator[tuple[str, float]]:
    """Yields |u.d2z| / (|grad u.z| |v|) for each tensor; u weights all images and classes."""
    tensors = [network.parameters[name].requires_grad_() for name in names]
    with FixedSlopes():
        logits = network(images)
    u = gaussian(tuple(logits.shape), seed, "gate", "logits").to(logits)
    with second_derivatives():
        slopes = gradient((logits * u).sum(), tensors)
        for name, tensor, slope in zip(names, tensors, slopes, strict=True):
            direction = gaussian(tuple(tensor.shape), seed, "gate", name).to(tensor)
            first = (slope * direction).sum()
            second = torch.zeros_like(first)
            if first.requires_grad:
                (product,) = torch.autograd.grad(
                    first, [tensor], retain_graph=True, materialize_grads=True
                )
                second = (product * direction).sum()
            scale = (slope.norm() * direction.norm()).detach()
            ratio = second.detach().abs() / scale if scale > 0 else second.detach().abs()
            yield name, float(ratio.nan_to_num(nan=math.inf, posinf=math.inf))
