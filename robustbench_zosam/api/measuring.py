"""One model after another on the same images: what is measured of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from corruptions.suites import Suite
from robustbench_zosam.api.material import Material
from robustbench_zosam.api.subject import Candidate
from robustbench_zosam.config import FlatnessConfig, LandscapeConfig
from robustbench_zosam.data.dataset import balanced_subset
from robustbench_zosam.measurement.curvature import measure_curvature
from robustbench_zosam.measurement.sparsity import sparsity_facts
from robustbench_zosam.measurement.trained_models import about
from robustbench_zosam.models.predict import to_unit
from robustbench_zosam.robustness.evaluation import Evaluation, evaluate
from robustbench_zosam.runs.stage_measurement import slices_of
from robustbench_zosam.schema import Flatness, Landscape, Sparsity

Listener = Callable[[str, int, int], None]
"""Called with stage, units done and units in all."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a model.

    Attributes:
        evaluation: on every condition.
        flatness: None where it was not asked for, as is the landscape.
        traces: Hessian traces of single images, by name.
        seconds: stage to wall-clock time.
        device: where it was.
        note: what a reader must be told; may be empty.
    """

    evaluation: Evaluation
    flatness: Flatness | None
    traces: Mapping[str, np.ndarray]
    landscape: Landscape | None
    sparsity: Sparsity
    seconds: dict[str, float]
    device: str
    note: str


def measure(
    name: str,
    subject: Candidate,
    material: Material,
    suite: Suite,
    flatness: FlatnessConfig,
    landscape: LandscapeConfig,
    on_progress: Listener,
) -> Measured:
    """Returns what is measured of a model.

    Args:
        name: of the model, for messages.
        suite: the corrupted images.
        on_progress: called with stage, units done and units in all.

    Raises:
        InputError: it cannot be measured, such as a network that gives no finite loss.
    """
    seconds = {}
    started = time.perf_counter()

    def took(stage: str) -> None:
        nonlocal started
        now = time.perf_counter()
        seconds[stage], started = now - started, now

    with about(name):
        found = evaluate(
            subject.predictor,
            material.data.test,
            suite,
            subject.device,
            partial(on_progress, "robustness"),
        )
        took("robustness")
        curved: Flatness | None = None
        traces: dict[str, np.ndarray] = {}
        if flatness.enabled:
            images, labels = _sample(material, flatness.images, flatness.seed, subject.device)
            curved, traces = measure_curvature(
                subject.exact,
                images,
                labels,
                subject.masks,
                flatness,
                partial(on_progress, "flatness"),
            )
            took("flatness")
        slices: Landscape | None = None
        if landscape.enabled:
            images, labels = _sample(material, landscape.images, landscape.seed, subject.device)
            slices = slices_of(
                subject.exact,
                images,
                labels,
                subject.masks,
                landscape,
                partial(on_progress, "landscape"),
            )
            took("landscape")
        sparsity = sparsity_facts(subject.exact, subject.masks)
    return Measured(
        found, curved, traces, slices, sparsity, seconds, str(subject.device), subject.note
    )


def _sample(
    material: Material, count: int, seed: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Returns images without augmentation, drawn class by class, and their labels."""
    split = material.data.splits[material.split]
    chosen = split.take(balanced_subset(split.labels, count, seed))
    images = to_unit(torch.from_numpy(chosen.images[:]).to(device))
    return images, torch.from_numpy(chosen.labels).to(device)
