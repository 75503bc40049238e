"""The stages of a cell after training: what is measured of a model, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustbench_zosam.data.dataset import Dataset, balanced_subset
from robustbench_zosam.files import write_arrays
from robustbench_zosam.landscape import LineResult, PlaneResult, line, plane
from robustbench_zosam.measurement.curvature import measure_curvature
from robustbench_zosam.models.checkpoints import Checkpoint
from robustbench_zosam.models.predict import to_unit
from robustbench_zosam.robustness.evaluation import evaluate
from robustbench_zosam.runs.cell_store import CellSpec, CellStore

OnProgress = Callable[[str, int, int], None]


def measure_robustness(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: OnProgress
) -> dict[str, Any]:
    """Evaluates a cell's model on the suite; predictions are kept for paired comparisons.

    Args:
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
    write_arrays(
        store.predictions_file,
        conditions=np.array(found.conditions),
        clean_correct=found.correct[0].astype(np.uint8),
        clean_confidence=found.confidence[0],
        correct=np.stack(found.correct[1:]).astype(np.uint8),
        confidence=np.stack(found.confidence[1:]),
    )
    return {**found.summary(spec.suite.facts()["categories"], spec.suite.reference)}


def measure_flatness(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: OnProgress
) -> dict[str, Any]:
    """Measures the curvature of a cell's loss in the active subspace of its model.

    Args:
        data: its data; training images without augmentation are used.
        on_progress: called with (stage, done, total).

    Returns:
        What is not per image; that goes to `flatness.npz`.
    """
    settings = spec.flatness
    images, labels = _training_images(data, settings.images, settings.seed, spec.device)
    facts, arrays = measure_curvature(
        model.model,
        images,
        labels,
        _to(model.masks, spec.device),
        settings,
        lambda done, total: on_progress("flatness", done, total),
    )
    write_arrays(store.flatness_file, **arrays)
    return facts


def measure_landscape(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: OnProgress
) -> dict[str, Any]:
    """Evaluates the loss along random filter-normalised directions and on a plane.

    Args:
        data: its data; training images without augmentation are used.
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
    chosen = data.train.take(balanced_subset(data.train.labels, count, seed))
    images = to_unit(torch.from_numpy(chosen.images[:]).to(device))
    return images, torch.from_numpy(chosen.labels).to(device)


def _to(masks: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: mask.to(device) for name, mask in masks.items()}
