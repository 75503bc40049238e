"""Piecewise linear operations with fixed slopes, which make second derivatives cheap.

Around the present point a piecewise linear operation is linear, yet torch differentiates it twice
as if it were not, in zeros that run through the whole network. With slopes held fixed, and the two
gradients of a convolution kept apart, these paths are gone from the graph, and nearly all of the
gate's work with them. First and second derivatives are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight
from torch.overrides import TorchFunctionMode

_Operation = Callable[..., object]
_Sizes = int | tuple[int, ...]
_Options = tuple[_Sizes, _Sizes, _Sizes, int]
"""Stride, padding, dilation and groups of a convolution."""


class FixedSlopes(TorchFunctionMode):
    """Replaces known piecewise linear operations while it is entered; others run as they are."""

    def __torch_function__(
        self,
        func: _Operation,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Evaluates one operation."""
        known = _KNOWN.get(func)
        rest = kwargs or {}
        return func(*args, **rest) if known is None else known(func, *args, **rest)


def _elementwise(
    function: Callable[..., Tensor], x: Tensor, *args: object, **options: object
) -> Tensor:
    """Applies slope * x + offset, in place where the operation is."""
    point = x.detach().clone().requires_grad_()
    value = function(point.clone(), *args, **options)  # of a copy: it may be in place
    (slope,) = torch.autograd.grad(value.sum(), point)
    offset = (value - slope * point).detach()
    if options.get("inplace", function in _IN_PLACE):
        return x.mul_(slope).add_(offset)
    return x * slope + offset


def _batch_norm(
    function: Callable[..., Tensor],
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training or mean is None or variance is None:
        return function(x, mean, variance, weight, bias, training, momentum, eps)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    y = (x - mean.view(shape)) * (variance + eps).rsqrt().view(shape)
    y = y if weight is None else y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


class _Context(Protocol):
    """What torch keeps between a forward and its backward."""

    options: _Options
    saved_tensors: tuple[Tensor, Tensor]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Convolution(torch.autograd.Function):
    """A convolution whose two gradients are separate operations; torch computes both in one."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor, options: _Options) -> Tensor:
        """Convolves."""
        ctx.save_for_backward(x, weight)
        ctx.options = options
        return torch.conv2d(x, weight, None, *options)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Differentiates by input and by weight."""
        (g,), (x, weight) = gradients, ctx.saved_tensors
        by_input = by_weight = None
        if ctx.needs_input_grad[0]:
            by_input = conv2d_input(x.shape, weight, g, *ctx.options)  # type: ignore[no-untyped-call] # torch
        if ctx.needs_input_grad[1]:
            by_weight = conv2d_weight(x, weight.shape, g, *ctx.options)  # type: ignore[no-untyped-call] # torch
        return by_input, by_weight, None


def _convolution(
    function: Callable[..., Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes | str = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str) or x.ndim != 4:
        return function(x, weight, bias, stride, padding, dilation, groups)
    found: Tensor = _Convolution.apply(x, weight, (stride, padding, dilation, groups))
    return found if bias is None else found + bias.view(1, -1, 1, 1)


def _max_pool(
    _: _Operation, x: Tensor, *args: Any, return_indices: bool = False, **options: Any
) -> Tensor | tuple[Tensor, Tensor]:
    """Picks the entries that are largest now."""
    value, chosen = F.max_pool2d_with_indices(x.detach(), *args, **options)
    picked = x.flatten(-2).gather(-1, chosen.flatten(-2)).view_as(value)
    return (picked, chosen) if return_indices else picked


_IN_PLACE = {torch.relu_, Tensor.relu_}
_ELEMENTWISE = (
    F.relu, F.relu6, F.leaky_relu, F.hardtanh, torch.relu, Tensor.relu, *_IN_PLACE,
)  # fmt: skip
_KNOWN: dict[object, _Operation] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    F.batch_norm: _batch_norm,
    torch.conv2d: _convolution,
    torch.max_pool2d: _max_pool,
}
