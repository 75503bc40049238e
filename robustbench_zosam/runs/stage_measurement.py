"""The stages of a cell after training: what is measured of a model, and what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zosam.arrays import write_arrays
from robustbench_zosam.config import LandscapeConfig
from robustbench_zosam.data.dataset import Dataset, balanced_subset
from robustbench_zosam.flatness import Network
from robustbench_zosam.flatness.model.guard import measuring, unwrap
from robustbench_zosam.landscape import line, plane
from robustbench_zosam.landscape.rays import chance_radius
from robustbench_zosam.measurement.curvature import measure_curvature
from robustbench_zosam.models.checkpoints import Checkpoint
from robustbench_zosam.models.predict import predict_logits, to_unit
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.robustness.evaluation import evaluate
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, StageValue
from robustbench_zosam.runs.methods import Method
from robustbench_zosam.schema import Flatness, Landscape, RobustnessScores, ValidationScores

Progress = Callable[[int, int], None]
Measurement = Callable[[CellSpec, CellStore, Dataset, Checkpoint, Progress], StageValue]


def measure_validation(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: Progress
) -> ValidationScores:
    """Scores a trial's model on validation images, the only ones that choices may see."""
    del store
    device = torch.device(spec.device)
    logits = predict_logits(model.model, data.validation.images, device)
    labels = torch.from_numpy(data.validation.labels)
    loss = float(F.cross_entropy(logits, labels))
    corrupted = None
    if spec.validation_suite is not None:
        found = evaluate(
            model.model, data.validation, spec.validation_suite, device, on_progress
        ).summary(spec.validation_suite.facts()["categories"])
        corrupted = found["mean_corruption_accuracy"]
    return {
        "images": len(labels),
        "accuracy": float((logits.argmax(1) == labels).double().mean()),
        "loss": loss if math.isfinite(loss) else None,
        "corrupted_accuracy": corrupted,
    }


def measure_robustness(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: Progress
) -> RobustnessScores:
    """Evaluates a cell's model on the suite; predictions are kept for paired comparisons."""
    assert spec.suite is not None
    device = torch.device(spec.device)
    found = evaluate(model.model, data.test, spec.suite, device, on_progress)
    write_arrays(store.predictions_file, **found.arrays())
    return {**found.summary(spec.suite.facts()["categories"], spec.suite.reference)}


def measure_flatness(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: Progress
) -> Flatness:
    """Measures the curvature in the active subspace; numbers per image go to `flatness.npz`."""
    settings = spec.flatness
    images, labels = _training_images(data, settings.images, settings.seed, spec.device)
    masks = _to(model.masks, spec.device)
    radius = _radius(spec.method, model.masks, model.model)
    facts, arrays = measure_curvature(
        model.model, images, labels, masks, settings, on_progress, radius
    )
    write_arrays(store.flatness_file, **arrays)
    return facts


def _radius(method: Method, masks: Mapping[str, Tensor], model: nn.Module) -> float | None:
    """Returns the radius that a method's optimizer perturbed weights with, None without one."""
    if not method.optimizer:
        return None
    options = OPTIMIZERS[method.optimizer].defaults | dict(method.options)
    sigma, rho = options.get("sigma"), options.get("rho")
    if isinstance(sigma, int | float):
        active = sum(
            int(masks[name].sum()) if name in masks else p.numel()
            for name, p in model.named_parameters()
        )
        return float(sigma) * math.sqrt(active)
    return float(rho) if isinstance(rho, int | float) else None


def measure_landscape(
    spec: CellSpec, store: CellStore, data: Dataset, model: Checkpoint, on_progress: Progress
) -> Landscape:
    """Evaluates the loss along random filter-normalised directions and on a plane."""
    settings = spec.landscape
    images, labels = _training_images(data, settings.images, settings.seed, spec.device)
    masks = _to(model.masks, spec.device)
    return slices_of(
        model.model, images, labels, masks, settings, on_progress, with_plane=spec.with_plane
    )


def slices_of(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    masks: Mapping[str, Tensor],
    settings: LandscapeConfig,
    on_progress: Progress,
    *,
    with_plane: bool = True,
) -> Landscape:
    """Returns the loss of a model along random directions and on a plane, as results store it.

    The plane ends where the mean line has risen by ln C, the loss of chance: beyond it there is
    nothing to see of the basin.
    """
    lines = line(
        model,
        images,
        labels,
        masks=masks,
        span=settings.span,
        seed=settings.seed,
        points=settings.points,
        seeds=settings.directions,
        progress=None if with_plane else on_progress,
    )
    found: Landscape = {"line": lines.to_dict(), "norm": "filter", "images": len(labels)}
    if not with_plane:
        return found
    rim = chance_radius(lines.positions, lines.losses, _classes(model, images))
    found["plane"] = plane(
        model,
        images,
        labels,
        masks=masks,
        span=rim or settings.span,
        seed=settings.seed,
        points=settings.grid,
        progress=on_progress,
    ).to_dict()
    return found


def _classes(model: nn.Module, images: Tensor) -> int:
    with measuring(unwrap(model)):
        return int(Network.of(unwrap(model))(images[:2]).shape[1])


def _training_images(data: Dataset, count: int, seed: int, device: str) -> tuple[Tensor, Tensor]:
    """Returns training images without augmentation, drawn class by class, and their labels."""
    chosen = data.train.take(balanced_subset(data.train.labels, count, seed))
    images = to_unit(torch.from_numpy(chosen.images[:]).to(device))
    return images, torch.from_numpy(chosen.labels).to(device)


def _to(masks: dict[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: mask.to(device) for name, mask in masks.items()}
