"""The gate: may the trace of the Hessian be computed as that of the Gauss-Newton matrix?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import jvp

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.guard import forward_mode, measuring, unwrap
from robustbench_zosam.flatness.network import Network
from robustbench_zosam.flatness.noise import gaussian

_IMAGES = 8
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class GateResult:
    """Whether every logit is affine in each parameter tensor taken alone.

    Attributes:
        passed: the verdict.
        max_ratio: largest max|d2z| / max(1, max|dz|) of the tensors tested.
        tensors: number of tensors tested; testing stops at the first failure.
        n: images tested on.
        reason: why not, in words; empty when passed.
        seed: seed of the directions.
    """

    passed: bool
    max_ratio: float
    tensors: int
    n: int
    reason: str
    seed: int


def gate(
    model: nn.Module, images: Tensor, *, names: Iterable[str] | None = None, seed: int = 0
) -> GateResult:
    """Tests numerically whether the logits are affine in each parameter tensor taken alone.

    Second derivatives of the logits along one random direction in each tensor, by nested
    forward-mode differentiation in float64 on the first 8 images. A random direction sees a
    non-zero quadratic form with probability one. The model is tested in the mode it is in, and left
    as it was. One verdict holds for all models of an architecture.

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
    with measuring(model, evaluation=False), torch.no_grad():
        network = Network.of(model, torch.float64)
        tested = list(network.leaves() if names is None else names)
        if unknown := set(tested) - set(network.parameters):
            raise InputError(f"the model has no parameter {sorted(unknown)[0]!r}")
        return _test(network, images[:_IMAGES], tested, seed)


def _test(network: Network, images: Tensor, names: list[str], seed: int) -> GateResult:
    worst, reason, tested = 0.0, "", 0
    for name in names:
        tested += 1
        try:
            ratio = _ratio(network, images, name, seed)
        except NotImplementedError as error:
            ratio = math.inf
            reason = f"an operation has no forward-mode derivative: {str(error).splitlines()[0]}"
        worst = max(worst, ratio)
        if not ratio <= _TOLERANCE:
            reason = reason or f"the logits are not affine in {name!r} (ratio {ratio:.2g})"
            break
    return GateResult(not reason, worst, tested, len(images), reason, seed)


def _ratio(network: Network, images: Tensor, name: str, seed: int) -> float:
    value = network.parameters[name]
    direction = gaussian(tuple(value.shape), seed, "gate", name).to(value)

    def logits(t: Tensor) -> Tensor:
        own = {key: buffer.clone() for key, buffer in network.buffers.items()}
        return network(images, own | {name: value + t * direction})

    def slope(t: Tensor) -> Tensor:
        return _with_derivative(logits, t)[1]

    zero = torch.zeros((), dtype=value.dtype, device=value.device)
    with forward_mode():
        first, second = _with_derivative(slope, zero)
    ratio = second.abs().max() / first.abs().max().clamp(min=1)
    return float(ratio.nan_to_num(nan=math.inf, posinf=math.inf))


def _with_derivative(function: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    outputs = jvp(function, (t,), (torch.ones_like(t),))
    return outputs[0], outputs[1]
