"""Flatness of trained models, side by side on the same images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from robustbench_zosam.arrays import write_arrays
from robustbench_zosam.config import FlatnessConfig
from robustbench_zosam.files import write_json
from robustbench_zosam.flatness import CAVEATS
from robustbench_zosam.landscape.export import write_csv
from robustbench_zosam.measurement.curvature import measure_curvature
from robustbench_zosam.measurement.trained_models import TrainedModels, about
from robustbench_zosam.privacy import redacted
from robustbench_zosam.provenance import versions
from robustbench_zosam.schema import Flatness, FlatnessFile, LayeredMean, PairedModels
from robustbench_zosam.statistics import bootstrap_difference

Arrays = dict[str, np.ndarray]
_Row = tuple[str, float | None, float | None]
_PAIRED = ("trace", "adaptive_trace")


def measure_flatness_of(
    trained: TrainedModels,
    settings: FlatnessConfig,
    on_progress: Callable[[int, int], None],
) -> tuple[FlatnessFile, dict[str, Arrays]]:
    """Returns what is measured of all models as strict JSON values, and arrays by model."""
    found: dict[str, Flatness] = {}
    arrays: dict[str, Arrays] = {}
    count = len(trained.models)
    for index, (name, checkpoint) in enumerate(trained.models.items()):

        def report(done: int, total: int, index: int = index) -> None:
            on_progress(index * total + done, count * total)

        with about(name):
            found[name], arrays[name] = measure_curvature(
                checkpoint.model,
                trained.images,
                trained.labels,
                trained.masks(name),
                settings,
                report,
            )
        found[name].pop("caveats", None)  # once for all, below
    return {
        "data": trained.data.name,
        "split": trained.split,
        "images": len(trained.labels),
        "images_sha256": image_hash(trained),
        "settings": settings.model_dump(mode="json"),
        "models": found,
        "pairs": paired(arrays, settings.seed),
        "caveats": list(CAVEATS),
        "versions": versions(),
    }, arrays


def image_hash(trained: TrainedModels) -> str:
    """Returns a sha256 of the images and labels, to tell whether two results share them."""
    digest = hashlib.sha256(trained.images.cpu().numpy().tobytes())
    digest.update(trained.labels.cpu().numpy().tobytes())
    return digest.hexdigest()


def paired(arrays: Mapping[str, Arrays], seed: int) -> list[PairedModels]:
    """Returns differences between every two models, with 95 % bootstrap intervals over images.

    Conditional on the two trained models. Methods that do not resolve images have none.
    """
    rows: list[PairedModels] = []
    for first, second in combinations(arrays, 2):
        for measure in _PAIRED:
            a, b = (arrays[name].get(f"{measure}_per_image") for name in (first, second))
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


def write_flatness(out: Path, found: FlatnessFile, arrays: Mapping[str, Arrays]) -> None:
    """Writes OUT/flatness.json, OUT/flatness.csv and OUT/flatness.npz with MODEL/ARRAY in it."""
    write_json(out / "flatness.json", redacted(found))
    rows = [(name, *row) for name, facts in found["models"].items() for row in _rows(facts)]
    columns = ("model", "measure", "value", "se")
    write_csv(out / "flatness.csv", {c: [row[i] for row in rows] for i, c in enumerate(columns)})
    flat = {f"{name}/{key}": v for name, held in arrays.items() for key, v in held.items()}
    write_arrays(out / "flatness.npz", **flat)


def _rows(facts: Flatness) -> list[_Row]:
    """Returns measure, value and standard error."""
    rows: list[_Row] = [
        ("loss", facts["loss"], None),
        ("accuracy", facts["accuracy"], None),
        ("trace_per_parameter", facts["trace_per_parameter"], None),
        *_mean("trace", facts["trace"]),
        *_mean("adaptive_trace", facts["adaptive_trace"]),
        *_mean("fisher_model", facts["fisher_model"]),
        *_mean("fisher_empirical", facts["fisher_empirical"]),
    ]
    rows += [(f"trace {layer}", value, None) for layer, value in facts["per_layer"].items()]
    if "with_pruned_directions" in facts:
        rows += _mean("trace with pruned directions", facts["with_pruned_directions"]["trace"])
    if "spectrum" in facts:
        spectrum = facts["spectrum"]
        rows += [(f"lambda_{i + 1}", v, None) for i, v in enumerate(spectrum["values"])]
        rows.append(("lambda_min", spectrum["smallest"], None))
    if "sharpness" in facts:
        for one in facts["sharpness"]["measures"]:
            unit = one["logit_normalised"]
            rows.append((one["name"], one["value"], one["se"]))
            rows.append((f"{one['name']} logit-normalised", unit["value"], unit["se"]))
    return rows


def _mean(name: str, mean: LayeredMean | None) -> list[_Row]:
    return [(name, mean["value"], mean["se"])] if mean else []
