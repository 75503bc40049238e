"""All measures of flatness that a configuration asks for, of one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor, nn

from robustbench_zosam.config import FlatnessConfig
from robustbench_zosam.flatness import BRIEF, CAVEATS, FULL, Curvature, where_it_looks
from robustbench_zosam.schema import Flatness


def measure_curvature(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    masks: Mapping[str, Tensor],
    settings: FlatnessConfig,
    on_progress: Callable[[int, int], None],
    radius: float | None = None,
) -> tuple[Flatness, dict[str, np.ndarray]]:
    """Returns facts as strict JSON values, and arrays.

    Args:
        on_progress: called with (measures done, measures in all).
        radius: that the model's optimizer perturbed weights with, for the sharpness there.
    """
    wanted = [settings.spectrum, settings.density, bool(settings.sharpness)]
    total = 1 + settings.include_pruned + sum(wanted)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    on_progress(0, total)
    curvature = Curvature(
        model, images, labels, masks=masks, params=settings.params, seed=settings.seed
    )
    trace = curvature.trace(method=settings.method, probes=settings.probes)
    facts, arrays = trace.stored(), trace.arrays()
    step()
    if settings.include_pruned:
        facts["with_pruned_directions"] = curvature.trace(
            method=settings.method, probes=settings.probes, include_pruned=True
        ).stored()
        step()
    if settings.spectrum:
        facts["spectrum"] = curvature.eigenvalues(steps=settings.steps).stored()
        step()
    if settings.density:
        density = curvature.density()
        facts["density"] = density.stored()
        arrays |= density.arrays()
        step()
    if settings.sharpness:
        measures = FULL if settings.sharpness == "full" else BRIEF
        if radius:
            measures = tuple(dict.fromkeys((*measures, *where_it_looks(radius))))
        facts["sharpness"] = curvature.sharpness(measures).stored()
        facts["caveats"] = list(CAVEATS)
        step()
    return facts, arrays
