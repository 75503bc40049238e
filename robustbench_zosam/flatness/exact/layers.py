"""Per-image squared gradients of the layer types the exact engine knows.

For one layer with input a and the gradient g of a scalar per image with respect to its output, the
gradient with respect to a parameter tensor is a contraction of g and a. Only weighted sums of its
squares are wanted, so the gradient itself is formed for a few images at a time, or not at all.
Several scalars per image (passes) are treated together, which unfolds the input of a convolution
once for all of them.

Shapes: p passes, b images, q weightings; a is (b, ...), g is (p, b, ...).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CACHED = 1 << 20  # numbers in one temporary that a CPU's cache still holds
_LARGE = 1 << 26  # elsewhere: few launches, bounded memory
_BLOCK = 1 << 11  # squares that are summed in the network's own type; the sums in float64
_CONV = nn.Conv2d
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

Squares = dict[str, Tensor]
"""Role ("weight" or "bias") to per-image sums, shape (p, b, q)."""

Weights = dict[str, Tensor]
"""Role to q weightings of its entries, shape (entries, q)."""

Rule = Callable[[nn.Module, Tensor, Tensor, Weights], Squares]


def rule_for(module: nn.Module) -> Rule | None:
    """Returns how to differentiate a layer, or None.

    A subclass that changes `forward` computes something else and has no rule.
    """
    if isinstance(module, _CONV) and _inherits(module, _CONV, "forward", "_conv_forward"):
        return _conv_squares
    if isinstance(module, nn.Linear) and _inherits(module, nn.Linear, "forward"):
        return _linear_squares
    for norm in _NORMS:
        if isinstance(module, norm) and _inherits(module, norm, "forward"):
            fixed = module.running_mean is not None and not module.training
            return _norm_squares if fixed else None
    if isinstance(module, nn.LayerNorm) and _inherits(module, nn.LayerNorm, "forward"):
        return _layer_norm_squares
    if isinstance(module, nn.GroupNorm) and _inherits(module, nn.GroupNorm, "forward"):
        return _group_norm_squares
    return None


def _inherits(module: nn.Module, base: type[nn.Module], *methods: str) -> bool:
    same = all(getattr(type(module), name) is getattr(base, name) for name in methods)
    return same and not any(name in vars(module) for name in methods)


def _linear_squares(module: nn.Module, a: Tensor, g: Tensor, weights: Weights) -> Squares:
    squares: Squares = {}
    if "bias" in weights:
        squares["bias"] = weighted_sums(_position_sums(g, -1).square(), weights["bias"])
    if "weight" in weights and a.ndim == 2:  # an outer product: the double sum factorises
        columns = weights["weight"].view(g.shape[-1], a.shape[-1], -1).unbind(-1)
        a2 = a.double().square()
        products = [((g.square() @ w).double() * a2).sum(-1) for w in columns]
        squares["weight"] = torch.stack(products, -1)
    elif "weight" in weights:
        rows = g.flatten(2, -2).mT.unsqueeze(2)  # (p, b, 1, out, positions)
        patches = a.flatten(1, -2).mT.unsqueeze(1)  # (b, 1, in, positions)
        squares["weight"] = _contracted(rows, patches, weights["weight"])
    return squares


def _conv_squares(module: nn.Module, a: Tensor, g: Tensor, weights: Weights) -> Squares:
    assert isinstance(module, _CONV)
    squares: Squares = {}
    if "bias" in weights:
        squares["bias"] = weighted_sums(_position_sums(g, 2).square(), weights["bias"])
    if "weight" in weights:
        positions, kernel = g.shape[3] * g.shape[4], module.kernel_size[0] * module.kernel_size[1]
        step = _images_at_once(a.shape[1] * kernel * positions, a)
        parts = zip(torch.split(a, step), torch.split(g, step, 1), strict=True)
        squares["weight"] = torch.cat(
            [_conv_slice(module, x, y, weights["weight"]) for x, y in parts], 1
        )
    return squares


def _conv_slice(module: nn.Conv2d, a: Tensor, g: Tensor, weights: Tensor) -> Tensor:
    groups = module.groups
    patches = torch.unflatten(_patches(module, a), 1, (groups, -1))
    rows = torch.unflatten(g.flatten(3), 2, (groups, -1))
    return _contracted(rows, patches, weights)


def _contracted(rows: Tensor, patches: Tensor, weights: Tensor) -> Tensor:
    """Returns weighted sums of squared gradients (p, b, q), formed for a few images at a time.

    Args:
        rows: output gradients, (p, b, groups, out / groups, positions).
        patches: inputs, (b, groups, fan-in, positions).
        weights: (out * fan-in, q).
    """
    passes, _, groups, out, _ = rows.shape
    step = _images_at_once(passes * len(weights), patches)
    by_group = torch.unflatten(weights, 0, (groups, -1))  # (groups, out / groups * fan-in, q)
    sums: list[Tensor] = []
    for y, x in zip(torch.split(rows, step, 1), torch.split(patches, step), strict=True):
        stacked = y.movedim(0, 2).flatten(2, 3)  # (b, groups, p * out / groups, positions)
        gradient = torch.unflatten(stacked @ x.mT, 2, (passes, out)).flatten(3)
        sums.append(weighted_sums(gradient.square_(), by_group).sum(1).movedim(1, 0))
    return torch.cat(sums, 1)


def weighted_sums(squares: Tensor, weights: Tensor) -> Tensor:
    """Returns squares @ weights in float64: long sums of positive numbers in float32 are low."""
    parts = zip(torch.split(squares, _BLOCK, -1), torch.split(weights, _BLOCK, -2), strict=True)
    return torch.stack([(x @ w).double() for x, w in parts]).sum(0)


def _images_at_once(numbers: int, a: Tensor) -> int:
    return max(1, (_CACHED if a.device.type == "cpu" else _LARGE) // numbers)


def _patches(module: nn.Conv2d, a: Tensor) -> Tensor:
    """Returns the input seen by each output position, shape (b, in * kernel, positions)."""
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    padding = _padding(module)
    padded = F.pad(a, padding, mode) if any(padding) else a
    if module.kernel_size == (1, 1):
        return padded[..., :: module.stride[0], :: module.stride[1]].flatten(2)
    return F.unfold(padded, module.kernel_size, dilation=module.dilation, stride=module.stride)


def _padding(module: nn.Conv2d) -> list[int]:
    """Returns (left, right, top, bottom)."""
    if module.padding == "valid":
        return [0, 0, 0, 0]
    sides: list[int] = []
    for axis in (1, 0):
        if module.padding == "same":
            both = module.dilation[axis] * (module.kernel_size[axis] - 1)
            sides += [both // 2, both - both // 2]
        else:
            sides += [int(module.padding[axis])] * 2
    return sides


def _norm_squares(module: nn.Module, a: Tensor, g: Tensor, weights: Weights) -> Squares:
    assert isinstance(module, _NORMS)
    assert module.running_mean is not None
    assert module.running_var is not None
    shape = (1, -1) + (1,) * (a.ndim - 2)
    scale = (module.running_var.to(a.dtype) + module.eps).rsqrt().view(shape)
    normalised = (a - module.running_mean.to(a.dtype).view(shape)) * scale
    return _affine_squares(g, normalised, weights, lambda x: _position_sums(x, 2))


def _layer_norm_squares(module: nn.Module, a: Tensor, g: Tensor, weights: Weights) -> Squares:
    assert isinstance(module, nn.LayerNorm)
    axes = len(module.normalized_shape)
    normalised = F.layer_norm(a, module.normalized_shape, eps=module.eps)

    def summed(x: Tensor) -> Tensor:
        positions = list(range(2, x.ndim - axes))
        return (x.sum(positions) if positions else x).flatten(2)

    return _affine_squares(g, normalised, weights, summed)


def _group_norm_squares(module: nn.Module, a: Tensor, g: Tensor, weights: Weights) -> Squares:
    assert isinstance(module, nn.GroupNorm)
    normalised = F.group_norm(a, module.num_groups, eps=module.eps)
    return _affine_squares(g, normalised, weights, lambda x: _position_sums(x, 2))


def _affine_squares(
    g: Tensor, normalised: Tensor, weights: Weights, summed: Callable[[Tensor], Tensor]
) -> Squares:
    """Returns the squares of scale and shift after a normalisation, one pass at a time."""
    squares: Squares = {}
    if "bias" in weights:
        squares["bias"] = weighted_sums(summed(g).square(), weights["bias"])
    if "weight" in weights:
        parts = [summed(one * normalised) for one in torch.split(g, 1)]
        squares["weight"] = weighted_sums(torch.cat(parts).square(), weights["weight"])
    return squares


def _position_sums(g: Tensor, channels: int) -> Tensor:
    """Sums over positions: all axes but passes, images and channels."""
    positions = [axis for axis in range(2, g.ndim) if axis != channels % g.ndim]
    return g.sum(positions) if positions else g
