"""All measures of flatness that a configuration asks for, of one model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from robustbench_zosam.config import FlatnessConfig
from robustbench_zosam.flatness import (
    BRIEF,
    CAVEATS,
    FULL,
    DensityResult,
    TraceResult,
    hessian_trace,
    sharpness,
    spectral_density,
    top_eigenvalues,
)

Progress = Callable[[int, int], None]
Masks = dict[str, Tensor]


def measure_curvature(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    masks: Masks,
    settings: FlatnessConfig,
    on_progress: Progress,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measures a model.

    Args:
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        masks: parameter name to bool mask.
        on_progress: called with (measures done, measures in all).

    Returns:
        Facts as strict JSON values, and arrays.
    """
    common: dict[str, Any] = {"masks": masks, "params": settings.params, "seed": settings.seed}
    wanted = [settings.spectrum, settings.density, bool(settings.sharpness)]
    total = 1 + settings.include_pruned + sum(wanted)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    on_progress(0, total)
    options = common | {"method": settings.method, "probes": settings.probes}
    trace = hessian_trace(model, images, labels, **options)
    facts = flatness_facts(trace)
    arrays = {f"{name}_per_image": values for name, values in trace.arrays().items()}
    step()
    if settings.include_pruned:
        wide = hessian_trace(
            model, images, labels, include_pruned=True, verdict=trace.gate, **options
        )
        facts["with_pruned_directions"] = flatness_facts(wide)
        step()
    if settings.spectrum:
        facts["spectrum"] = _without_facts(
            top_eigenvalues(model, images, labels, steps=settings.steps, **common).to_dict()
        )
        step()
    if settings.density:
        density = spectral_density(model, images, labels, **common)
        facts["density"] = _density_facts(density)
        arrays |= _density_arrays(density)
        step()
    if settings.sharpness:
        family = FULL if settings.sharpness == "full" else BRIEF
        found = sharpness(model, images, labels, measures=family, **common).to_dict()
        facts["sharpness"] = _without_facts(found)
        facts["caveats"] = [{"text": c.text, "source": c.source} for c in CAVEATS]
        step()
    return facts, arrays


def flatness_facts(result: TraceResult) -> dict[str, Any]:
    """Returns a trace result under the names of the result schema."""
    facts = result.to_dict()
    names = {"n": "images", "D": "dimensions", "D_A": "active_dimensions"}
    names |= {"trace_per_param": "trace_per_parameter"}
    renamed = {names.get(key, key): value for key, value in facts.items()}
    for key in ("trace", "adaptive_trace", "fisher_model", "fisher_empirical"):
        if renamed[key] is not None:
            renamed[key] |= {"n": result.n}
    return renamed | {"per_layer": renamed["trace"].pop("per_layer")}


_BESIDE = {
    "loss", "accuracy", "n", "D", "D_A", "dead_filters", "params", "include_pruned", "dtype",
}  # fmt: skip


def _without_facts(values: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what already stands beside the trace."""
    return {key: value for key, value in values.items() if key not in _BESIDE}


def _density_facts(result: DensityResult) -> dict[str, Any]:
    arrays = {"grid", "density", "se", "nodes", "weights"}
    return {k: v for k, v in _without_facts(result.to_dict()).items() if k not in arrays} | {
        "starts": len(result.nodes),
        "steps": result.nodes.shape[1],
        "lowest": float(result.nodes.min()),
        "highest": float(result.nodes.max()),
    }


def _density_arrays(result: DensityResult) -> dict[str, np.ndarray]:
    found = {
        "density_grid": result.grid,
        "density": result.density,
        "density_nodes": result.nodes,
        "density_weights": result.weights,
    }
    return found if result.se is None else found | {"density_se": result.se}
