"""A finished run as the pipeline would store it, made of random numbers."""

import json

import numpy as np

from robustbench_zosam.analysis import CellScores, compare_planned, rankings, summarise
from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.report import build_report
from robustbench_zosam.results import VERSION
from robustbench_zosam.results.limits import with_limits

GROUPS = {
    "noise": "gaussian_noise shot_noise impulse_noise",
    "blur": "defocus_blur glass_blur motion_blur zoom_blur",
    "weather": "snow frost fog brightness",
    "digital": "contrast elastic_transform pixelate jpeg_compression",
    "extra": "speckle_noise gaussian_blur spatter saturate",
}
CATEGORIES = {name: group for group, names in GROUPS.items() for name in names.split()}
# name, label, role, gain in accuracy, trace, forwards and backwards per step, relative speed
KINDS = (
    ("sgd", "SGD", "baseline", 0.0, 90.0, 1, 1, 1.0),
    ("random-perturbation", "Random perturbation", "control", 0.006, 76.0, 1, 1, 0.96),
    ("sam", "SAM", "method", 0.02, 41.0, 2, 2, 0.51),
    ("zo-sam", "ZO-SAM", "method", 0.013, 66.0, 3, 1, 0.66),
    ("s2-sam", "S²-SAM", "control", 0.007, 70.0, 1, 1, 0.97),
    ("asam", "ASAM", "method", 0.018, 45.0, 2, 2, 0.5),
    ("gsam", "GSAM", "method", 0.019, 43.0, 2, 2, 0.5),
    ("looksam", "LookSAM", "method", 0.011, 55.0, 1.2, 1.2, 0.83),
    ("esam", "ESAM", "method", 0.012, 50.0, 2, 1.5, 0.55),
    ("friendly-sam", "Friendly SAM", "method", 0.02, 42.0, 2, 2, 0.5),
    ("xsam", "XSAM", "method", 0.021, 40.0, 2, 2, 0.5),
)


def method(kind, seeds, dense=False):
    name, label, role = kind[:3]
    return {
        "id": f"{name}-dense" if dense else f"{name}-rigl-0.9",
        "label": f"{label} · dense" if dense else f"{label} · RigL 90 %",
        "optimizer": name,
        "options": {},
        "sparsifier": "dense" if dense else "rigl",
        "sparsity": 0.0 if dense else 0.9,
        "seeds": list(seeds),
        "kind": "trained",
        "role": "reference" if dense else role,
    }


def history(rng, gain, speed, epochs=20):
    steps = np.arange(1, epochs + 1) * 17
    rise = 1 - np.exp(-np.arange(1, epochs + 1) / 4)
    return [
        {
            "epoch": i + 1,
            "step": int(steps[i]),
            "seconds": round(float(0.7 * (i + 1) / speed), 3),
            "lr": 0.1,
            "loss": float(2.2 * (1 - rise[i]) + 0.05),
            "validation_accuracy": float(
                min(0.3 + (0.66 + gain) * rise[i] + rng.normal(0, 0.01), 1)
            ),
            "validation_loss": float(2.1 * (1 - rise[i]) + 0.18 - gain + rng.normal(0, 0.02) ** 2),
        }
        for i in range(epochs)
    ]


def predictions(kind, seed, corruptions, severities, n, dense):
    """Correctness with image difficulties and corruption strengths common to all methods."""
    common, own = (
        np.random.default_rng(0),
        np.random.default_rng([seed, len(kind[0]), ord(kind[0][0])]),
    )
    difficulty, strength = common.normal(0, 1.2, n), common.uniform(0.2, 1.0, len(corruptions))
    ability = 3.2 + 8 * kind[3] + own.normal(0, 0.06) + (0.5 if dense else 0)
    conditions, rows = ["clean/0"], [ability - difficulty + own.logistic(size=n) > 0]
    for name, force in zip(corruptions, strength, strict=True):
        for severity in severities:
            conditions.append(f"{name}/{severity}")
            rows.append(ability - difficulty - force * severity + own.logistic(size=n) > 0)
    return tuple(conditions), np.stack(rows).astype(np.uint8)


def robustness(conditions, correct):
    scale = {"nll": 1.6, "brier": 1.4, "ece": 0.5, "rmsce": 0.6}
    rows = [
        {"corruption": c.split("/")[0], "severity": int(c.split("/")[1]), "n": len(r)}
        | {"accuracy": float(r.mean())}
        | {key: float(factor * (1 - r.mean())) for key, factor in scale.items()}
        for c, r in zip(conditions, correct, strict=True)
    ]
    corrupted = rows[1:] or rows
    names = dict.fromkeys(r["corruption"] for r in corrupted)
    mean = {k: float(np.mean([r[k] for r in corrupted])) for k in ("accuracy", *scale)}
    by_name = {
        c: float(np.mean([r["accuracy"] for r in corrupted if r["corruption"] == c])) for c in names
    }
    worst = min(by_name, key=by_name.get)
    return {
        "rows": rows,
        "clean_accuracy": rows[0]["accuracy"],
        **{f"mean_corruption_{k}": v for k, v in mean.items()},
        "drop": rows[0]["accuracy"] - mean["accuracy"],
        "worst_corruption": {"name": worst, "accuracy": by_name[worst]},
    }


