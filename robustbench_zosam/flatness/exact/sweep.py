r"""The exact Hessian trace of a network that is piecewise linear in each parameter tensor.

There the residual part of the Hessian has a zero diagonal, so the trace of H is that of the
generalised Gauss-Newton matrix, and with cross-entropy

.. math:: \sum_i w_i H_{ii} = \frac{1}{N} \sum_n \sum_c p_{nc} \sum_i w_i
    (\partial_i \log p_c(x_n))^2

for any weights w: the mask gives the trace, the mask times theta^2 the adaptive trace. The sum over
C classes is taken as one over the C - 1 columns of a Cholesky factor of diag(p) - p p^T. One
backward pass with respect to layer outputs serves all images of a chunk, each with a class of its
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.exact.squared_gradients import SquaredGradients
from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.model.network import Predictions
from robustbench_zosam.flatness.noise import rademacher

_ENUMERATE = 20  # classes up to which all of them are visited
_LEAST = 1e-100  # mass whose square a float64 still holds


@dataclass(frozen=True)
class Pass:
    """One backward pass over a chunk.

    Attributes:
        cotangent: derivative of the images' scalars with respect to their logits, (b, C) float64.
        weight: share of each image's squares in the trace, (b,) float64.
        is_label: whether to take the scalar for log p of the image's own label, (b,).
    """

    cotangent: Tensor
    weight: Tensor
    is_label: Tensor


@dataclass
class Sums:
    """What the sweep accumulates, all float64; the last axis is (plain, adaptive).

    Attributes:
        per_image: (n, 2).
        squares: sums of squared single-pass contributions, (n, 2).
        fisher: squared norm of the gradient of the image's own loss, (n,).
        per_layer: parameter name to (2,), divided by n.
        fisher_per_layer: parameter name to (2,), divided by n.
        skipped_mass: what is left out of the mean of sum_c p_c (1 - p_c), as a fraction of it.
    """

    per_image: Tensor
    squares: Tensor
    fisher: Tensor
    per_layer: dict[str, Tensor] = field(default_factory=dict)
    fisher_per_layer: dict[str, Tensor] = field(default_factory=dict)
    skipped_mass: float = 0.0

    @classmethod
    def zeros(cls, n: int, device: torch.device) -> Sums:
        """Returns the sums before any pass over n images."""
        pair = torch.zeros(n, 2, dtype=torch.float64, device=device)
        return cls(pair, pair.clone(), pair[:, 0].clone())

    def add(self, rows: Tensor, done: Pass, squares: dict[str, Tensor]) -> None:
        """Adds one pass over the images of these indices (b,); squares by name are (b, 2)."""
        total = torch.stack(list(squares.values())).sum(0)
        weighted = total * done.weight[:, None]
        self.per_image[rows] += weighted
        self.squares[rows] += weighted.square()
        self.fisher[rows] = torch.where(done.is_label, total[:, 0], self.fisher[rows])
        own = done.is_label.to(total.dtype)
        for name, value in squares.items():
            for shares, weight in ((self.per_layer, done.weight), (self.fisher_per_layer, own)):
                shares[name] = shares.get(name, 0) + (weight @ value) / len(self.fisher)

    def sampling_error(self, samples: int) -> Tensor:
        """Returns the standard errors from the random output directions, (plain, adaptive)."""
        spread = samples * self.squares - self.per_image.square()
        return (spread.clamp(min=0).sum(0) / (samples - 1)).sqrt() / len(self.fisher)


@dataclass(frozen=True)
class SweepPlan:
    """Which passes to make.

    Attributes:
        class_threshold: a class is left out for images that give it less probability than this
            times the mean of sum_c p_c (1 - p_c), to which the trace is proportional.
        samples: random output directions per image, where classes are too many to enumerate.
    """

    class_threshold: float = 1e-6
    samples: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.class_threshold < 1:
            raise InputError(f"class_threshold must be in [0, 1), got {self.class_threshold}")
        if self.samples < 2:
            raise InputError(f"output_samples must be at least 2, got {self.samples}")

    def enumerates(self, classes: int) -> bool:
        """Whether all classes are visited, so that the trace has no sampling error."""
        return classes <= _ENUMERATE


def sweep(model: BoundModel, plan: SweepPlan) -> Sums:
    """Returns the sums of plain, adaptive and empirical Fisher traces of the Gauss-Newton matrix.

    Raises:
        UnsupportedError: the images of a mini-batch interact.
    """
    engine = SquaredGradients.of(model)
    images = model.data.images
    sums = Sums.zeros(len(images), model.network.device)
    directions = _Directions(model.predictions, plan)
    for rows in torch.split(directions.order(), model.chunk):
        found = engine.record(images[rows.to(images.device)])
        for group in _grouped(directions.passes(rows), found.tape.passes_at_once()):
            squares = found.squares([one.cotangent.to(found.logits.dtype) for one in group])
            for index, one in enumerate(group):
                sums.add(rows, one, {name: value[index] for name, value in squares.items()})
    sums.skipped_mass = directions.skipped_mass()
    return sums


def label_gradients(model: BoundModel) -> Sums:
    """Returns the sums with the empirical Fisher trace alone: one pass, of the labels.

    Raises:
        UnsupportedError: the images of a mini-batch interact.
    """
    engine, images = SquaredGradients.of(model), model.data.images
    sums = Sums.zeros(len(images), model.network.device)
    directions = _Directions(model.predictions, SweepPlan())
    for rows in torch.split(torch.arange(len(images), device=model.network.device), model.chunk):
        found, one = engine.record(images[rows.to(images.device)]), directions.label_pass(rows)
        squares = found.squares([one.cotangent.to(found.logits.dtype)])
        sums.add(rows, one, {name: value[0] for name, value in squares.items()})
    return sums


def _grouped(passes: Iterator[Pass], size: int) -> Iterator[list[Pass]]:
    while group := list(islice(passes, size)):
        yield group


class _Directions:
    """Chooses the output directions of each chunk."""

    def __init__(self, predictions: Predictions, plan: SweepPlan) -> None:
        self.log_p, self.labels = predictions.log_p, predictions.labels  # (n, C), (n,)
        self.p = self.log_p.exp()
        self.plan = plan
        self.enumerates = plan.enumerates(self.p.shape[1])
        # 1 - p by expm1: the difference of two numbers near 1 would lose the confident images
        self.variance = self.p * -torch.expm1(self.log_p)  # (n, C)
        self.threshold = plan.class_threshold * self.variance.sum(1).mean().item()
        self.kept = self.p >= self.threshold  # (n, C)

    def order(self) -> Tensor:
        """Returns the images such that those with equally many classes share a chunk, (n,)."""
        if not self.enumerates:
            return torch.arange(len(self.p), device=self.p.device)
        return self.kept.sum(1).argsort(stable=True)

    def skipped_mass(self) -> float:
        """Returns the variance p (1 - p) of the classes left out, as a fraction of all."""
        if not self.enumerates:
            return 0.0
        left_out = (self.variance * ~self.kept).sum().item()
        return left_out / max(self.variance.sum().item(), _LEAST)

    def passes(self, rows: Tensor) -> Iterator[Pass]:
        """Yields the passes of one chunk, that of the labels last if it was not among them."""
        seen = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        for done in self._classes(rows) if self.enumerates else self._samples(rows):
            seen |= done.is_label
            yield done
        if not seen.all():
            yield replace(self.label_pass(rows), is_label=~seen)

    def _classes(self, rows: Tensor) -> Iterator[Pass]:
        """Yields the columns of a Cholesky factor of diag(p) - p p^T, without the last, zero one.

        Every image visits its classes in an order of its own: the label, whose column is the
        gradient of its loss, then from likely to unlikely.

        Source: Tanabe & Sagae, "An exact Cholesky decomposition of the covariance matrix of the
            multinomial distribution", 1992.
        """
        labels = self.labels[rows][:, None]
        order = self.p[rows].scatter(1, labels, 2.0).argsort(dim=1, descending=True, stable=True)
        ranked, kept = self.p[rows].gather(1, order), self.kept[rows].gather(1, order)
        left = ranked.flip(1).cumsum(1).flip(1)  # mass of a class and those after it
        after = torch.cat([left[:, 1:], torch.zeros_like(left[:, :1])], 1)
        useful = kept & (after >= max(self.threshold, _LEAST))
        weights = torch.where(useful, ranked / (after * left).clamp(min=_LEAST**2), 0.0)
        ranks = torch.arange(1, ranked.shape[1] + 1, device=rows.device)
        for rank in range(max(1, int((useful * ranks).max()))):
            column = -ranked * (ranks > rank + 1)
            column[:, rank] = after[:, rank]
            cotangent = torch.zeros_like(column).scatter(1, order, column)
            own = torch.full((len(rows),), rank == 0, device=rows.device)
            yield Pass(cotangent, weights[:, rank], own)

    def label_pass(self, rows: Tensor) -> Pass:
        """Returns the pass whose scalars are log p of the labels, without weight in the trace."""
        cotangent = -self.p[rows]
        own = self.labels[rows][:, None]
        # 1 - p by expm1: the difference of two numbers near 1 would lose the confident images
        cotangent.scatter_(1, own, -torch.expm1(self.log_p[rows].gather(1, own)))
        weight = torch.zeros_like(cotangent[:, 0])
        return Pass(cotangent, weight, torch.ones_like(weight, dtype=torch.bool))

    def _samples(self, rows: Tensor) -> Iterator[Pass]:
        p, root = self.p[rows], self.p[rows].sqrt()
        share = p.new_full((len(rows),), 1 / self.plan.samples)
        never = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        for index in range(self.plan.samples):
            signs = rademacher(tuple(self.p.shape), self.plan.seed, "output", index)
            xi = signs.to(p.device)[rows].to(p.dtype)
            inner = (root * xi).sum(1, keepdim=True)
            yield Pass(root * xi - p * inner, share, never)
