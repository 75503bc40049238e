"""Test images for the page: a few under every corruption, and those that misled the most models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.data import load_prepared
from robustbench_zosam.data.dataset import balanced_subset
from robustbench_zosam.files import atomic_path
from robustbench_zosam.robustness.plan import take
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.plan import Plan

_SAMPLES = 4
_WORST = 24


@dataclass(frozen=True)
class Failure:
    """One corrupted image and what the models made of it.

    Attributes:
        corruption: its name.
        severity: from 1 to 5.
        image: index in the suite.
        wrong: models that were wrong.
        models: models that were asked.
        confidence: mean probability which the wrong ones gave to their answer.
    """

    corruption: str
    severity: int
    image: int
    wrong: int
    models: int
    confidence: float


def write_gallery(plan: Plan, cells: Sequence[str]) -> None:
    """Stores images under every corruption and severity, and the worst failures.

    Args:
        cells: ids of the cells whose predictions are stored.
    """
    assert plan.suite is not None
    whole = plan.suite.open()
    suite = take(whole, _sampled(whole.labels))
    rows = {
        name: np.stack([suite.read(name, s, 0, len(suite)) for s in suite.severities], axis=1)
        for name in suite.corruptions
    }
    if plan.suite.layout == "arrays":  # whose images are those of the test set, in its order
        test = load_prepared(plan.data.file).test
        clean = np.moveaxis(test.images[_sampled(test.labels)], 1, 3)
        rows = {"clean": np.stack([clean] * len(suite.severities), axis=1), **rows}
    stores = [CellStore(plan.out / "cells" / name).predictions_file for name in cells]
    worst = worst_failures([file for file in stores if file.is_file()])
    arrays: dict[str, Any] = {}
    if worst:
        places = [(f.corruption, f.severity, f.image, f.image + 1) for f in worst]
        arrays = {
            "worst_images": np.concatenate([whole.read(*place) for place in places]),
            "worst_labels": whole.labels[[f.image for f in worst]],
            "worst_corruptions": np.array([f.corruption for f in worst]),
            "worst_counts": np.array([(f.severity, f.wrong, f.models) for f in worst]),
            "worst_confidence": np.array([f.confidence for f in worst]),
        }
    with atomic_path(plan.out / "gallery.npz") as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            images=np.stack(list(rows.values()), axis=1),
            rows=np.array(list(rows)),
            **arrays,
        )


def _sampled(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return balanced_subset(labels, _SAMPLES, seed=0)


def worst_failures(files: Sequence[Path]) -> list[Failure]:
    """Finds the images that the most models got wrong with the most confidence.

    Args:
        files: predictions of each model, under the same conditions.

    Returns:
        At most one for each corruption, at its mildest severity among equals, the worst first.
    """
    wrong: dict[str, NDArray[np.int64]] = {}
    confidence: dict[str, NDArray[np.float64]] = {}
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            conditions = map(str, arrays["conditions"][1:])
            for name, correct, sure in zip(
                conditions, arrays["correct"], arrays["confidence"], strict=True
            ):
                missed = correct == 0
                wrong[name] = wrong.get(name, 0) + missed
                confidence[name] = confidence.get(name, 0.0) + missed * sure.astype(np.float64)
    found: dict[str, Failure] = {}
    for failure in _worst_of_each(wrong, confidence, len(files)):
        best = found.get(failure.corruption)
        if best is None or _badness(failure) > _badness(best):
            found[failure.corruption] = failure
    return sorted(found.values(), key=_badness, reverse=True)[:_WORST]


def _worst_of_each(
    wrong: dict[str, NDArray[np.int64]], confidence: dict[str, NDArray[np.float64]], models: int
) -> Iterator[Failure]:
    """Yields the worst image of each condition in which any model was wrong."""
    for name, counts in wrong.items():
        image = int(np.argmax(confidence[name]))
        count = int(counts[image])
        if count:
            corruption, _, severity = name.rpartition("/")
            sure = float(confidence[name][image]) / count
            yield Failure(corruption, int(severity), image, count, models, sure)


def _badness(failure: Failure) -> tuple[float, int]:
    """Orders by the summed confidence to a tenth of a model, then by the mildness."""
    return round(failure.wrong * failure.confidence, 1), -failure.severity
