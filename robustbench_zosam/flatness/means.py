"""What a trace measurement returns."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from robustbench_zosam.flatness.gate import GateResult

Method = Literal["exact", "output-probe", "hvp", "control-variate"]


@dataclass(frozen=True)
class ImageMean:
    """A quantity that is a mean over images.

    Attributes:
        value: the mean.
        se: standard error from the choice of images; None where it cannot be told.
        per_image: (n,) float64 on the CPU; None where the method does not resolve images.
        per_layer: share of each parameter tensor, by name; the shares add up to the value.
        se_probes: standard error from random probes at these very images; None without probes.
    """

    value: float
    se: float | None
    per_image: Tensor | None
    per_layer: dict[str, float]
    se_probes: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as strict JSON values, without the per-image ones."""
        return {
            "value": self.value,
            "se": self.se,
            "se_probes": self.se_probes,
            "per_layer": dict(self.per_layer),
        }


@dataclass(frozen=True)
class TraceResult(ImageMean):
    """The Hessian trace of the mean cross-entropy over the active coordinates, and its company.

    The trace shrinks with the loss, hence loss and accuracy stand beside it, and a smaller trace is
    not in itself better: `higher_is_better` is None.

    Attributes:
        adaptive: sum of theta_i^2 H_ii, which does not change when a filter before a batch
            norm, or a ReLU pair, is rescaled.
        fisher_model: trace of the Fisher information, labels drawn from the model, which is that of
            the Gauss-Newton matrix; the value itself where the gate passed, None under "hvp".
        fisher_empirical: mean squared norm of the gradient of one image's own loss; None where
            images interact (batch statistics).
        loss: mean cross-entropy, nats.
        accuracy: fraction in [0, 1].
        n: number of images.
        D: number of entries of theta.
        D_A: number of active coordinates.
        dead_filters: output filters without any active weight.
        skipped_mass: mean probability of the classes left out by the exact method.
        method: the method that ran.
        reason: why this method.
        gate: verdict of the gate; None when it was not needed.
        params: the selection of tensors.
        include_pruned: whether pruned coordinates count as active.
        dtype: type of the computation.
        chunk: images per pass.
        seed: seed of all draws.
        unit: of value and standard errors.
        higher_is_better: None.
    """

    adaptive: ImageMean
    fisher_model: ImageMean | None
    fisher_empirical: ImageMean | None
    loss: float
    accuracy: float
    n: int
    D: int
    D_A: int
    dead_filters: int
    skipped_mass: float
    method: Method
    reason: str
    gate: GateResult | None
    params: str
    include_pruned: bool
    dtype: str
    chunk: int
    seed: int
    unit: str = "nats per squared parameter unit"
    higher_is_better: None = None

    @property
    def per_parameter(self) -> float:
        """Trace divided by the number of active coordinates."""
        return self.value / self.D_A

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the per-image numbers, as strict JSON values."""
        fisher, model, verdict = self.fisher_empirical, self.fisher_model, self.gate
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | {
            "trace": super().to_dict(),
            "per_layer": dict(self.per_layer),
            "trace_per_param": self.per_parameter,
            "adaptive_trace": self.adaptive.to_dict(),
            "fisher_model": model.to_dict() if model else None,
            "fisher_empirical": fisher.to_dict() if fisher else None,
            "gate": _finite(asdict(verdict)) if verdict else None,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the per-image numbers, for `numpy.savez`; what is not resolved is absent."""
        means = {
            "trace": self,
            "adaptive_trace": self.adaptive,
            "fisher_empirical": self.fisher_empirical,
        }
        return {
            name: mean.per_image.numpy()
            for name, mean in means.items()
            if mean is not None and mean.per_image is not None
        }


_PLAIN = (
    "loss",
    "accuracy",
    "n",
    "D",
    "D_A",
    "dead_filters",
    "skipped_mass",
    "method",
    "reason",
    "params",
    "include_pruned",
    "dtype",
    "chunk",
    "seed",
    "unit",
    "higher_is_better",
)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def of_images(
    per_image: Tensor, per_layer: dict[str, float], se_probes: float | None = None
) -> ImageMean:
    """Summarises values known image by image.

    Args:
        per_image: (n,).
        per_layer: shares of the mean.
        se_probes: standard error from probes, if any.

    Returns:
        Mean, and standard error over images when there are two or more.
    """
    values = per_image.double().cpu()
    n = len(values)
    se = (values.std() / math.sqrt(n)).item() if n > 1 else None
    return ImageMean(values.mean().item(), se, values, per_layer, se_probes)


def of_chunks(
    sums: Tensor, counts: Tensor, per_layer: dict[str, float], se_probes: float | None
) -> ImageMean:
    """Summarises values known chunk by chunk.

    Args:
        sums: sum over the images of each chunk, (chunks,).
        counts: images of each chunk, (chunks,).
        per_layer: shares of the mean.

    Returns:
        Mean over images; its standard error treats chunks as clusters and contains the noise of the
        probes.
    """
    sums, counts = sums.double().cpu(), counts.double().cpu()
    n, groups = counts.sum(), len(sums)
    mean = sums.sum() / n
    se = None
    if groups > 1:
        spread = (sums - counts * mean).square().sum() * groups / (groups - 1)
        se = (spread.sqrt() / n).item()
    return ImageMean(mean.item(), se, None, per_layer, se_probes)
