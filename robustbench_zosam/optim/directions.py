"""Random directions that depend on (seed, step, query) alone."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.seeds import derive_seed

DISTRIBUTIONS = ("gaussian", "rademacher", "sphere")


def draw_direction(
    out: Tensor, distribution: str, key: tuple[int, int, int], support: Tensor | None = None
) -> Tensor:
    """Returns a random direction of expected squared length d_active.

    Nothing is stored between queries: the same key gives the same direction again. Devices of
    different kinds draw different numbers.

    Args:
        out: shape (d,), overwritten and returned.
        distribution: `"gaussian"` N(0, 1), `"rademacher"` +-1, or `"sphere"`, uniform on the
            sphere of radius sqrt(d_active).
        key: (seed, step, query).
        support: bool, shape (d,); zero elsewhere. None is everywhere.
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
    """Scales a direction (d,) to an L2 norm, in place; a zero direction stays zero."""
    norm = torch.linalg.vector_norm(direction)
    return direction.mul_(radius / norm.clamp_min(torch.finfo(direction.dtype).tiny))


def orthogonal_part(vector: Tensor, direction: Tensor) -> Tensor:
    """Returns v - (v.u / |u|^2) u, new; a direction u of zero takes nothing away."""
    square = torch.dot(direction, direction).clamp_min(torch.finfo(direction.dtype).tiny)
    return vector - direction * (torch.dot(vector, direction) / square)
