"""Flatness of trained models, side by side on the same images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from robustbench_zosam.config import FlatnessConfig
from robustbench_zosam.files import write_arrays, write_json
from robustbench_zosam.flatness import CAVEATS
from robustbench_zosam.landscape.export import write_csv
from robustbench_zosam.measurement.curvature import measure_curvature
from robustbench_zosam.measurement.trained_models import Subjects, about
from robustbench_zosam.provenance import versions
from robustbench_zosam.statistics import bootstrap_difference

Arrays = dict[str, np.ndarray]
_PAIRED = {"trace": "trace_per_image", "adaptive_trace": "adaptive_trace_per_image"}


def measure_flatness_of(
    subjects: Subjects,
    settings: FlatnessConfig,
    on_progress: Callable[[int, int], None],
) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Measures all models.

    Args:
        on_progress: called with (measures done, measures in all).

    Returns:
        Strict JSON values, and arrays by model.
    """
    found: dict[str, dict[str, Any]] = {}
    arrays: dict[str, Arrays] = {}
    count = len(subjects.models)
    for index, (name, checkpoint) in enumerate(subjects.models.items()):

        def report(done: int, total: int, index: int = index) -> None:
            on_progress(index * total + done, count * total)

        with about(name):
            found[name], arrays[name] = measure_curvature(
                checkpoint.model,
                subjects.images,
                subjects.labels,
                subjects.masks(name),
                settings,
                report,
            )
        found[name].pop("caveats", None)  # once for all, below
    return {
        "data": subjects.data.name,
        "split": subjects.split,
        "images": len(subjects.labels),
        "images_sha256": image_hash(subjects),
        "settings": settings.model_dump(mode="json"),
        "models": found,
        "pairs": paired(arrays, settings.seed),
        "caveats": [{"text": c.text, "source": c.source} for c in CAVEATS],
        "versions": versions(),
    }, arrays


def image_hash(subjects: Subjects) -> str:
    """Returns a sha256 of the images and labels, to tell whether two results share them."""
    digest = hashlib.sha256(subjects.images.cpu().numpy().tobytes())
    digest.update(subjects.labels.cpu().numpy().tobytes())
    return digest.hexdigest()


def paired(arrays: dict[str, Arrays], seed: int) -> list[dict[str, Any]]:
    """Compares every two models image by image.

    Args:
        arrays: per-image values by model; a method that does not resolve images has none.

    Returns:
        Differences, first minus second, with 95 % bootstrap intervals over images, conditional on
        the two trained models.
    """
    rows = []
    for first, second in combinations(arrays, 2):
        for measure, key in _PAIRED.items():
            a, b = arrays[first].get(key), arrays[second].get(key)
            if a is None or b is None:
                continue
            found = bootstrap_difference(a[None], b[None], seed=seed)
            rows.append({
                "first": first,
                "second": second,
                "measure": measure,
                "mean": found.difference,
                "ci95": [found.low, found.high],
                "images": found.n,
            })
    return rows


def write_flatness(out: Path, found: dict[str, Any], arrays: dict[str, Arrays]) -> None:
    """Writes OUT/flatness.json, OUT/flatness.csv and OUT/flatness.npz.

    Args:
        arrays: by model; in the file their names are MODEL/ARRAY.
    """
    write_json(out / "flatness.json", found)
    rows = [row for name, facts in found["models"].items() for row in _rows(name, facts)]
    columns = ("model", "measure", "value", "se")
    write_csv(out / "flatness.csv", {c: [row[i] for row in rows] for i, c in enumerate(columns)})
    flat = {f"{name}/{key}": v for name, held in arrays.items() for key, v in held.items()}
    write_arrays(out / "flatness.npz", **flat)


def _rows(name: str, facts: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    plain = [(key, facts[key], None) for key in ("loss", "accuracy", "trace_per_parameter")]
    means = ("trace", "adaptive_trace", "fisher_model", "fisher_empirical")
    plain += [(key, facts[key]["value"], facts[key]["se"]) for key in means if facts[key]]
    plain += [(f"trace {layer}", value, None) for layer, value in facts["per_layer"].items()]
    if wide := facts.get("with_pruned_directions"):
        trace = wide["trace"]
        plain.append(("trace with pruned directions", trace["value"], trace["se"]))
    if spectrum := facts.get("spectrum"):
        plain += [(f"lambda_{i + 1}", v, None) for i, v in enumerate(spectrum["values"])]
        plain.append(("lambda_min", spectrum["smallest"], None))
    for one in (facts.get("sharpness") or {}).get("measures", ()):
        unit = one["logit_normalised"]
        plain.append((one["name"], one["value"], one["se"]))
        plain.append((f"{one['name']} logit-normalised", unit["value"], unit["se"]))
    return [(name, *row) for row in plain]
