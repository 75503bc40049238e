"""The stages of a cell after training: what is measured of a model, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustbench_zosam.data.dataset import Dataset, limit_classwise
from robustbench_zosam.files import atomic_path
from robustbench_zosam.flatness import TraceResult, hessian_trace
from robustbench_zosam.landscape import LineResult, PlaneResult, line, plane
from robustbench_zosam.models.checkpoints import Checkpoint
from robustbench_zosam.models.predict import to_unit
from robustbench_zosam.robustness.evaluation import evaluate
from robustbench_zosam.runs.cells import CellSpec, CellStore

OnProgress = Callable[[str, int, int], None]


def measure_robustness(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: OnProgress
) -> dict[str, Any]:
    """Evaluates a cell's model on the suite; predictions are kept for paired comparisons.

    Args:
        spec: the cell.
        store: its folder.
        data: its data.
        model: the trained model.
        on_progress: called with (stage, done, total).

    Returns:
        Rows per condition, and means.
    """
    assert spec.suite is not None
    found = evaluate(
        model.model,
        data.test,
        spec.suite,
        torch.device(spec.device),
        lambda done, total: on_progress("robustness", done, total),
    )
    _save_arrays(
        store.predictions_file,
        conditions=np.array(found.conditions),
        clean_correct=found.correct[0].astype(np.uint8),
        clean_confidence=found.confidence[0],
        correct=np.stack(found.correct[1:]).astype(np.uint8),
        confidence=np.stack(found.confidence[1:]),
    )
    return found.summary(spec.suite.facts()["categories"], spec.suite.reference)


def measure_flatness(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: OnProgress
) -> dict[str, Any]:
    """Measures the Hessian trace of a cell's model in its active subspace.

    Args:
        spec: the cell.
        store: its folder.
        data: its data; training images without augmentation are used.
        model: the trained model.
        on_progress: called with (stage, done, total).

    Returns:
        The fields of the trace result that are not per image; those go to `flatness.npz`.
    """
    settings = spec.flatness
    on_progress("flatness", 0, 1)
    images, labels = _training_images(data, settings.images, settings.seed, spec.device)
    result = hessian_trace(
        model.model,
        images,
        labels,
        masks=_to(model.masks, spec.device),
        method=settings.method,
        params=settings.params,
        probes=settings.probes,
        seed=settings.seed,
    )
    arrays = {f"{name}_per_image": values for name, values in result.arrays().items()}
    _save_arrays(store.flatness_file, **arrays)
    on_progress("flatness", 1, 1)
    return _flatness_facts(result)


def _flatness_facts(result: TraceResult) -> dict[str, Any]:
    """Returns a trace result under the names of the result schema."""
    facts = result.to_dict()
    names = {"n": "images", "D": "dimensions", "D_A": "active_dimensions"}
    names |= {"trace_per_param": "trace_per_parameter"}
    renamed = {names.get(key, key): value for key, value in facts.items()}
    for key in ("trace", "adaptive_trace", "fisher_empirical"):
        if renamed[key] is not None:
            renamed[key] |= {"n": result.n}
    return renamed | {"per_layer": renamed["trace"].pop("per_layer")}


def measure_landscape(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: OnProgress
) -> dict[str, Any]:
    """Evaluates the loss along random filter-normalised directions and on a plane.

    Args:
        spec: the cell.
        store: its folder.
        data: its data; training images without augmentation are used.
        model: the trained model.
        on_progress: called with (stage, done, total).

    Returns:
        The line and plane results.
    """
    settings = spec.landscape
    images, labels = _training_images(data, settings.images, settings.seed, spec.device)
    masks = _to(model.masks, spec.device)
    common: dict[str, Any] = {"masks": masks, "span": settings.span, "seed": settings.seed}
    lines = line(
        model.model, images, labels, points=settings.points, seeds=settings.directions, **common
    )
    surface = plane(
        model.model,
        images,
        labels,
        points=settings.grid,
        progress=lambda done, total: on_progress("landscape", done, total),
        **common,
    )
    return {
        "line": _slice_facts(lines),
        "plane": _slice_facts(surface),
        "norm": "filter",
        "images": len(labels),
    }


def _slice_facts(result: LineResult | PlaneResult) -> dict[str, Any]:
    """Returns a slice under the names of the result schema."""
    names = {"steps": "positions", "loss": "losses", "error": "errors"}
    return {names.get(key, key): value for key, value in result.to_dict().items()}


def _training_images(data: Dataset, count: int, seed: int, device: str) -> tuple[Tensor, Tensor]:
    chosen = data.train.take(limit_classwise(data.train.labels, count, seed))
    images = to_unit(torch.from_numpy(chosen.images).to(device))
    return images, torch.from_numpy(chosen.labels).to(device)


def _to(masks: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: mask.to(device) for name, mask in masks.items()}


def _save_arrays(file: Path, **arrays: Any) -> None:
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
