"""Random directions that depend on (seed, step, query) alone."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.seeds import derive_seed

DISTRIBUTIONS = ("gaussian", "rademacher", "sphere")


def draw_direction(
    out: Tensor, distribution: str, key: tuple[int, int, int], support: Tensor | None = None
) -> Tensor:
    """Fills a vector with a random direction of expected squared length d_active.

    Nothing is stored between queries: the same key gives the same direction again. Devices of
    different kinds draw different numbers.

    Args:
        out: shape (d,), overwritten.
        distribution: `"gaussian"` N(0, 1), `"rademacher"` +-1, or `"sphere"`, uniform on the
            sphere of radius sqrt(d_active).
        key: (seed, step, query).
        support: bool, shape (d,); zero elsewhere. None is everywhere.

    Returns:
        `out`.
    """
    generator = torch.Generator(out.device).manual_seed(derive_seed("direction", *key))
    if distribution == "rademacher":
        out.bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
    else:
        out.normal_(generator=generator)
    if support is not None:
        out.mul_(support)
    if distribution == "sphere":
        active = out.numel() if support is None else support.sum()
        out.mul_(active**0.5 / torch.linalg.vector_norm(out))
    return out


def scale_to(direction: Tensor, radius: float) -> Tensor:
    """Scales a direction to a length, in place; a zero direction stays zero.

    Args:
        direction: shape (d,).
        radius: the wanted L2 norm.

    Returns:
        `direction`.
    """
    norm = torch.linalg.vector_norm(direction)
    return direction.mul_(radius / norm.clamp_min(torch.finfo(direction.dtype).tiny))


def orthogonal_part(vector: Tensor, direction: Tensor) -> Tensor:
    """Takes a vector's component along a direction away.

    Args:
        vector: shape (d,).
        direction: shape (d,), of any length; zero takes nothing away.

    Returns:
        v - (v.u / |u|^2) u, a new tensor.
    """
    square = torch.dot(direction, direction).clamp_min(torch.finfo(direction.dtype).tiny)
    return vector - direction * (torch.dot(vector, direction) / square)
