"""Planes through three models, and along the principal directions of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.model.guard import unwrap
from robustbench_zosam.flatness.model.network import Data
from robustbench_zosam.landscape.maps import MapResult, Mark
from robustbench_zosam.landscape.rows import (
    OnRow,
    Progress,
    counter,
    evaluate_row,
    finished_rows,
)
from robustbench_zosam.landscape.states import (
    Masks,
    Weights,
    combination,
    inner,
    length,
    masked,
    require_same_shapes,
    weights_of,
)
from robustbench_zosam.landscape.summary import Array
from robustbench_zosam.landscape.surface import own_loss, surface

_PARALLEL = 1e-6  # a second axis shorter than this, relative to the first, is rounding


@dataclass(frozen=True)
class Grid:
    """How a plane is evaluated.

    Attributes:
        points: along either axis.
        margin: around the models, as a share of their extent.
        statistics: images for the batch norms, a thousand or more; the measured ones when None.
        chunk: images per forward pass.
        finished: rows of an earlier call, (k, 2, points).
    """

    points: int = 21
    margin: float = 0.2
    statistics: Tensor | None = None
    chunk: int = 64
    progress: Progress | None = None
    on_row: OnRow | None = None
    finished: Array | None = None

    def __post_init__(self) -> None:
        if self.points < 3 or not 0 <= self.margin < 10:
            raise InputError(
                "points must be at least 3 and margin in [0, 10), "
                f"got {self.points} and {self.margin}"
            )


@dataclass(frozen=True)
class _Axes:
    """A plane in weight space: origin + x * first + y * second, axes of equal length."""

    origin: Weights
    first: Weights
    second: Weights

    def place(self, state: Weights) -> tuple[float, float, float]:
        """Returns x, y and the distance from the plane, in units of the axes."""
        step = combination([(1.0, state), (-1.0, self.origin)])
        square = inner(self.first, self.first)
        x, y = inner(step, self.first) / square, inner(step, self.second) / square
        rest = inner(step, step) / square - x**2 - y**2
        return x, y, max(rest, 0.0) ** 0.5


def three_models(
    models: Mapping[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    masks: Mapping[str, Masks] | None = None,
    grid: Grid | None = None,
) -> MapResult:
    """Evaluates the plane through three models, batch norms recalibrated at every point.

    The first lies at (0, 0) and the second at (1, 0); both axes have the same scale.

    Args:
        models: three, by name, of one architecture; left bit-identical.
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        masks: of each model, by its name.
        grid: how the plane is evaluated.

    Returns:
        The map, with the models marked.

    Raises:
        InputError: there are not three, their architectures differ, or they lie on one line.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.landscape import Grid, three_models
        >>> models = {name: nn.Sequential(nn.Flatten(), nn.Linear(12, 2)) for name in "abc"}
        >>> images, labels = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1])
        >>> found = three_models(models, images, labels, grid=Grid(points=3))
        >>> [(mark.name, round(mark.x, 4)) for mark in found.marks][:2], found.losses.shape
        ([('a', 0.0), ('b', 1.0)], (3, 3))
    """
    if len(models) != 3:
        raise InputError(f"a plane needs three models, got {len(models)}")
    kept = masks or {}
    states = {name: masked(weights_of(model), kept.get(name, {})) for name, model in models.items()}
    require_same_shapes(states.values())
    origin, second, third = states.values()
    u = combination([(1.0, second), (-1.0, origin)])
    w = combination([(1.0, third), (-1.0, origin)])
    v = combination([(1.0, w), (-inner(w, u) / max(inner(u, u), 1e-300), u)])
    if length(u) == 0 or length(v) <= _PARALLEL * length(w):
        raise InputError(f"the models {', '.join(models)} lie on one line: no plane is theirs")
    axes = _Axes(origin, u, combination([(length(u) / length(v), v)]))
    model = next(iter(models.values()))
    grid, data = grid or Grid(), Data(images, labels)
    own = {name: own_loss(models[name], state, data, grid.chunk) for name, state in states.items()}
    return _map("plane", model, axes, states, data, grid, None, own)


def trajectory(
    model: nn.Module,
    states: Mapping[str, Weights],
    images: Tensor,
    labels: Tensor,
    *,
    grid: Grid | None = None,
    own_losses: Mapping[str, float] | None = None,
) -> MapResult:
    """Evaluates the plane of the two principal directions of a training run.

    The contours are the loss on the plane; the checkpoints lie off it, so each mark carries its
    own loss and its distance from the plane.

    Args:
        model: gives the architecture; left bit-identical.
        states: weights by parameter name, by name of the checkpoint, in order; the last one is the
            origin. Pruned weights must be zero there.
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        grid: how the plane is evaluated.
        own_losses: losses of the checkpoints with their own batch-norm statistics, by name, nats.

    Returns:
        The map, with the checkpoints marked and the share of variance either axis explains.

    Raises:
        InputError: there are fewer than three states, they do not fit, or lie on one line.

    Source: Li et al., "Visualizing the loss landscape of neural nets", 2018, section 7.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.landscape import Grid, trajectory
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        >>> start = {name: p.detach().clone() for name, p in model.named_parameters()}
        >>> states = {f"epoch {i}": {n: p + i * torch.rand_like(p) for n, p in start.items()}
        ...           for i in range(3)}
        >>> images, labels = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1])
        >>> found = trajectory(model, states, images, labels, grid=Grid(points=3))
        >>> round(sum(found.explained), 6)  # two steps lie in one plane
        1.0
    """
    if len(states) < 3:
        raise InputError(f"a trajectory needs at least three checkpoints, got {len(states)}")
    require_same_shapes([weights_of(model), *states.values()])
    *earlier, origin = states.values()
    steps = [combination([(1.0, state), (-1.0, origin)]) for state in earlier]
    gram = np.array([[inner(a, b) for b in steps] for a in steps])
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    if values[1] <= _PARALLEL**2 * values[0]:
        raise InputError(f"the {len(states)} checkpoints lie on one line: they span no plane")
    unit = [_principal(steps, vectors[:, i], values[i]) for i in (0, 1)]
    axes = _Axes(origin, *unit)
    explained = (float(values[0] / values.sum()), float(values[1] / values.sum()))
    data = Data(images, labels)
    return _map("pca", model, axes, states, data, grid or Grid(), explained, own_losses or {})


def _principal(steps: Sequence[Weights], vector: Array, value: float) -> dict[str, Tensor]:
    factors = vector / value**0.5
    return combination([(float(f), step) for f, step in zip(factors, steps, strict=True)])


def _map(
    kind: str,
    model: nn.Module,
    axes: _Axes,
    states: Mapping[str, Weights],
    data: Data,
    grid: Grid,
    explained: tuple[float, float] | None,
    own_losses: Mapping[str, float],
) -> MapResult:
    places = {name: axes.place(state) for name, state in states.items()}
    x, y = (_ticks([place[axis] for place in places.values()], grid) for axis in (0, 1))
    rows = finished_rows(grid.finished, grid.points)
    model = unwrap(model)
    report = counter(grid.progress, grid.points**2, done=len(rows) * grid.points)
    statistics = data.images if grid.statistics is None else grid.statistics
    with surface(model, data, list(axes.origin), grid.chunk, statistics) as open_surface:
        names, device = open_surface.names, open_surface.base[0].device
        across, down = (
            {name: value.to(device) for name, value in axis.items()}
            for axis in (axes.first, axes.second)
        )
        origin = [axes.origin[name].to(device) for name in names]
        for index in range(len(rows), grid.points):
            start = open_surface.shifted(origin, down, float(y[index]))
            rows.append(evaluate_row(open_surface, start, across, x, report))
            if grid.on_row is not None:
                grid.on_row(index, rows[-1].copy())
        marks = []
        for name, state in states.items():
            loss, accuracy = open_surface.at([state[key].to(device) for key in names])
            x_, y_, off = places[name]
            marks.append(Mark(name, x_, y_, loss, own_losses.get(name), accuracy, off))
    values = np.stack(rows, 1)
    return MapResult(
        kind=kind,
        x=x,
        y=y,
        losses=values[0],
        accuracies=values[1],
        marks=tuple(marks),
        unit_length=length(axes.first),
        explained=explained,
        statistics_images=len(statistics),
        n=len(data),
    )


def _ticks(places: list[float], grid: Grid) -> Array:
    low, high = min(places), max(places)
    room = grid.margin * (high - low)
    ticks: Array = np.linspace(low - room, high + room, grid.points)
    return ticks
