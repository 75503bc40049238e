"""Evaluates the sharpness measures of a bound model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.flatness.means import of_chunks, standard_error
from robustbench_zosam.flatness.model.bound import BoundModel, CurvatureResult
from robustbench_zosam.flatness.model.network import Data
from robustbench_zosam.flatness.noise import gaussian, uniform
from robustbench_zosam.flatness.sharpness.ascent import worst_rise
from robustbench_zosam.flatness.sharpness.geometry import fisher_rao, relative_flatness
from robustbench_zosam.flatness.sharpness.measures import SharpnessMeasure
from robustbench_zosam.flatness.sharpness.neighbourhood import Neighbourhood, normalised, raw
from robustbench_zosam.schema import MeasuredSharpness, SharpnessFamily, SharpnessValue

_BOTH = (raw, normalised)
_ETA = 0.01  # of ASAM's published code


@dataclass(frozen=True)
class Value:
    """The value of a measure.

    Attributes:
        value: the measure; infinite where the loss overflows, None where it does not apply.
        se: standard error from the choice of images, or of batches where a batch shares a
            perturbation; None where it cannot be told.
        se_draws: standard error from random displacements at these images; None without them.
        reason: why there is no value; empty otherwise.
    """

    value: float | None
    se: float | None = None
    se_draws: float | None = None
    reason: str = ""

    def to_dict(self) -> SharpnessValue:
        """Returns strict JSON values; what is not finite is None, with a reason."""
        value, se, se_draws = map(_finite, (self.value, self.se, self.se_draws))
        overflow = self.value is not None and value is None
        reason = "the loss is not finite within this radius" if overflow else self.reason
        return {"value": value, "se": se, "se_draws": se_draws, "reason": reason}


def _finite(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None


@dataclass(frozen=True)
class Sharpness:
    """A measure on the loss as it is, and on the loss of normalised logits.

    Attributes:
        measure: which, with its settings.
        raw: on cross-entropy.
        normalised: on cross-entropy of logits that are centred and of unit norm.
    """

    measure: SharpnessMeasure
    raw: Value
    normalised: Value

    def to_dict(self) -> MeasuredSharpness:
        """Returns strict JSON values."""
        measure = self.measure
        return {
            "name": measure.name,
            "kind": measure.kind,
            "rho": measure.rho,
            "q": measure.q,
            "adaptive": measure.adaptive,
            "m": measure.m,
            "draws": measure.draws,
            "steps": measure.steps,
            "source": measure.source,
            **self.raw.to_dict(),
            "logit_normalised": self.normalised.to_dict(),
            "unit": "nats",
        }


@dataclass(frozen=True, kw_only=True)
class SharpnessResult(CurvatureResult):
    """All measures of one model.

    Attributes:
        measures: in the order asked for.
        norm: Euclidean norm of the active parameters.
        normalised_loss: mean cross-entropy of normalised logits, nats.
    """

    measures: tuple[Sharpness, ...]
    norm: float
    normalised_loss: float

    def stored(self) -> SharpnessFamily:
        """Returns what is stored beside a trace."""
        return {
            "chunk": self.chunk,
            "batch_statistics": self.batch_statistics,
            "measures": [found.to_dict() for found in self.measures],
            "norm": self.norm,
            "normalised_loss": self.normalised_loss,
            "seed": self.seed,
            "higher_is_better": self.higher_is_better,
        }


def measure_sharpness(
    model: BoundModel,
    measures: Sequence[SharpnessMeasure],
    on_measure: Callable[[int, int], None] | None,
) -> SharpnessResult:
    """Measures a bound model; `on_measure` is called with (measures done, measures in all)."""
    plain, unit = (Neighbourhood(model, transform) for transform in _BOTH)
    start = plain.per_image_each(_BOTH)  # (2, n)
    found: list[Sharpness] = []
    averages: dict[object, tuple[Value, Value]] = {}
    sides: dict[object, Tensor] = {}
    for index, one in enumerate(measures):
        if one.is_random:
            key = (one.rho, one.q, one.adaptive, one.draws)
            if key not in averages:  # "average" in l2 and "lpf" are one quantity
                averages[key] = _average(plain, one, start)
            values = averages[key]
        elif one.kind in {"zero-order", "random"}:
            radius = (one.rho, one.m, one.draws)
            if radius not in sides:
                sides[radius] = _both_sides(plain, one)
            values = _along_random_directions(sides[radius], one, plain.model.data)
        else:
            values = _value(plain, one), _value(unit, one)
        found.append(Sharpness(one, *values))
        if on_measure is not None:
            on_measure(index + 1, len(measures))
    return SharpnessResult(
        **model.bound(),
        measures=tuple(found),
        norm=model.theta.double().norm().item(),
        normalised_loss=start[1].mean().item(),
    )


def _value(around: Neighbourhood, measure: SharpnessMeasure) -> Value:
    if measure.kind in {"sam", "asam", "worst", "keskar"}:
        return _by_batch(around, measure)
    found = (fisher_rao if measure.kind == "fisher-rao" else relative_flatness)(around)
    if isinstance(found, str):
        return Value(None, reason=found)
    return Value(found.mean().item(), standard_error(found))


def _average(
    around: Neighbourhood, measure: SharpnessMeasure, start: Tensor
) -> tuple[Value, Value]:
    """Returns both columns, which share their displacements and so their forward passes."""
    scale = _scale(around, measure)
    rises = []
    for index in range(measure.draws):
        noise = _noise(around.model, measure, index)
        rises.append(around.per_image_each(_BOTH, noise * scale) - start)
    plain, unit = torch.stack(rises, 1)  # (2, draws, n)
    return _mean_rise(plain), _mean_rise(unit)


def _mean_rise(table: Tensor) -> Value:
    return Value(table.mean().item(), standard_error(table.mean(0)), standard_error(table.mean(1)))


def _noise(model: BoundModel, measure: SharpnessMeasure, index: int) -> Tensor:
    draw = uniform if measure.q == "inf" else gaussian
    assert measure.rho is not None
    noise = model.active.draw(
        lambda shape, name: draw(shape, model.seed, "displacement", index, name)
    )
    return noise.to(model.network.dtype) * measure.rho


def _scale(around: Neighbourhood, measure: SharpnessMeasure) -> Tensor:
    size = around.model.theta.abs()
    if measure.kind == "keskar":
        return size + 1
    if measure.kind == "asam":
        return _as_published(around.model)
    return size if measure.adaptive else torch.ones_like(size)


def _as_published(model: BoundModel) -> Tensor:
    """Returns the steps of ASAM's published code: |w| + 0.01 for weights, 1 for all others."""
    parts = torch.split(model.theta.abs(), list(model.active.sizes.values()))
    return torch.cat([
        part + _ETA if "weight" in name else torch.ones_like(part)
        for name, part in zip(model.active.masks, parts, strict=True)
    ])


