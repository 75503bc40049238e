"""From finished cells to `results.json` and `results.csv`; needs no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.data import load_prepared
from robustbench_zosam.data.dataset import limit_classwise
from robustbench_zosam.files import atomic_path, read_json, write_json, write_text
from robustbench_zosam.robustness.plan import take
from robustbench_zosam.runs import provenance
from robustbench_zosam.runs.cells import CellSpec, CellStore
from robustbench_zosam.runs.planning import Plan
from robustbench_zosam.runs.table import tidy
from robustbench_zosam.statistics import (
    CellScores,
    compare,
    evaluate_claims,
    plan_comparisons,
    summarise,
    summary_dict,
)

SCHEMA = 1
_GALLERY_IMAGES = 4
_TRAINING = ("epochs", "steps", "batch_size", "history", "cost", "diagnostics")


def collect(plan: Plan, failed: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Writes results, comparisons and gallery of all finished cells.

    Args:
        plan: the experiment.
        failed: cell id to one sentence.
        seconds: wall-clock time of this run.

    Returns:
        What was written to `results.json`.
    """
    finished = [cell for cell in plan.cells if cell.id not in failed]
    cells = [_assemble(plan.store(cell), cell) for cell in finished]
    methods = [_method(plan, method.id) for method in plan.methods]
    assert plan.suite is not None
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "title": plan.config.title or _title(plan),
        "config": plan.config.model_dump(mode="json"),
        "provenance": _provenance(plan, seconds),
        "data": plan.data.facts,
        "suite": plan.suite.facts(),
        "methods": methods,
        "cells": cells,
        "failures": [
            {"cell": cell.id, "method": cell.method.id, "seed": cell.seed, "error": failed[cell.id]}
            for cell in plan.cells
            if cell.id in failed
        ],
        "summary": summary_dict(summarise(methods, cells)),
        "comparisons": _comparisons(plan, methods, cells),
    }
    results["claims"] = [asdict(verdict) for verdict in evaluate_claims(results)]
    _write_gallery(plan)
    write_text(plan.out / "results.csv", tidy(results).to_csv(index=False, lineterminator="\n"))
    write_json(plan.out / "results.json", results)
    plan.mark_collected()
    return results


def _title(plan: Plan) -> str:
    seeds = len({cell.seed for cell in plan.cells})
    noun = "seed" if seeds == 1 else "seeds"
    return f"{plan.data.facts['name']}: {len(plan.methods)} methods × {seeds} {noun}"


def _method(plan: Plan, name: str) -> dict[str, Any]:
    method = next(method for method in plan.methods if method.id == name)
    seeds = [cell.seed for cell in plan.cells if cell.method.id == name]
    return method.model_dump(mode="json") | {"seeds": seeds}


def _provenance(plan: Plan, seconds: float) -> dict[str, Any]:
    command = provenance.command()
    return {
        "finished": provenance.now(),
        "command": command,
        "resume": command,
        "versions": provenance.versions(),
        **provenance.commit(),
        "hardware": provenance.hardware(plan.cells[0].device),
        "workers": plan.workers,
        "threads": plan.cells[0].threads,
        "seconds": round(seconds, 1),
    }


def _assemble(store: CellStore, spec: CellSpec) -> dict[str, Any]:
    """Merges the stages of a cell into its result, and stores it beside them."""
    stages = {name: store.load(name, wanted) for name, wanted in spec.identities.items()}
    training = stages["training"]
    assert training is not None
    loaded = training.get("loaded")
    measured = {
        name: {k: v for k, v in value.items() if k not in {"stage_seconds", "versions"}}
        for name, value in stages.items()
        if value is not None and name != "training"
    }
    result = {
        "schema": SCHEMA,
        "id": spec.id,
        "method": spec.method.id,
        "seed": spec.seed,
        "status": training["status"],
        "training": None if loaded else {key: training[key] for key in _TRAINING},
        "sparsity": training["sparsity"] | {"exploration": training.get("exploration")},
        "robustness": measured.get("robustness"),
        "flatness": measured.get("flatness"),
        "landscape": measured.get("landscape"),
        "provenance": {
            "versions": training["versions"],
            "device": spec.device,
            "threads": spec.threads,
            "identities": spec.identities,
            "seconds": {name: v["stage_seconds"] for name, v in stages.items() if v is not None},
        },
    }
    write_json(store.result_file, result)
    return result


def _comparisons(
    plan: Plan, methods: list[dict[str, Any]], cells: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    scores: dict[str, list[CellScores]] = defaultdict(list)
    for cell in cells:
        if cell["robustness"] is not None:
            scores[cell["method"]].append(
                read_scores(CellStore(plan.out / "cells" / cell["id"]), cell)
            )
    return [
        compare(p.method, p.baseline, mine, theirs, question=p.question).as_dict()
        for p in plan_comparisons(methods)
        if (mine := scores[p.method])
        and (theirs := scores[p.baseline])
        and {cell.seed for cell in mine} & {cell.seed for cell in theirs}
    ]


def read_scores(store: CellStore, cell: dict[str, Any]) -> CellScores:
    """Returns what a finished cell did on each image.

    Args:
        store: the cell's folder.
        cell: its result.
    """
    with np.load(store.predictions_file) as arrays:
        conditions = tuple(map(str, arrays["conditions"]))
        correct = (arrays["clean_correct"], *arrays["correct"])
    traces: dict[str, Any] = {}
    if cell["flatness"] is not None:
        with np.load(store.flatness_file) as arrays:
            traces = {name: arrays[name] for name in arrays.files}
    return CellScores(
        cell["seed"],
        conditions,
        correct,
        traces.get("trace_per_image"),
        traces.get("adaptive_trace_per_image"),
    )


def _write_gallery(plan: Plan) -> None:
    """Stores a few test images under every corruption and severity."""
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
    file = plan.out / "gallery.npz"
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream, images=np.stack(list(rows.values()), axis=1), rows=np.array(list(rows))
        )


def _sampled(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return limit_classwise(labels, _GALLERY_IMAGES, seed=0)


def stored_results(out: Path) -> dict[str, Any]:
    """Returns the results of a finished run.

    Args:
        out: its output folder.
    """
    found: dict[str, Any] = read_json(out / "results.json")
    return found
