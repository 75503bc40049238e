"""Means over images, with standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from robustbench_zosam.schema import LayeredMean


@dataclass(frozen=True)
class SampleMean:
    """A quantity that is a mean over images.

    Attributes:
        value: the mean.
        se: standard error from the choice of images; None where it cannot be told.
        per_image: (n,) float64 on the CPU; None where the method does not resolve images.
        per_layer: share of each parameter tensor, by name; the shares add up to the value.
        se_probes: standard error from random probes at these very images; None without probes.
        n: number of images.
    """

    value: float
    se: float | None
    per_image: Tensor | None
    per_layer: dict[str, float]
    se_probes: float | None
    n: int

    def to_dict(self, *, layers: bool = True) -> LayeredMean:
        """Returns all but the per-image numbers, with or without the shares of the layers."""
        numbers: LayeredMean = {"value": self.value, "se": self.se, "se_probes": self.se_probes}
        if layers:
            numbers["per_layer"] = dict(self.per_layer)
        numbers["n"] = self.n
        return numbers


def standard_error(samples: Tensor) -> float | None:
    """Returns the standard error of the mean of independent samples, None for fewer than two."""
    if len(samples) < 2:
        return None
    return (samples.std() / math.sqrt(len(samples))).item()


def of_images(
    per_image: Tensor, per_layer: dict[str, float], se_probes: float | None = None
) -> SampleMean:
    """Returns the mean of values known image by image, (n,), with its standard error.

    Args:
        per_layer: shares of the mean.
        se_probes: standard error from probes, if any.
    """
    values = per_image.double().cpu()
    mean, se = values.mean().item(), standard_error(values)
    return SampleMean(mean, se, values, per_layer, se_probes, len(values))


def of_chunks(
    sums: Tensor, counts: Tensor, per_layer: dict[str, float], se_probes: float | None
) -> SampleMean:
    """Returns the mean over images of values known chunk by chunk.

    Its standard error treats chunks as clusters and contains the noise of the probes.

    Args:
        sums: sum over the images of each chunk, (chunks,).
        counts: images of each chunk, (chunks,).
        per_layer: shares of the mean.
    """
    sums, counts = sums.double().cpu(), counts.double().cpu()
    n, groups = counts.sum(), len(sums)
    mean = sums.sum() / n
    se = None
    if groups > 1:
        spread = (sums - counts * mean).square().sum() * groups / (groups - 1)
        se = (spread.sqrt() / n).item()
    return SampleMean(mean.item(), se, None, per_layer, se_probes, int(n))
