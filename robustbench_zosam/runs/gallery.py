"""Test images for the page: samples of every corruption, and the most common misclassifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.arrays import read_arrays, write_arrays
from robustbench_zosam.data import load_prepared
from robustbench_zosam.data.dataset import Split, balanced_subset
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness.plan import take
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.plan import Plan

if TYPE_CHECKING:
    from corruptions.suites import Suite

Predictions = Mapping[str, NDArray[Any]]
_PREDICTIONS = ("conditions", "correct", "confidence")
_PREDICTED = "predicted"  # absent where an early release measured
_SAMPLES = 4
_WORST = 24


@dataclass(frozen=True)
class Misclassified:
    """One corrupted image that models misclassified.

    Attributes:
        severity: from 1 to 5.
        image: index in the suite.
        wrong: how many models misclassified it.
        models: how many classified it.
        confidence: mean probability that the former gave to their prediction.
        predicted: the class that the most of them predicted; -1 where classes were not stored.
        agreed: how many of them predicted it.
    """

    corruption: str
    severity: int
    image: int
    wrong: int
    models: int
    confidence: float
    predicted: int = -1
    agreed: int = 0


def write_gallery(plan: Plan, cells: Sequence[str]) -> None:
    """Stores images under every corruption and severity, and the worst misclassifications.

    Args:
        cells: ids of the finished cells.
    """
    assert plan.suite is not None
    # Those of a suite of arrays are the test set's, in its order.
    test = load_prepared(plan.data.file).test if plan.suite.layout == "arrays" else None
    files = [CellStore(plan.out / "cells" / name).predictions_file for name in cells]
    found = (_read(file) for file in files if file.is_file())
    write_arrays(plan.out / "gallery.npz", **gallery_arrays(plan.suite.open(), test, found))


def _read(file: Path) -> Predictions:
    try:
        return read_arrays(file, (*_PREDICTIONS, _PREDICTED))
    except InputError:
        return read_arrays(file, _PREDICTIONS)


def gallery_arrays(
    whole: Suite, test: Split | None, predictions: Iterable[Predictions]
) -> dict[str, NDArray[np.generic]]:
    """Returns what `gallery.npz` holds.

    Args:
        test: the clean images that the suite's are made of, in its order; None: they are others.
        predictions: conditions, correct and confidence of each model.
    """
    suite = take(whole, _sampled(whole.labels))
    rows = {
        name: np.stack([suite.read(name, s, 0, len(suite)) for s in suite.severities], axis=1)
        for name in suite.corruptions
    }
    if test is not None:
        clean = np.moveaxis(test.images[_sampled(test.labels)], 1, 3)
        rows = {"clean": np.stack([clean] * len(suite.severities), axis=1), **rows}
    worst = worst_misclassified(predictions)
    arrays: dict[str, NDArray[np.generic]] = {}
    if worst:
        places = [(f.corruption, f.severity, f.image, f.image + 1) for f in worst]
        arrays = {
            "worst_images": np.concatenate([whole.read(*place) for place in places]),
            "worst_labels": whole.labels[[f.image for f in worst]],
            "worst_corruptions": np.array([f.corruption for f in worst]),
            "worst_counts": np.array([(f.severity, f.wrong, f.models) for f in worst]),
            "worst_confidence": np.array([f.confidence for f in worst]),
            "worst_predicted": np.array([(f.predicted, f.agreed) for f in worst]),
        }
    images = np.stack(list(rows.values()), axis=1)
    return {"images": images, "rows": np.array(list(rows)), **arrays}


def _sampled(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return balanced_subset(labels, _SAMPLES, seed=0)


def worst_misclassified(predictions: Iterable[Predictions]) -> list[Misclassified]:
    """Returns the images that the most models misclassified with the most confidence.

    At most one for each corruption, at its mildest severity among equals, the worst first.

    Args:
        predictions: conditions, correct, confidence and where known predicted of each model, the
            same conditions.
    """
    votes: list[Predictions] = []
    wrong: dict[str, NDArray[np.int64]] = {}
    confidence: dict[str, NDArray[np.float64]] = {}
    models = 0
    for arrays in predictions:
        models += 1
        kept = {"conditions", "correct", _PREDICTED}
        votes.append({name: array for name, array in arrays.items() if name in kept})
        conditions = map(str, arrays["conditions"][1:])
        for name, correct, sure in zip(
            conditions, arrays["correct"], arrays["confidence"], strict=True
        ):
            missed = correct == 0
            wrong[name] = wrong.get(name, 0) + missed
            confidence[name] = confidence.get(name, 0.0) + missed * sure.astype(np.float64)
    found: dict[str, Misclassified] = {}
    for image in _worst_of_each(wrong, confidence, models):
        best = found.get(image.corruption)
        if best is None or _badness(image) > _badness(best):
            found[image.corruption] = image
    worst = sorted(found.values(), key=_badness, reverse=True)[:_WORST]
    return [_with_class(image, votes) for image in worst]


def _with_class(image: Misclassified, votes: Sequence[Predictions]) -> Misclassified:
    """Adds the class that the most of the models which were wrong took the image for."""
    name, taken = f"{image.corruption}/{image.severity}", Counter[int]()
    for arrays in votes:
        row = list(map(str, arrays["conditions"][1:])).index(name)
        if _PREDICTED in arrays and not arrays["correct"][row][image.image]:
            taken[int(arrays[_PREDICTED][row][image.image])] += 1
    if not taken:
        return image
    agreed = max(taken.values())
    predicted = min(each for each, count in taken.items() if count == agreed)
    return replace(image, predicted=predicted, agreed=agreed)


def _worst_of_each(
    wrong: dict[str, NDArray[np.int64]], confidence: dict[str, NDArray[np.float64]], models: int
) -> Iterator[Misclassified]:
    """Yields the worst image of each condition under which any model erred."""
    for name, counts in wrong.items():
        image = int(np.argmax(confidence[name]))
        count = int(counts[image])
        if count:
            corruption, _, severity = name.rpartition("/")
            sure = float(confidence[name][image]) / count
            yield Misclassified(corruption, int(severity), image, count, models, sure)


def _badness(image: Misclassified) -> tuple[float, int]:
    """Orders by the summed confidence, rounded to tenths, then by mildness."""
    return round(image.wrong * image.confidence, 1), -image.severity
