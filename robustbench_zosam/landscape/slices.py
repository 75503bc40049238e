"""Random slices through the loss landscape: lines and planes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.active import ActiveSet, Masks, resolve
from robustbench_zosam.flatness.guard import unwrap
from robustbench_zosam.flatness.network import Data
from robustbench_zosam.landscape.directions import Norm, cosine, random_direction
from robustbench_zosam.landscape.results import LineResult, PlaneResult
from robustbench_zosam.landscape.summary import Array, summarise_lines, summarise_plane
from robustbench_zosam.landscape.surface import Surface, assert_centre, surface

Progress = Callable[[int, int], None]
"""Called with (points done, points in all)."""

OnRow = Callable[[int, Array], None]
"""Called with the index of a finished row and its values, (2, points): loss, accuracy."""

Direction = dict[str, Tensor]


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
        chunk: images per forward pass.
        progress: called after each point.

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
    directions = _directions(model, masks, norm, seed, seeds)
    report = _counter(progress, seeds * points)
    with surface(model, data, list(directions[0]), chunk) as open_surface:
        loss, _ = open_surface.at(open_surface.base)
        rows = [_row(open_surface, open_surface.base, d, steps, report) for d in directions]
    values = np.stack(rows, 1)  # (2, directions, points)
    for index in range(seeds):
        assert_centre(values[0, index, points // 2], loss)
    summary = summarise_lines(steps, values[0])
    return LineResult(steps, values[0], values[1], summary, norm, len(data), seed)


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
        chunk: images per forward pass.
        progress: called after each point.
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
    rows = _finished_rows(finished, points)
    data, model = Data(images, labels), unwrap(model)
    across, down = _directions(model, masks, norm, seed, 2)
    report = _counter(progress, points * points, done=len(rows) * points)
    with surface(model, data, list(across), chunk) as open_surface:
        loss, _ = open_surface.at(open_surface.base)
        for index in range(len(rows), points):
            start = open_surface.row(down, float(steps[index]))
            rows.append(_row(open_surface, start, across, steps, report))
            if on_row is not None:
                on_row(index, rows[-1].copy())
    values = np.stack(rows, 1)  # (2, points, points)
    assert_centre(values[0, points // 2, points // 2], loss)
    return PlaneResult(
        positions=steps,
        losses=values[0],
        accuracies=values[1],
        cosine=cosine(across, down),
        summary=summarise_plane(steps, values[0]),
        norm=norm,
        n=len(data),
        seed=seed,
    )


def _row(
    open_surface: Surface,
    start: list[Tensor],
    direction: Direction,
    steps: Array,
    report: Callable[[], None],
) -> Array:
    """Returns loss and accuracy at start + step * direction, (2, points)."""
    values: list[tuple[float, float]] = []
    for step in steps:
        values.append(open_surface.at(open_surface.shifted(start, direction, float(step))))
        report()
    return np.array(values).T


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


def _finished_rows(finished: Array | None, points: int) -> list[Array]:
    if finished is None:
        return []
    if finished.ndim != 3 or finished.shape[1:] != (2, points) or len(finished) > points:
        raise InputError(
            f"finished must have shape (k, 2, {points}) with k up to {points}, got {finished.shape}"
        )
    return [row.copy() for row in finished]


def _counter(progress: Progress | None, total: int, done: int = 0) -> Callable[[], None]:
    def report() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return report