def _along_random_directions(
    rises: Tensor, measure: SharpnessMeasure, data: Data
) -> tuple[Value, Value]:
    """Returns the rise along a zero-order estimate of the gradient, or its mean over directions.

    With one query the estimate is sign(L(theta + rho u) - L(theta - rho u)) u, so that the rise is
    the larger one of both sides.
    """
    seen = rises.amax(2) if measure.kind == "zero-order" else rises.mean(2)
    counts = torch.tensor([len(batch) for batch in _batches(data, measure.m)])
    plain, unit = (_clustered(seen[..., column], counts) for column in (0, 1))
    return plain, unit


def _both_sides(around: Neighbourhood, measure: SharpnessMeasure) -> Tensor:
    """Returns rises at theta + rho u and theta - rho u, |u| = 1, (batches, draws, sides, 2)."""
    assert measure.rho is not None
    table = []
    for number, batch in enumerate(_batches(around.model.data, measure.m)):
        start = around.per_image_each(_BOTH, None, batch).mean(1)
        rows = []
        for index in range(measure.draws):
            u = _direction(around.model, index, number)
            delta = u * (measure.rho / u.norm())
            sides = [around.per_image_each(_BOTH, side * delta, batch).mean(1) for side in (1, -1)]
            rows.append(torch.stack(sides) - start)
        table.append(torch.stack(rows))
    return torch.stack(table)


def _direction(model: BoundModel, index: int, batch: int) -> Tensor:
    return model.active.draw(
        lambda shape, name: gaussian(shape, model.seed, "direction", index, batch, name)
    )


def _clustered(rises: Tensor, counts: Tensor) -> Value:
    """Returns the mean of rises (batches, draws), draws being fresh in each batch."""
    if not rises.isfinite().all():
        return Value(math.inf)
    rises = rises.cpu()
    mean = of_chunks(rises.mean(1) * counts, counts, {}, None)
    errors = rises.std(1) / math.sqrt(rises.shape[1]) * counts / counts.sum()
    return Value(mean.value, mean.se, errors.norm().item())


def _by_batch(around: Neighbourhood, measure: SharpnessMeasure) -> Value:
    scale, counts, sums = _scale(around, measure), [], []
    for batch in _batches(around.model.data, measure.m):
        assert measure.rho is not None
        if measure.kind in {"sam", "asam"}:
            rise = _sam(around, batch, scale, measure.rho)
        else:
            rise = worst_rise(around, batch, scale, measure.rho, measure.q, measure.steps)
        if measure.kind == "keskar":
            rise *= 100 / (1 + around.per_image(None, batch).mean().item())
        counts.append(len(batch))
        sums.append(rise * len(batch))
    if not all(map(math.isfinite, sums)):
        return Value(math.inf)
    mean = of_chunks(torch.tensor(sums, dtype=torch.float64), torch.tensor(counts), {}, None)
    return Value(mean.value, mean.se)


def _batches(data: Data, m: int | None) -> Iterator[Data]:
    yield from data.chunks(m or len(data))


def _sam(around: Neighbourhood, batch: Data, scale: Tensor, rho: float) -> float:
    """Returns the rise after one step of length rho along the (scaled) gradient."""
    start, gradient = around.value_and_gradient(None, batch)
    slope = gradient * scale
    norm = slope.norm()
    if norm == 0:
        return 0.0
    moved = around.per_image(scale * slope * (rho / norm), batch)
    return (moved.mean() - start.mean()).item()
