"""One model on the clean test images and on every condition of a suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robustbench_zosam.data.dataset import Images, Split
from robustbench_zosam.models.predict import predict_logits
from robustbench_zosam.robustness.metrics import Metrics, measure
from robustbench_zosam.robustness.plan import SuitePlan

_MEANS = ("accuracy", "nll", "brier", "ece")


@dataclass(frozen=True)
class Evaluation:
    """What a model did on all conditions.

    Attributes:
        conditions: "clean/0", then "<corruption>/<severity>".
        metrics: of each condition.
        correct: whether each image was right, (conditions, n).
        confidence: probability of the predicted class, (conditions, n).
    """

    conditions: tuple[str, ...]
    metrics: tuple[Metrics, ...]
    correct: NDArray[np.bool_]
    confidence: NDArray[np.float16]

    def summary(self, categories: dict[str, str]) -> dict[str, Any]:
        """Returns rows and means, as JSON values.

        Args:
            categories: corruption to category.

        Returns:
            `rows` (one per condition) and means over all corruptions and severities, each
            corruption and severity weighing the same.
        """
        rows = [_row(name, m) for name, m in zip(self.conditions, self.metrics, strict=True)]
        clean, corrupted = rows[0], rows[1:]
        names = list(dict.fromkeys(row["corruption"] for row in corrupted))
        by_name = {name: _mean(corrupted, "accuracy", corruption=name) for name in names}
        worst = min(by_name, key=lambda name: by_name[name])
        means = {f"mean_corruption_{key}": _mean(corrupted, key) for key in _MEANS}
        groups = dict.fromkeys(categories[name] for name in names)
        severities = sorted({row["severity"] for row in corrupted})
        return {
            "rows": rows,
            "clean_accuracy": clean["accuracy"],
            **means,
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
    suite: SuitePlan,
    device: torch.device,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluates a model on clean and corrupted test images.

    Args:
        model: a classifier on `device`, taking images in [0, 1].
        test: the clean test images.
        suite: its corrupted copies, in the same order.
        device: where to compute.
        on_progress: called with (conditions done, conditions in all).

    Returns:
        Metrics and the correctness of every image under every condition.
    """
    total = 1 + len(suite.corruptions) * len(suite.severities)
    names, metrics, correct, confidence = [], [], [], []
    for done, (name, images) in enumerate(_conditions(test, suite)):
        on_progress(done, total)
        scored = measure(predict_logits(model, images, device).numpy(), test.labels)
        names.append(name)
        metrics.append(scored.metrics)
        correct.append(scored.correct)
        confidence.append(scored.confidence.astype(np.float16))
    on_progress(total, total)
    return Evaluation(tuple(names), tuple(metrics), np.stack(correct), np.stack(confidence))


def _conditions(test: Split, suite: SuitePlan) -> Iterator[tuple[str, Images]]:
    yield "clean/0", test.images
    for corruption in suite.corruptions:
        for severity in suite.severities:
            images = np.ascontiguousarray(suite.images(corruption, severity))
            yield f"{corruption}/{severity}", images


def _row(condition: str, metrics: Metrics) -> dict[str, Any]:
    corruption, severity = condition.split("/")
    return {"corruption": corruption, "severity": int(severity), **asdict(metrics)}


def _mean(rows: list[dict[str, Any]], key: str, **only: Any) -> float:
    return fmean(row[key] for row in rows if all(row[k] == v for k, v in only.items()))
