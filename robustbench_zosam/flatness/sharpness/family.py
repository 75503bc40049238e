"""How much the loss rises around a trained network, by every definition in use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.active import Masks, Params
from robustbench_zosam.flatness.ascent import worst_rise
from robustbench_zosam.flatness.geometry import fisher_rao, relative_flatness
from robustbench_zosam.flatness.hutchinson import standard_error
from robustbench_zosam.flatness.losses import Neighbourhood, normalised, raw
from robustbench_zosam.flatness.measures import BRIEF, Measure
from robustbench_zosam.flatness.network import Data
from robustbench_zosam.flatness.noise import gaussian, uniform
from robustbench_zosam.flatness.results import of_chunks
from robustbench_zosam.flatness.subject import Facts, Subject, draw_by_name, measured


@dataclass(frozen=True)
class Value:
    """One number.

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

    def to_dict(self) -> dict[str, Any]:
        """Returns strict JSON values; what is not finite is None, with a reason."""
        values = {
            key: None if isinstance(x, float) and not math.isfinite(x) else x
            for key, x in asdict(self).items()
        }
        if self.value is not None and not math.isfinite(self.value):
            values["reason"] = "the loss is not finite within this radius"
        return values


@dataclass(frozen=True)
class Sharpness:
    """A measure on the loss as it is, and on the loss of normalised logits.

    Attributes:
        measure: which, with its settings.
        raw: on cross-entropy.
        normalised: on cross-entropy of logits that are centred and of unit norm.
    """

    measure: Measure
    raw: Value
    normalised: Value

    def to_dict(self) -> dict[str, Any]:
        """Returns strict JSON values."""
        settings = {"name": self.measure.name} | asdict(self.measure)
        source = {"source": self.measure.source}
        return (
            settings
            | source
            | self.raw.to_dict()
            | {"logit_normalised": self.normalised.to_dict(), "unit": "nats"}
        )


@dataclass(frozen=True)
class SharpnessResult(Facts):
    """All measures of one model.

    Attributes:
        measures: in the order asked for.
        norm: Euclidean norm of the active parameters.
        normalised_loss: mean cross-entropy of normalised logits, nats.
        seed: seed of the displacements.
        higher_is_better: None.
    """

    measures: tuple[Sharpness, ...]
    norm: float
    normalised_loss: float
    seed: int
    higher_is_better: None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as strict JSON values."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"measures": [found.to_dict() for found in self.measures]}


def sharpness(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    measures: Sequence[Measure] = BRIEF,
    params: Params = "all",
    chunk: int = 64,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    on_measure: Callable[[int, int], None] | None = None,
) -> SharpnessResult:
    """Measures the rise of the loss around a model, displacing active coordinates alone.

    Random displacements depend on (seed, tensor name, draw), so that models of one architecture
    share them. The model is evaluated in evaluation mode and left bit-identical.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, ...) floating point.
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active; None: nothing is pruned.
        measures: what to measure; `BRIEF`, `FULL`, or your own.
        params: "all", "weights" (tensors of dimension 2 and more), or "masked-layers".
        chunk: images per pass.
        seed: seed of the displacements.
        dtype: type to compute in; that of the model when None.
        include_pruned: displace pruned coordinates as well.
        on_measure: called with (measures done, measures in all).

    Returns:
        Each measure, raw and with normalised logits, with loss and accuracy.

    Raises:
        InputError: an argument is wrong.
        DivergedError: the logits are not finite.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import Measure, sharpness
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
        >>> images, labels = torch.rand(8, 3, 2, 2), torch.tensor([0, 1] * 4)
        >>> found = sharpness(model, images, labels, measures=[Measure("sam", 0.05)])
        >>> found.measures[0].raw.value > 0
        True
    """
    if not measures:
        raise InputError("measures is empty: name at least one")
    with measured(
        model,
        images,
        labels,
        masks=masks,
        params=params,
        include_pruned=include_pruned,
        chunk=chunk,
        dtype=dtype,
    ) as subject:
        plain, unit = (Neighbourhood(subject, transform) for transform in (raw, normalised))
        found: list[Sharpness] = []
        for index, one in enumerate(measures):
            found.append(Sharpness(one, *_values(plain, unit, one, seed)))
            if on_measure is not None:
                on_measure(index + 1, len(measures))
        norm, loss = plain.theta.double().norm().item(), unit.per_image().mean().item()
    return SharpnessResult(
        **asdict(subject.facts),
        measures=tuple(found),
        norm=norm,
        normalised_loss=loss,
        seed=seed,
    )


def _values(
    plain: Neighbourhood, unit: Neighbourhood, measure: Measure, seed: int
) -> tuple[Value, Value]:
    """Returns a measure on the raw loss and on that of normalised logits."""
    if measure.is_random:
        return _average(plain, measure, seed)
    return _value(plain, measure), _value(unit, measure)


def _value(around: Neighbourhood, measure: Measure) -> Value:
    if measure.kind in {"sam", "worst", "keskar"}:
        return _by_batch(around, measure)
    found = (fisher_rao if measure.kind == "fisher-rao" else relative_flatness)(around)
    if isinstance(found, str):
        return Value(None, reason=found)
    return Value(found.mean().item(), standard_error(found) if len(found) > 1 else None)


def _average(around: Neighbourhood, measure: Measure, seed: int) -> tuple[Value, Value]:
    """Returns both columns, which share their displacements and so their forward passes."""
    both = (raw, normalised)
    start, scale = around.per_image_each(both), _scale(around, measure)
    rises = []
    for index in range(measure.draws):
        noise = _noise(around.subject, measure, seed, index)
        rises.append(around.per_image_each(both, noise * scale) - start)
    plain, unit = torch.stack(rises, 1)  # (2, draws, n)
    return _mean_rise(plain), _mean_rise(unit)


def _mean_rise(table: Tensor) -> Value:
    se = standard_error(table.mean(0)) if table.shape[1] > 1 else None
    return Value(table.mean().item(), se, standard_error(table.mean(1)))


def _noise(subject: Subject, measure: Measure, seed: int, index: int) -> Tensor:
    draw = uniform if measure.q == "inf" else gaussian

    def named(shape: tuple[int, ...], name: str) -> Tensor:
        return draw(shape, seed, "displacement", index, name)

    assert measure.rho is not None
    return draw_by_name(subject, named).to(subject.network.dtype) * measure.rho


def _scale(around: Neighbourhood, measure: Measure) -> Tensor:
    size = around.theta.abs()
    if measure.kind == "keskar":
        return size + 1
    return size if measure.adaptive else torch.ones_like(size)


def _by_batch(around: Neighbourhood, measure: Measure) -> Value:
    scale, counts, sums = _scale(around, measure), [], []
    for batch in _batches(around.subject.data, measure.m):
        assert measure.rho is not None
        if measure.kind == "sam":
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
