"""From scores to masks of exact counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.allocation import Shape, exact_counts, target_count
from robustbench_zosam.sparsity.layers import MaskableLayer


def shared_counts(
    layers: Sequence[MaskableLayer],
    sparsity: float,
    allocate: Callable[[Sequence[Shape], float], Sequence[float]],
) -> tuple[int, ...]:
    """Returns the number each layer keeps, `round((1 - sparsity) * N)` in all.

    Args:
        allocate: densities from shapes and sparsity.
    """
    sizes = [layer.size for layer in layers]
    densities = allocate([layer.shape for layer in layers], sparsity)
    return exact_counts(sizes, densities, target_count(sizes, sparsity))


def keep_highest(
    scores: Sequence[Tensor], total: int, generator: torch.Generator | None = None
) -> list[Tensor]:
    """Returns bool masks of the `total` highest scores over all layers, at least one in each.

    Args:
        scores: one tensor per layer; -inf for what must not be kept; a NaN is an `InputError`.
        generator: a CPU generator, which draws among equal scores where not all of them are kept;
            None takes them in an order of torch's.

    Example:
        >>> masks = keep_highest([torch.tensor([1.0, 5.0]), torch.tensor([3.0, 4.0])], 3)
        >>> [mask.tolist() for mask in masks]
        [[False, True], [True, True]]
    """
    _require_numbers(scores)
    sizes = [score.numel() for score in scores]
    assert len(sizes) <= total <= sum(sizes)
    flat = torch.cat([score.detach().flatten() for score in scores])
    starts = itertools.accumulate(sizes[:-1], initial=0)
    best = [start + int(s.argmax()) for start, s in zip(starts, scores, strict=True)]
    flat[best] = math.inf  # no layer is left empty
    parts = _highest(flat, total, generator).split_with_sizes(sizes)
    return [part.view(score.shape) for part, score in zip(parts, scores, strict=True)]


def _highest(flat: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Returns a bool mask, (n,), of the highest scores."""
    best = flat.topk(count)
    mask = torch.zeros_like(flat, dtype=torch.bool)
    if generator is None:
        mask[best.indices] = True
        return mask
    lowest = best.values[-1]
    mask = flat > lowest
    tied = (flat == lowest).nonzero().squeeze(1)
    wanted = count - int(mask.sum())
    if wanted < len(tied):
        drawn = torch.randperm(len(tied), generator=generator)[:wanted]
        tied = tied[drawn.to(tied.device)]
    mask[tied] = True
    return mask


def keep_highest_each(scores: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
    """Returns bool masks of the highest scores of every layer on its own, `counts` in each.

    Args:
        scores: one tensor per layer; -inf for what must not be kept; a NaN is an `InputError`.
    """
    _require_numbers(scores)
    return [
        torch
        .zeros(score.numel(), dtype=torch.bool, device=score.device)
        .index_fill(0, score.detach().flatten().topk(count).indices, True)
        .view(score.shape)
        for score, count in zip(scores, counts, strict=True)
    ]


def grow_at_random(
    kept: Tensor, count: int, generator: torch.Generator, *, taken: Tensor
) -> Tensor:
    """Returns a new mask with active weights added at random places.

    Args:
        generator: a CPU generator.
        taken: bool, the mask's shape: where nothing may be added; covers the mask.
    """
    free = (~taken).flatten().nonzero().squeeze(1)
    assert count <= len(free)
    chosen = torch.randperm(len(free), generator=generator)[:count]
    return kept.flatten().index_fill(0, free[chosen.to(free.device)], True).view(kept.shape)


def magnitudes(
    layers: Sequence[MaskableLayer], masks: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """Returns magnitudes of weights; -inf off the masks, so that these rank below active ones."""
    found = [layer.weight.detach().abs() for layer in layers]
    if masks is None:
        return found
    return [x.masked_fill(~mask, -math.inf) for x, mask in zip(found, masks, strict=True)]


def _require_numbers(scores: Sequence[Tensor]) -> None:
    if any(bool(score.isnan().any()) for score in scores):
        raise InputError(
            "weights cannot be ranked for pruning, since some scores are not numbers: the model's "
            "weights or gradients are not finite"
        )
