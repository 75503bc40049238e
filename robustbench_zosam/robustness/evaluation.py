"""One model on the clean test images and on every condition of a suite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robustbench_zosam.data.dataset import Labels, Split
from robustbench_zosam.data.pixels import Images, Pixels
from robustbench_zosam.metrics import LabelledPredictions, score
from robustbench_zosam.models.predict import predict_logits
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.robustness.references import find_reference, relative_errors
from robustbench_zosam.schema import ConditionScores, MeanScores, RobustnessScores, Scores

if TYPE_CHECKING:
    from corruptions.suites import Suite

K = TypeVar("K", bound=Hashable)
Classes = NDArray[np.uint8] | NDArray[np.uint16]
_BLOCK = 1000  # images read at a time
_LARGEST = 60_000  # nats, which half precision holds


@dataclass(frozen=True)
class Evaluation:
    """What a model did on all conditions.

    Attributes:
        conditions: "clean/0", then "<corruption>/<severity>".
        metrics: of each condition, by name.
        correct: whether each image was right, (n,) for each condition; the clean set may have
            another n.
        confidence: probability of the predicted class, likewise.
        predicted: the predicted class, likewise.
        nll: negative log-likelihood of the true class, which is its probability in half the space.
        brier: squared distance to the one-hot label, likewise.
        labels: of the clean images, and of those of the suite.
    """

    conditions: tuple[str, ...]
    metrics: tuple[dict[str, float], ...]
    correct: tuple[NDArray[np.bool_], ...]
    confidence: tuple[NDArray[np.float16], ...]
    predicted: tuple[Classes, ...]
    nll: tuple[NDArray[np.float16], ...]
    brier: tuple[NDArray[np.float16], ...]
    labels: tuple[Classes, Classes]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Returns what `predictions.npz` holds: of clean images, and of the conditions, stacked."""
        found: dict[str, NDArray[np.generic]] = {"conditions": np.array(self.conditions)}
        for name in ("correct", "confidence", "predicted", "nll", "brier"):
            clean, *corrupted = getattr(self, name)
            found[f"clean_{name}"] = _as_stored(clean)
            found[name] = _as_stored(np.stack(corrupted))
        found["clean_labels"], found["labels"] = self.labels
        return found

    def rows(self) -> list[ConditionScores]:
        """Returns the metrics of each condition, the clean one first."""
        found: list[ConditionScores] = []
        for condition, metrics, correct in zip(
            self.conditions, self.metrics, self.correct, strict=True
        ):
            corruption, severity = condition.split("/")
            scores = cast("Scores", metrics)  # the metric table, plug-ins included, fills it
            found.append({
                "corruption": corruption,
                "severity": int(severity),
                **scores,
                "n": len(correct),
            })
        return found

    def summary(self, categories: dict[str, str], reference: str = "none") -> RobustnessScores:
        """Returns the rows, and means in which each corruption and severity weighs the same.

        Args:
            categories: corruption to category.
            reference: whose errors mCE divides by, see `find_reference`.
        """
        rows, yardstick = self.rows(), find_reference(reference)
        clean, *corrupted = self.metrics
        accuracies = [
            (row["corruption"], row["severity"], metrics["accuracy"])
            for row, metrics in zip(rows[1:], corrupted, strict=True)
        ]
        by_name = _means((name, accuracy) for name, _, accuracy in accuracies)
        by_category = _means((categories[name], accuracy) for name, accuracy in by_name.items())
        by_severity = _means((severity, accuracy) for _, severity, accuracy in accuracies)
        worst = min(by_name, key=lambda name: by_name[name])
        means = {
            f"mean_corruption_{key}": fmean(metrics[key] for metrics in corrupted) for key in clean
        }
        mean = means["mean_corruption_accuracy"]
        return {
            "rows": rows,
            "clean_accuracy": clean["accuracy"],
            **cast("MeanScores", means),  # one for each entry of the metric table
            "mean_corruption_error": 1 - mean,
            "relative": relative_errors(rows, yardstick) if yardstick else None,
            "drop": clean["accuracy"] - mean,
            "worst_corruption": {"name": worst, "accuracy": by_name[worst]},
            "by_category": by_category,
            "by_severity": {str(key): value for key, value in sorted(by_severity.items())},
        }


def evaluate(
    model: nn.Module,
    test: Split,
    suite: Suite | SuitePlan,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluates a model on clean and corrupted test images.

    Args:
        model: a classifier on `device`, taking images in [0, 1].
        test: the clean test images.
        suite: corrupted images with labels of their own, read piece by piece.
        device: where to compute.
        on_progress: called with (conditions done, conditions in all).

    Returns:
        Metrics and the correctness of every image under every condition.
    """
    found = suite.open() if isinstance(suite, SuitePlan) else suite
    total = 1 + len(found.corruptions) * len(found.severities)
    names, metrics, labels = [], [], []
    each: dict[str, list[NDArray[Any]]] = defaultdict(list)
    for done, (name, batches) in enumerate(_conditions(test, found)):
        on_progress(done, total)
        predictions = _predict(model, batches, device)
        names.append(name)
        metrics.append(score(predictions))
        each["correct"].append(predictions.correct)
        each["confidence"].append(predictions.confidence.astype(np.float16))
        each["predicted"].append(_classes(predictions.predicted, predictions.logits.shape[1]))
        each["nll"].append(np.minimum(predictions.losses, _LARGEST).astype(np.float16))
        each["brier"].append(predictions.squared_distances.astype(np.float16))
        labels.append(_classes(predictions.labels, predictions.logits.shape[1]))
    on_progress(total, total)
    return Evaluation(
        tuple(names),
        tuple(metrics),
        **{name: tuple(values) for name, values in each.items()},
        labels=(labels[0], labels[-1]),
    )


def _classes(found: NDArray[np.int64], count: int) -> Classes:
    """Returns classes in one byte, or two where there are more than 256."""
    return found.astype(np.uint8) if count <= 2**8 else found.astype(np.uint16)


def _as_stored(values: NDArray[Any]) -> NDArray[np.generic]:
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def _conditions(test: Split, suite: Suite) -> Iterator[tuple[str, Iterable[tuple[Pixels, Labels]]]]:
    yield "clean/0", [(test.images, test.labels)]
    for corruption in suite.corruptions:
        for severity in suite.severities:
            batches = suite.batches(corruption, severity, _BLOCK)
            yield f"{corruption}/{severity}", ((_channels_first(x), y) for x, y in batches)


def _channels_first(images: Images) -> Images:
    return np.ascontiguousarray(np.moveaxis(images, 3, 1))


def _predict(
    model: nn.Module, batches: Iterable[tuple[Pixels, Labels]], device: torch.device
) -> LabelledPredictions:
    logits, labels = [], []
    for images, own in batches:
        logits.append(predict_logits(model, images, device).numpy())
        labels.append(own)
    return LabelledPredictions(np.concatenate(logits), np.concatenate(labels))


def _means(pairs: Iterable[tuple[K, float]]) -> dict[K, float]:
    """Returns the mean of each key's values."""
    groups = defaultdict[K, list[float]](list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: fmean(values) for key, values in groups.items()}
