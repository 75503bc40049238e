"""Making the corrupted copies of a test set, once for all models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import corruptions
from robustbench_zosam.data.dataset import Split
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path
from robustbench_zosam.robustness.plan import SuitePlan


def generate_suite(
    plan: SuitePlan, test: Split, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Makes what is missing of a suite; a corruption is on disk wholly or not at all.

    Args:
        plan: what to make, and where.
        test: the clean test images.
        on_progress: called with (corruptions done, corruptions in all).

    Raises:
        InputError: the disk is too small.
    """
    missing = [name for name in plan.corruptions if not plan.file(name).exists()]
    folder = Path(plan.folder)
    folder.mkdir(parents=True, exist_ok=True)
    needed = len(missing) * len(plan.severities) * test.images.nbytes
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"the suite {plan.name} needs {needed / 1e9:.1f} GB in {folder}, where "
            f"{free / 1e9:.1f} GB are free: make room, or choose fewer with --corruption"
        )
    _save(folder / "labels.npy", np.tile(test.labels, len(plan.severities)))
    for done, name in enumerate(missing):
        on_progress(done, len(missing))
        blocks = [
            corruptions.corrupt(test.images, name, severity, preset=plan.preset, seed=plan.seed)
            for severity in plan.severities
        ]
        _save(plan.file(name), np.moveaxis(np.concatenate(blocks), 1, 3))
    on_progress(len(missing), len(missing))


def _save(file: Path, array: np.ndarray[Any, Any]) -> None:
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, array)
