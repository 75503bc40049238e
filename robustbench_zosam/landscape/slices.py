"""Random slices through the loss landscape: lines and planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.model.active import ActiveSet, Masks, resolve
from robustbench_zosam.flatness.model.guard import unwrap
from robustbench_zosam.flatness.model.network import Data
from robustbench_zosam.landscape.directions import Direction, Norm, cosine, random_direction
from robustbench_zosam.landscape.results import LineResult, PlaneResult
from robustbench_zosam.landscape.rows import (
    OnRow,
    Progress,
    counter,
    evaluate_row,
    finished_rows,
)
from robustbench_zosam.landscape.summary import Array, summarise_lines, summarise_plane
from robustbench_zosam.landscape.surface import assert_centre, surface


def line(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    span: float = 1.0,
    points: int = 41,
    seeds: int = 5,
    seed: int = 0,
    norm: Norm = "filter",
    directions: Sequence[Direction] | None = None,
    chunk: int = 64,
    progress: Progress | None = None,
) -> LineResult:
    """Evaluates loss and accuracy along random directions in the active subspace.

    Batch norms use their running statistics. The model is left bit-identical.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active; None: nothing is pruned.
        span: steps run from -span to span, in units of a filter's norm.
        points: number of steps, odd so that the model itself is one of them.
        seeds: number of directions.
        seed: seed of the directions; the noise depends on it and the tensor names alone.
        norm: "filter", "layer", "none" or "adaptive".
        directions: by parameter name, instead of random ones, such as eigenvectors of the Hessian;
            masked, and otherwise taken as they are.
        chunk: images per forward pass.

    Returns:
        Raw values and summary numbers.

    Raises:
        InputError: an argument is wrong, or a batch norm has no running statistics.

    Source: Li et al., "Visualizing the loss landscape of neural nets", 2018.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.landscape import line
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        >>> result = line(model, torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1]), points=5)
        >>> result.losses.shape, result.positions.tolist()
        ((5, 5), [-1.0, -0.5, 0.0, 0.5, 1.0])
    """
    steps = _steps(span, points)
    if seeds < 1:
        raise InputError(f"seeds, the number of directions, must be at least 1, got {seeds}")
    data, model = Data(images, labels), unwrap(model)
    along = _along(model, masks, norm, seed, seeds, directions)
    report = counter(progress, len(along) * points)
    with surface(model, data, list(along[0]), chunk) as open_surface:
        loss, _ = open_surface.at(open_surface.base)
        rows = [evaluate_row(open_surface, open_surface.base, d, steps, report) for d in along]
        values = np.stack(rows, 1)  # (2, directions, points)
        for centre in values[0, :, points // 2]:
            assert_centre(centre, loss)

        def rise(direction: int, step: float) -> float:
            moved = open_surface.shifted(open_surface.base, along[direction], step)
            return open_surface.at(moved)[0] - loss

        summary = summarise_lines(steps, values[0], rise, drawn=not directions)
    label = "given" if directions else norm
    return LineResult(steps, values[0], values[1], summary, label, len(data), seed)


def plane(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
    norm: Norm = "filter",
    directions: Sequence[Direction] | None = None,
    chunk: int = 64,
    progress: Progress | None = None,
    on_row: OnRow | None = None,
    finished: Array | None = None,
) -> PlaneResult:
    """Evaluates loss and accuracy on a plane through the model, in the active subspace.

    Batch norms use their running statistics. The model is left bit-identical. To resume, collect
    the rows given to `on_row` and pass them, stacked, as `finished`, with the other arguments
    unchanged; the result is that of an uninterrupted call.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active; None: nothing is pruned.
        span: steps run from -span to span along both directions, in units of a filter's norm.
        points: number of steps along either, odd so that the model itself is one of them.
        seed: seed of the directions; the noise depends on it and the tensor names alone.
        norm: "filter", "layer", "none" or "adaptive".
        directions: by parameter name, instead of random ones, such as eigenvectors of the Hessian;
            masked, and otherwise taken as they are.
        chunk: images per forward pass.
        on_row: called after each row; a row runs along the first direction.
        finished: (k, 2, points), the first k rows of an earlier call.

    Returns:
        Raw values and summary numbers.

    Raises:
        InputError: an argument is wrong, or a batch norm has no running statistics.

    Source: Li et al., "Visualizing the loss landscape of neural nets", 2018.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.landscape import plane
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        >>> result = plane(model, torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1]), points=5)
        >>> result.losses.shape
        (5, 5)
    """
    steps = _steps(span, points)
    rows = finished_rows(finished, points)
    data, model = Data(images, labels), unwrap(model)
    across, down = _along(model, masks, norm, seed, 2, directions)[:2]
    report = counter(progress, points * points, done=len(rows) * points)
    with surface(model, data, list(across), chunk) as open_surface:
        loss, _ = open_surface.at(open_surface.base)
        for index in range(len(rows), points):
            start = open_surface.shifted(open_surface.base, down, float(steps[index]))
            rows.append(evaluate_row(open_surface, start, across, steps, report))
            if on_row is not None:
                on_row(index, rows[-1].copy())
        values = np.stack(rows, 1)  # (2, points, points)
        assert_centre(values[0, points // 2, points // 2], loss)

        def rise(first: float, second: float) -> float:
            start = open_surface.shifted(open_surface.base, down, second)
            return open_surface.at(open_surface.shifted(start, across, first))[0] - loss

        summary = summarise_plane(steps, values[0], rise)
    return PlaneResult(
        positions=steps,
        losses=values[0],
        accuracies=values[1],
        cosine=cosine(across, down),
        summary=summary,
        norm="given" if directions else norm,
        n=len(data),
        seed=seed,
    )


def _steps(span: float, points: int) -> Array:
    if points < 3 or points % 2 == 0:
        raise InputError(
            f"points must be odd and at least 3, so that the model itself is a point, got {points}"
        )
    if not 0 < span < float("inf"):
        raise InputError(f"span must be positive and finite, got {span}")
    half = points // 2
    steps: Array = np.arange(-half, half + 1).astype(np.float64) * (span / half)
    return steps


def _directions(
    model: nn.Module, masks: Masks | None, norm: Norm, seed: int, count: int
) -> list[Direction]:
    """Returns directions over the tensors that can move."""
    active: ActiveSet = resolve(model, masks)
    parameters = dict(model.named_parameters())
    moving = {name: parameters[name] for name in active.masks if parameters[name].ndim >= 2}
    if not moving:
        raise InputError("the model has no parameter of dimension 2 or more with requires_grad")
    return [
        random_direction(moving, active.masks, norm=norm, seed=seed, index=index)
        for index in range(count)
    ]


def _along(
    model: nn.Module,
    masks: Masks | None,
    norm: Norm,
    seed: int,
    count: int,
    given: Sequence[Direction] | None,
) -> list[Direction]:
    """Returns the given directions, masked, or random ones."""
    if given is None:
        return _directions(model, masks, norm, seed, count)
    if len(given) < min(count, 2):
        raise InputError(f"{min(count, 2)} directions are needed, got {len(given)}")
    active = resolve(model, masks).masks
    unknown = set(given[0]) - set(active)
    if unknown or any(set(one) != set(given[0]) for one in given):
        raise InputError(
            f"directions must all name the same parameters of the model; {sorted(unknown)[:1]} "
            "are none"
        )
    return [{name: step * active[name] for name, step in one.items()} for one in given]
