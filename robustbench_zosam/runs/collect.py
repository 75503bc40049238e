"""From finished cells to `results.json` and `results.csv`; needs no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np

from robustbench_zosam import provenance
from robustbench_zosam.analysis import CellScores, compare_planned, rankings, summarise
from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import write_json, write_text
from robustbench_zosam.recipes import recipe_facts
from robustbench_zosam.results import VERSION, tidy
from robustbench_zosam.results.limits import with_limits
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.runs.gallery import write_gallery
from robustbench_zosam.runs.plan import Plan

_TRAINING = ("epochs", "steps", "batch_size", "history", "cost", "diagnostics")
_OPTIONAL = ("recalibrated", "averaged")  # where the recipe asks for it


def collect(plan: Plan, failed: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Writes results, comparisons and gallery of all finished cells.

    Args:
        failed: cell id to one sentence.
        seconds: wall-clock time of this run.

    Returns:
        What was written to `results.json`.
    """
    finished = [cell for cell in plan.cells if cell.id not in failed]
    cells: list[Any] = [_assemble(plan.store(cell), cell) for cell in finished]
    methods = [
        method.facts([cell.seed for cell in plan.cells if cell.method.id == method.id])
        for method in plan.methods
    ]
    scores = _scores(plan, cells)
    assert plan.suite is not None
    results: dict[str, Any] = {
        "schema": VERSION,
        "title": plan.config.title or _title(plan),
        "config": plan.config.model_dump(mode="json"),
        "recipe": recipe_facts(plan.config),
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
        "summary": summarise(methods, cells),
        "comparisons": compare_planned(methods, scores, margin=plan.config.statistics.margin),
        "ranking": rankings(methods, scores),
    }
    complete: Any = results
    results["claims"] = evaluate_claims(complete)
    write_gallery(plan, [cell["id"] for cell in cells])
    write_text(plan.out / "results.csv", tidy(complete).to_csv(index=False, lineterminator="\n"))
    write_json(plan.out / "results.json", results)
    plan.mark_collected()
    return results


def _title(plan: Plan) -> str:
    seeds = len({cell.seed for cell in plan.cells})
    noun = "seed" if seeds == 1 else "seeds"
    return f"{plan.data.facts['name']}: {len(plan.methods)} methods × {seeds} {noun}"


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
    measured: dict[str, Any] = {
        name: {k: v for k, v in value.items() if k not in {"stage_seconds", "versions"}}
        for name, value in stages.items()
        if value is not None and name != "training"
    }
    result = {
        "schema": VERSION,
        "id": spec.id,
        "method": spec.method.id,
        "seed": spec.seed,
        "status": training["status"],
        "training": None if loaded else _told(training),
        "sparsity": training["sparsity"] | {"exploration": training.get("exploration")},
        "robustness": with_limits(measured.get("robustness")),
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


def _told(training: dict[str, Any]) -> dict[str, Any]:
    told = {key: training[key] for key in _TRAINING}
    return told | {key: training[key] for key in _OPTIONAL if key in training}


def _scores(plan: Plan, cells: list[dict[str, Any]]) -> dict[str, list[CellScores]]:
    scores: dict[str, list[CellScores]] = defaultdict(list)
    for cell in cells:
        if cell["robustness"] is not None:
            store = CellStore(plan.out / "cells" / cell["id"])
            scores[cell["method"]].append(read_scores(store, cell))
    return scores


def read_scores(store: CellStore, cell: dict[str, Any]) -> CellScores:
    """Returns what a finished cell did on each image.

    Returns:
        Its outcomes, and traces where they were measured.

    Raises:
        InputError: the files beside the results are missing, damaged or of an early release.
    """
    try:
        with np.load(store.predictions_file) as arrays:
            conditions = tuple(map(str, arrays["conditions"]))
            correct = (arrays["clean_correct"], *arrays["correct"])
        traces: dict[str, Any] = {}
        if cell["flatness"] is not None:
            with np.load(store.flatness_file) as arrays:
                traces = {name: arrays[name] for name in arrays.files}
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise InputError(
            f"{store.folder} lacks the outcomes of single images, which a comparison needs "
            f"({error}): run `zosam-robust evaluate` there again"
        ) from error
    return CellScores(
        cell["seed"],
        conditions,
        correct,
        traces.get("trace_per_image"),
        traces.get("adaptive_trace_per_image"),
    )
