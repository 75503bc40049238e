"""The straight line between two models."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.model.guard import unwrap
from robustbench_zosam.flatness.model.network import Data
from robustbench_zosam.landscape.maps import PathResult, barrier
from robustbench_zosam.landscape.rows import Progress, counter
from robustbench_zosam.landscape.states import (
    Masks,
    length,
    masked,
    overlap,
    require_same_shapes,
    sparsity,
    weights_of,
)
from robustbench_zosam.landscape.summary import Array
from robustbench_zosam.landscape.surface import own_loss, surface


def between(
    first: nn.Module,
    second: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: tuple[Masks, Masks] | None = None,
    points: int = 21,
    margin: float = 0.25,
    statistics: Tensor | None = None,
    fixed_mask: bool = False,
    chunk: int = 64,
    progress: Progress | None = None,
) -> PathResult:
    """Evaluates the straight line between two models, on the union of their supports.

    Batch-norm statistics are recomputed at every point, without which the middle means nothing. A
    barrier between independently initialised networks reflects the symmetry of permuting units,
    not sharpness. Both models are left bit-identical.

    Args:
        first: at t = 0.
        second: at t = 1, of the same architecture.
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        masks: of both models; entries outside are taken for zero.
        points: from one model to the other, both included.
        margin: how far the line extends beyond either.
        statistics: images for the batch norms, a thousand or more; the same images when None.
        fixed_mask: project the second model on the support of the first.
        chunk: images per forward pass.

    Returns:
        Losses and errors along the line, their barriers, and how far the supports overlap.

    Raises:
        InputError: the architectures differ or an argument is wrong.

    Source: Frankle et al., "Linear mode connectivity and the lottery ticket hypothesis", 2020.

    Example:
        The loss of a linear model is convex, so that nothing stands between two of them.

        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.landscape import between
        >>> one, two = (nn.Sequential(nn.Flatten(), nn.Linear(12, 2)) for _ in range(2))
        >>> found = between(one, two, torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1]), points=5)
        >>> len(found.positions), round(found.barrier.value, 6)
        (7, 0.0)
    """
    if points < 3 or not 0 <= margin < 10:
        raise InputError(f"points must be at least 3 and margin in [0, 10), got {points}, {margin}")
    one, two = weights_of(first), weights_of(second)
    kept = masks or ({}, {})
    require_same_shapes([one, two])
    one, two = masked(one, kept[0]), masked(two, kept[1])
    if fixed_mask:
        two = masked(two, kept[0])
    step = {name: two[name].to(value.device) - value for name, value in one.items()}
    outside = round(margin * (points - 1))
    positions: Array = np.arange(-outside, points + outside) / (points - 1)
    report = counter(progress, len(positions))
    data, model = Data(images, labels), unwrap(first)
    losses, correct = [], []
    inputs = images if statistics is None else statistics
    with surface(model, data, list(step), chunk, inputs) as open_surface:
        start = [one[name] for name in open_surface.names]
        for t in positions:
            loss, right = open_surface.per_image(open_surface.shifted(start, step, float(t)))
            losses.append(loss.cpu().numpy())
            correct.append(right.cpu().numpy())
            report()
    per_image, errors = np.stack(losses), 1 - np.stack(correct).astype(np.float64)
    return PathResult(
        positions=positions,
        losses=per_image.mean(1),
        accuracies=1 - errors.mean(1),
        barrier=barrier(positions, per_image),
        error_barrier=barrier(positions, errors),
        own_losses=(own_loss(first, one, data, chunk), own_loss(second, two, data, chunk)),
        statistics_images=len(inputs),
        mask_overlap=overlap(kept[0], kept[1]),
        sparsities=(sparsity(kept[0]), sparsity(kept[1])),
        distance=length(step),
        fixed_mask=fixed_mask,
        n=len(data),
    )
