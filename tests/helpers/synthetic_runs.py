"""A finished run as the pipeline would store it, made of random numbers; mypy checks its form."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from synthetic_kinds import (
    CATEGORIES,
    EPOCHS,
    KINDS,
    STEPS,
    Kind,
    landscape,
    make_methods,
    sparsity,
)

from robustbench_zosam.analysis import CellScores, compare_planned, rankings, summarise
from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.report import build_report
from robustbench_zosam.results import VERSION
from robustbench_zosam.results.limits import with_limits
from robustbench_zosam.schema import (
    Cell,
    Flatness,
    HistoryRow,
    MethodFacts,
    Results,
    Robustness,
)

Floats = NDArray[np.float64]
Outcomes = NDArray[np.uint8]


def history(rng: np.random.Generator, kind: Kind) -> list[HistoryRow]:
    rise = 1 - np.exp(-np.arange(1, EPOCHS + 1) / 4)
    return [
        {
            "epoch": i + 1,
            "step": (i + 1) * STEPS // EPOCHS,
            "seconds": round(0.7 * (i + 1) / kind.speed, 3),
            "lr": 0.1,
            "loss": float(2.2 * (1 - rise[i]) + 0.05),
            "validation_accuracy": float(
                min(0.3 + (0.66 + kind.gain) * rise[i] + rng.normal(0, 0.01), 1)
            ),
            "validation_loss": float(
                2.1 * (1 - rise[i]) + 0.18 - kind.gain + rng.normal(0, 0.02) ** 2
            ),
        }
        for i in range(EPOCHS)
    ]


def predictions(
    kind: Kind,
    seed: int,
    corruptions: Sequence[str],
    severities: Sequence[int],
    n: int,
    dense: bool,
) -> tuple[tuple[str, ...], Outcomes]:
    """Correctness with image difficulties and corruption strengths common to all methods."""
    common = np.random.default_rng(0)
    own = np.random.default_rng([seed, len(kind.name), ord(kind.name[0])])
    difficulty, strength = common.normal(0, 1.2, n), common.uniform(0.2, 1.0, len(corruptions))
    ability = 3.2 + 8 * kind.gain + own.normal(0, 0.06) + (0.5 if dense else 0)
    conditions, rows = ["clean/0"], [ability - difficulty + own.logistic(size=n) > 0]
    for name, force in zip(corruptions, strength, strict=True):
        for severity in severities:
            conditions.append(f"{name}/{severity}")
            rows.append(ability - difficulty - force * severity + own.logistic(size=n) > 0)
    return tuple(conditions), np.stack(rows).astype(np.uint8)


def robustness(conditions: Sequence[str], correct: Outcomes) -> Robustness:
    accuracies = [float(row.mean()) for row in correct]
    names = [condition.split("/")[0] for condition in conditions]
    first = 1 if len(names) > 1 else 0
    by_name = {
        name: float(np.mean([a for n, a in zip(names, accuracies, strict=True) if n == name]))
        for name in dict.fromkeys(names[first:])
    }
    worst = min(by_name, key=lambda name: by_name[name])
    mean = float(np.mean(accuracies[first:]))
    found = with_limits({
        "rows": [
            {
                "corruption": name,
                "severity": int(condition.split("/")[1]),
                "n": len(row),
                "accuracy": accuracy,
                "nll": 1.6 * (1 - accuracy),
                "brier": 1.4 * (1 - accuracy),
                "ece": 0.5 * (1 - accuracy),
                "rmsce": 0.6 * (1 - accuracy),
            }
            for condition, name, row, accuracy in zip(
                conditions, names, correct, accuracies, strict=True
            )
        ],
        "clean_accuracy": accuracies[0],
        "mean_corruption_accuracy": mean,
        "mean_corruption_nll": 1.6 * (1 - mean),
        "mean_corruption_brier": 1.4 * (1 - mean),
        "mean_corruption_ece": 0.5 * (1 - mean),
        "mean_corruption_rmsce": 0.6 * (1 - mean),
        "drop": accuracies[0] - mean,
        "worst_corruption": {"name": worst, "accuracy": by_name[worst]},
    })
    assert found is not None
    return found


def flatness(rng: np.random.Generator, kind: Kind) -> tuple[Flatness, Floats]:
    traces = kind.trace * rng.lognormal(0, 0.6, 128) * rng.lognormal(0, 0.08)
    value = float(traces.mean())
    return {
        "method": "exact",
        "images": 512,
        "trace": {"value": value, "se": 1.0, "n": 128},
        "adaptive_trace": {"value": value * 3.1, "se": 1.0, "n": 128},
        "per_layer": {"conv1.weight": 20.0, "stages.0.weight": 40.5, "fc.weight": None},
        "gate": {"passed": True, "max_ratio": 0.0},
    }, traces


def make_cell(
    kind: Kind,
    method: MethodFacts,
    seed: int,
    suite: tuple[Sequence[str], Sequence[int], int],
    *,
    flat: bool,
    slices: bool,
) -> tuple[Cell, CellScores]:
    dense = method["sparsity"] == 0
    rng = np.random.default_rng([seed, len(method["id"]), ord(method["id"][0])])
    conditions, correct = predictions(kind, seed, *suite, dense)
    epochs = history(rng, kind)
    facts, traces = flatness(rng, kind) if flat else (None, None)
    seconds = epochs[-1]["seconds"] * rng.lognormal(0, 0.03)
    cell: Cell = {
        "schema": VERSION,
        "id": f"{method['id']}-seed{seed}-1a2b3c4d",
        "method": method["id"],
        "seed": seed,
        "status": "done",
        "training": {
            "epochs": EPOCHS,
            "steps": STEPS,
            "batch_size": 64,
            "history": epochs,
            "cost": {
                "forwards": int(STEPS * kind.forwards),
                "backwards": int(STEPS * kind.backwards),
                "steps": STEPS,
                "seconds": seconds,
                "images_per_second": STEPS * 64 / seconds,
                "peak_memory_bytes": None,
            },
        },
        "sparsity": sparsity(dense),
        "robustness": robustness(conditions, correct),
        "flatness": facts,
        "landscape": landscape(rng, kind) if slices else None,
    }
    return cell, CellScores(seed, conditions, correct, traces, traces)


def make_results(
    kinds: int = 5,
    seeds: int = 3,
    corruptions: int = 19,
    n: int = 539,
    flat: bool = True,
    slices: bool = True,
    dense: bool = True,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    grid: dict[str, list[float]] | None = None,
) -> Results:
    names = list(CATEGORIES)[:corruptions]
    methods = make_methods(KINDS[:kinds], seeds, dense, grid)
    by_name = {kind.name: kind for kind in KINDS}
    cells: list[Cell] = []
    scores: dict[str, list[CellScores]] = {}
    for method in methods:
        for seed in range(seeds):
            cell, scored = make_cell(
                by_name[method["optimizer"]],
                method,
                seed,
                (names, severities, n),
                flat=flat,
                slices=slices,
            )
            cells.append(cell)
            scores.setdefault(method["id"], []).append(scored)
    results: Results = {
        "schema": VERSION,
        "title": f"digits: {len(methods)} methods × {seeds} seeds",
        "config": {
            "training": {"epochs": EPOCHS, "lr": 0.1},
            "seeds": list(range(seeds)),
            "report": {"focus": "zo-sam"},
        },
        "provenance": {
            "finished": "2026-01-01T00:00:00Z",
            "command": "zosam-robust evaluate --config digits.toml --out run",
            "versions": {"python": "3.11.7", "torch": "2.15.0"},
            "commit": "0123456789abcdef",
            "dirty": False,
            "hardware": {"cpu": "A", "cores": 2, "memory_bytes": 8 * 2**30, "devices": ["cpu"]},
            "workers": 2,
            "seconds": 171.2,
        },
        "data": {
            "name": "digits",
            "title": "scikit-learn digits, 32×32 RGB",
            "classes": [str(i) for i in range(10)],
            "counts": {"train": 1078, "validation": 180, "test": n},
            "fingerprint": "ab" * 32,
            "partial": None,
        },
        "suite": {
            "name": "digits-c",
            "source": "generated",
            "preset": "cifar",
            "seed": 0,
            "corruptions": names,
            "severities": list(severities),
            "categories": {name: CATEGORIES[name] for name in names},
            "left_out": [],
        },
        "methods": methods,
        "cells": cells,
        "failures": [],
        "summary": summarise(methods, cells),
        "comparisons": compare_planned(methods, scores),
        "ranking": rankings(methods, scores),
        "claims": [],
    }
    results["claims"] = evaluate_claims(results)
    return results


def write_run(folder: Path, results: Results) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, allow_nan=False), encoding="utf-8")
    rng = np.random.default_rng(0)
    shapes = np.zeros((4, 32, 32, 3))
    shapes[:, 6:26, 10:22] = 180
    rows = ["clean", *results["suite"]["corruptions"]]
    count = len(results["suite"]["severities"])
    strength = 15 * np.arange(1, count + 1)[:, None, None, None]
    noise = strength * rng.normal(0, 1, (4, len(rows), count, 32, 32, 1))
    noise[:, 0] = 0  # clean
    shown = np.clip(shapes[:, None, None] + noise, 0, 255).astype(np.uint8)
    np.savez_compressed(
        folder / "gallery.npz",
        images=shown,
        rows=np.array(rows),
        worst_images=shown[0, 1:3, 0],
        worst_labels=np.array([3, 8])[: len(rows) - 1],
        worst_corruptions=np.array(rows[1:3]),
        worst_counts=np.array([(1, 5, 6), (1, 4, 6)])[: len(rows) - 1],
        worst_confidence=np.array([0.93, 0.81])[: len(rows) - 1],
    )
    return folder


def multiply(results: Results, count: int) -> Results:
    """Makes more methods of the last one, with the same numbers; comparisons follow."""
    pattern = results["methods"][-1]
    cells = [cell for cell in results["cells"] if cell["method"] == pattern["id"]]
    comparisons = [each for each in results["comparisons"] if each["method"] == pattern["id"]]
    for i in range(count - len(results["methods"])):
        name = f"{pattern['id']}-{i}"
        clone: MethodFacts = {**pattern, "id": name, "label": f"Method {i:02} · RigL 90 %"}
        results["methods"].append(clone)
        results["cells"] += [
            {**cell, "id": f"{name}-seed{cell['seed']}-1a2b3c4d", "method": name} for cell in cells
        ]
        results["comparisons"] += [{**each, "method": name} for each in comparisons]
        results["summary"][name] = results["summary"][pattern["id"]]
    return results


def build(folder: Path, results: Results) -> Path:
    """Stores results and makes their page."""
    return build_report(write_run(folder, results))
