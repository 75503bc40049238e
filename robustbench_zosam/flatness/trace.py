"""What a measurement of the trace returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from robustbench_zosam.flatness.exact.gate import GateResult
from robustbench_zosam.flatness.means import SampleMean
from robustbench_zosam.flatness.model.bound import CurvatureResult
from robustbench_zosam.schema import Flatness

Method = Literal["exact", "output-probe", "hvp", "control-variate", "xtrace"]
MethodChoice = Literal["auto", "exact", "output-probe", "hvp", "control-variate", "xtrace"]


@dataclass(frozen=True, kw_only=True)
class TraceResult(CurvatureResult):
    """The Hessian trace of the mean cross-entropy over the active coordinates, with related traces.

    The trace shrinks with the loss, hence loss and accuracy stand beside it.

    Attributes:
        trace: of the Hessian; `value`, `se`, `se_probes`, `per_image`, `per_layer` are its own.
        adaptive_trace: sum of theta_i^2 H_ii, which does not change when a filter before a batch
            norm, or a ReLU pair, is rescaled.
        fisher_model: trace of the Fisher information, labels drawn from the model, which is that of
            the Gauss-Newton matrix; the trace itself where the gate passed, None under "hvp" and
            "xtrace".
        fisher_empirical: mean squared norm of the gradient of one image's own loss; None where
            images interact (batch statistics).
        skipped_mass: fraction of the mean of sum_c p_c (1 - p_c) in classes that the exact method
            left out.
        method: the method that ran.
        reason: why this method.
        gate: verdict of the gate; None when it was not needed.
    """

    trace: SampleMean
    adaptive_trace: SampleMean
    fisher_model: SampleMean | None
    fisher_empirical: SampleMean | None
    skipped_mass: float
    method: Method
    reason: str
    gate: GateResult | None
    unit: str = "nats per squared parameter unit"

    @property
    def value(self) -> float:
        """The trace itself."""
        return self.trace.value

    @property
    def se(self) -> float | None:
        """Its standard error from the choice of images; None where it cannot be told."""
        return self.trace.se

    @property
    def se_probes(self) -> float | None:
        """Its standard error from random probes at these images; None without probes."""
        return self.trace.se_probes

    @property
    def per_image(self) -> Tensor | None:
        """The trace of each image, (n,) float64; None where the method does not resolve images."""
        return self.trace.per_image

    @property
    def per_layer(self) -> dict[str, float]:
        """Share of each parameter tensor in the trace, by name."""
        return self.trace.per_layer

    @property
    def trace_per_parameter(self) -> float:
        """Trace divided by the number of active coordinates."""
        return self.trace.value / self.active_dimensions

    def stored(self) -> Flatness:
        """Returns everything but the per-image numbers."""
        model, empirical = self.fisher_model, self.fisher_empirical
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "images": self.images,
            "dimensions": self.dimensions,
            "active_dimensions": self.active_dimensions,
            "dead_filters": self.dead_filters,
            "skipped_mass": self.skipped_mass,
            "method": self.method,
            "reason": self.reason,
            "params": self.params,
            "include_pruned": self.include_pruned,
            "dtype": self.dtype,
            "chunk": self.chunk,
            "seed": self.seed,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "trace": self.trace.to_dict(layers=False),
            "per_layer": dict(self.per_layer),
            "trace_per_parameter": self.trace_per_parameter,
            "adaptive_trace": self.adaptive_trace.to_dict(),
            "fisher_model": model.to_dict() if model else None,
            "fisher_empirical": empirical.to_dict() if empirical else None,
            "gate": self.gate.to_dict() if self.gate else None,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the per-image numbers, for `numpy.savez`; what is not resolved is absent."""
        means = {
            "trace": self.trace,
            "adaptive_trace": self.adaptive_trace,
            "fisher_empirical": self.fisher_empirical,
        }
        return {
            f"{name}_per_image": mean.per_image.numpy()
            for name, mean in means.items()
            if mean is not None and mean.per_image is not None
        }