def flatness(rng, kind):
    traces = kind[4] * rng.lognormal(0, 0.6, 128) * rng.lognormal(0, 0.08)
    found = {"value": float(traces.mean()), "se": 1.0, "n": 128}
    per_layer = {"conv1.weight": 20.0, "stages.0.weight": 40.5, "fc.weight": None}
    facts = {"method": "exact", "trace": found, "per_layer": per_layer, "images": 512}
    adaptive = found | {"value": found["value"] * 3.1}
    return facts | {"adaptive_trace": adaptive, "gate": {"passed": True, "max_ratio": 0.0}}, traces


def landscape(rng, kind):
    x = np.linspace(-1, 1, 41)
    lines = [0.05 + kind[4] / 15 * rng.lognormal(0, 0.25) * np.abs(x) ** 1.8 for _ in range(5)]
    grid = np.linspace(-1, 1, 21)
    plane = 0.05 + kind[4] / 15 * (
        grid[:, None] ** 2 * 1.2 + grid[None] ** 2 + 0.5 * grid[:, None] * grid[None]
    )
    return {
        "line": {
            "positions": x.tolist(),
            "losses": [line.tolist() for line in lines],
            "accuracies": [np.exp(-line / 3).tolist() for line in lines],
            "summary": {"half_width": float(3 / kind[4] ** 0.5)},
        },
        "plane": {"positions": grid.tolist(), "losses": plane.tolist(), "summary": {}},
        "norm": "filter",
        "images": 256,
    }


def layers(dense):
    names = (
        ("conv1.weight", 432, False),
        ("stages.0.weight", 2304, True),
        ("fc.weight", 640, False),
    )
    rows = []
    for name, size, maskable in names:
        active = size // 10 if maskable and not dense else size
        rows.append({"name": name, "size": size, "active": active, "density": active / size})
    return {"maskable": 0.0 if dense else 0.9, "total": 0.0 if dense else 0.62, "layers": rows}


def make_cell(kind, facts, seed, corruptions, severities, n, measure_flatness, measure_landscape):
    dense = facts["sparsity"] == 0
    rng = np.random.default_rng([seed, len(facts["id"]), ord(facts["id"][0])])
    conditions, correct = predictions(kind, seed, corruptions, severities, n, dense)
    rows = history(rng, kind[3], kind[7])
    flat, traces = flatness(rng, kind) if measure_flatness else (None, None)
    cost = {"forwards": int(340 * kind[5]), "backwards": int(340 * kind[6]), "steps": 340}
    cost |= {"seconds": rows[-1]["seconds"] * rng.lognormal(0, 0.03), "peak_memory_bytes": None}
    cost["images_per_second"] = 340 * 64 / cost["seconds"]
    cell = {
        "schema": VERSION,
        "id": f"{facts['id']}-seed{seed}-1a2b3c4d",
        "method": facts["id"],
        "seed": seed,
        "status": "done",
        "training": {"epochs": 20, "steps": 340, "batch_size": 64, "history": rows, "cost": cost},
        "sparsity": layers(dense),
        "robustness": with_limits(robustness(conditions, correct)),
        "flatness": flat,
        "landscape": landscape(rng, kind) if measure_landscape else None,
    }
    return cell, CellScores(seed, conditions, correct, traces, traces)


def make_results(
    kinds=5,
    seeds=3,
    corruptions=19,
    n=539,
    flat=True,
    slices=True,
    dense=True,
    severities=(1, 2, 3, 4, 5),
):
    names = list(CATEGORIES)[:corruptions]
    pairs = [(kind, method(kind, range(seeds))) for kind in KINDS[:kinds]]
    if dense:
        pairs.insert(0, (KINDS[0], method(KINDS[0], range(seeds), dense=True)))
    methods = [facts for _, facts in pairs]
    cells, scores = [], {facts["id"]: [] for facts in methods}
    for kind, facts in pairs:
        for seed in range(seeds):
            cell, scored = make_cell(kind, facts, seed, names, severities, n, flat, slices)
            cells.append(cell)
            scores[facts["id"]].append(scored)
    results = {
        "schema": VERSION,
        "title": f"digits: {len(methods)} methods × {seeds} seeds",
        "config": {"training": {"epochs": 20, "lr": 0.1}, "seeds": list(range(seeds))},
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
    }
    results["claims"] = evaluate_claims(results)
    return results


def write_run(folder, results):
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
    worst = {
        "worst_images": shown[0, 1:3, 0],
        "worst_labels": np.array([3, 8])[: len(rows) - 1],
        "worst_corruptions": np.array(rows[1:3]),
        "worst_counts": np.array([(1, 5, 6), (1, 4, 6)])[: len(rows) - 1],
        "worst_confidence": np.array([0.93, 0.81])[: len(rows) - 1],
    }
    np.savez_compressed(folder / "gallery.npz", images=shown, rows=np.array(rows), **worst)
    return folder


def multiply(results, count):
    """Makes more methods of the last one, with the same numbers; comparisons follow."""
    pattern = results["methods"][-1]
    clones = [
        pattern | {"id": f"{pattern['id']}-{i}", "label": f"Method {i:02} · RigL 90 %"}
        for i in range(count - len(results["methods"]))
    ]
    results["methods"] += clones
    for key, name in (("cells", "method"), ("comparisons", "method")):
        same = [entry for entry in results[key] if entry[name] == pattern["id"]]
        results[key] += [entry | {name: clone["id"]} for clone in clones for entry in same]
    results["summary"] |= {clone["id"]: results["summary"][pattern["id"]] for clone in clones}
    return results


def build(folder, results):
    """Stores results and makes their page."""
    return build_report(write_run(folder, results))
