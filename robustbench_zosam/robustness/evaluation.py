"""One model on the clean test images and on every condition of a suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robustbench_zosam.data.dataset import Labels, Split
from robustbench_zosam.data.pixels import Images, Pixels
from robustbench_zosam.models.predict import predict_logits
from robustbench_zosam.robustness.metrics import Metrics, Scored, measure
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.robustness.references import find_reference, relative_errors

if TYPE_CHECKING:
    from corruptions.suites import Suite

_MEANS = ("accuracy", "nll", "brier", "ece", "rmsce")
_BLOCK = 1000  # images read at a time


@dataclass(frozen=True)
class Evaluation:
    """What a model did on all conditions.

    Attributes:
        conditions: "clean/0", then "<corruption>/<severity>".
        metrics: of each condition.
        correct: whether each image was right, (n,) for each condition; the clean set may have
            another n.
        confidence: probability of the predicted class, likewise.
    """

    conditions: tuple[str, ...]
    metrics: tuple[Metrics, ...]
    correct: tuple[NDArray[np.bool_], ...]
    confidence: tuple[NDArray[np.float16], ...]

    def summary(self, categories: dict[str, str], reference: str = "none") -> dict[str, Any]:
        """Returns rows and means, as JSON values.

        Args:
            categories: corruption to category.
            reference: whose errors mCE divides by, see `find_reference`.

        Returns:
            `rows` (one per condition) and means over all corruptions and severities, each
            corruption and severity weighing the same; `relative` has the errors in units of the
            reference's, None without one.
        """
        rows = [_row(name, m) for name, m in zip(self.conditions, self.metrics, strict=True)]
        clean, corrupted = rows[0], rows[1:]
        names = list(dict.fromkeys(row["corruption"] for row in corrupted))
        by_name = {name: _mean(corrupted, "accuracy", corruption=name) for name in names}
        worst = min(by_name, key=lambda name: by_name[name])
        means = {f"mean_corruption_{key}": _mean(corrupted, key) for key in _MEANS}
        groups = dict.fromkeys(categories[name] for name in names)
        severities = sorted({row["severity"] for row in corrupted})
        yardstick = find_reference(reference)
        relative = yardstick and relative_errors(rows, yardstick)
        return {
            "rows": rows,
            "clean_accuracy": clean["accuracy"],
            **means,
            "mean_corruption_error": 1 - means["mean_corruption_accuracy"],
            "relative": asdict(relative) if relative else None,
            "drop": clean["accuracy"] - means["mean_corruption_accuracy"],
            "worst_corruption": {"name": worst, "accuracy": by_name[worst]},
            "by_category": {
                group: fmean(by_name[name] for name in names if categories[name] == group)
                for group in groups
            },
            "by_severity": {str(s): _mean(corrupted, "accuracy", severity=s) for s in severities},
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
    names, scores = [], list[Scored]()
    for done, (name, batches) in enumerate(_conditions(test, found)):
        on_progress(done, total)
        names.append(name)
        scores.append(_score(model, batches, device))
    on_progress(total, total)
    return Evaluation(
        tuple(names),
        tuple(scored.metrics for scored in scores),
        tuple(scored.correct for scored in scores),
        tuple(scored.confidence.astype(np.float16) for scored in scores),
    )


def _conditions(test: Split, suite: Suite) -> Iterator[tuple[str, Iterable[tuple[Pixels, Labels]]]]:
    yield "clean/0", [(test.images, test.labels)]
    for corruption in suite.corruptions:
        for severity in suite.severities:
            batches = suite.batches(corruption, severity, _BLOCK)
            yield f"{corruption}/{severity}", ((_channels_first(x), y) for x, y in batches)


def _channels_first(images: Images) -> Images:
    return np.ascontiguousarray(np.moveaxis(images, 3, 1))


def _score(
    model: nn.Module, batches: Iterable[tuple[Pixels, Labels]], device: torch.device
) -> Scored:
    logits, labels = [], []
    for images, own in batches:
        logits.append(predict_logits(model, images, device).numpy())
        labels.append(own)
    return measure(np.concatenate(logits), np.concatenate(labels))


def _row(condition: str, metrics: Metrics) -> dict[str, Any]:
    corruption, severity = condition.split("/")
    return {"corruption": corruption, "severity": int(severity), **asdict(metrics)}


def _mean(rows: list[dict[str, Any]], key: str, **only: Any) -> float:
    return fmean(row[key] for row in rows if all(row[k] == v for k, v in only.items()))
