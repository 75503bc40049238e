"""A model bound for one measurement, and what every result reports of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from robustbench_zosam.flatness.model.active import ActiveSet
from robustbench_zosam.flatness.model.network import (
    Data,
    Network,
    Predictions,
    uses_batch_statistics,
)
from robustbench_zosam.schema import CurvatureContext


class _Bound(CurvatureContext):
    chunk: int
    batch_statistics: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class CurvatureResult(ABC):
    """What every result reports, since no measure of curvature can be interpreted without it.

    `schema.CurvatureContext` describes the first attributes; further there are

    Attributes:
        chunk: images per pass.
        batch_statistics: whether a batch norm has no running statistics, so that all values belong
            to this chunk size.
        seed: seed of all draws.
        higher_is_better: None; a smaller value is not in itself better.
    """

    loss: float
    accuracy: float
    images: int
    dimensions: int
    active_dimensions: int
    dead_filters: int
    params: str
    include_pruned: bool
    dtype: str
    chunk: int
    batch_statistics: bool
    seed: int
    higher_is_better: None = None

    def context(self) -> CurvatureContext:
        """Returns what the measures of one model have in common, as JSON values."""
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "images": self.images,
            "dimensions": self.dimensions,
            "active_dimensions": self.active_dimensions,
            "dead_filters": self.dead_filters,
            "params": self.params,
            "include_pruned": self.include_pruned,
            "dtype": self.dtype,
        }

    @abstractmethod
    def stored(self) -> Mapping[str, object]:
        """Returns the rest, as it is stored beside the trace of the same model."""

    def to_dict(self) -> Mapping[str, object]:
        """Returns everything but tensors, as strict JSON values."""
        return {**self.context(), **self.stored()}


@dataclass(frozen=True)
class BoundModel:
    """A model at the values it is measured at, with all that one measurement needs."""

    network: Network
    data: Data
    active: ActiveSet
    predictions: Predictions
    params: str
    include_pruned: bool
    chunk: int
    seed: int

    @cached_property
    def theta(self) -> Tensor:
        """The active coordinates, (D_A,)."""
        return self.active.gather(self.network.parameters).detach()

    @cached_property
    def theta_squared(self) -> Tensor:
        """Squares of the active coordinates, (D_A,) float64."""
        return self.theta.double().square()

    def bound(self) -> _Bound:
        """Returns the fields that every `CurvatureResult` has."""
        return {
            "loss": self.predictions.loss,
            "accuracy": self.predictions.accuracy,
            "images": len(self.data),
            "dimensions": self.active.total,
            "active_dimensions": self.active.size,
            "dead_filters": self.active.dead_filters,
            "params": self.params,
            "include_pruned": self.include_pruned,
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "chunk": self.chunk,
            "batch_statistics": uses_batch_statistics(self.network.module),
            "seed": self.seed,
        }
