"""From finished cells to `results.json` and `results.csv`; needs no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from robustbench_zosam import provenance
from robustbench_zosam.analysis import (
    CellPredictions,
    CellScores,
    compare_planned,
    prediction_facts,
    rankings,
    summarise,
)
from robustbench_zosam.arrays import read_arrays
from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import write_json, write_text
from robustbench_zosam.machine import numeric_threads
from robustbench_zosam.privacy import redacted
from robustbench_zosam.recipes import recipe_facts
from robustbench_zosam.results import VERSION, tidy
from robustbench_zosam.results.limits import with_limits
from robustbench_zosam.robustness.content import content_digest
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, Finished, V_co
from robustbench_zosam.runs.gallery import write_gallery
from robustbench_zosam.runs.plan import Plan
from robustbench_zosam.runs.stored_stages import PREDICTED, require_predictions
from robustbench_zosam.schema import (
    Cell,
    Provenance,
    Results,
    StoredTrained,
    Training,
)

if TYPE_CHECKING:
    from robustbench_zosam.arrays import Arrays


def collect(plan: Plan, failed: Mapping[str, str], seconds: float) -> Results:
    """Returns the results of all finished cells, and writes them, their table and the gallery.

    Args:
        failed: cell id to error message.
        seconds: wall-clock time of this run.
    """
    with numeric_threads(1):  # intervals by resampling differ in the last digit with their number
        return _collect(plan, failed, seconds)


def _collect(plan: Plan, failed: Mapping[str, str], seconds: float) -> Results:
    finished = [cell for cell in plan.cells if cell.id not in failed]
    cells = [_assemble(plan.store(cell), cell) for cell in finished]
    methods = [
        method.facts([cell.seed for cell in plan.cells if cell.method.id == method.id])
        for method in plan.methods
    ]
    scores = _scores(plan, cells)
    assert plan.suite is not None
    results: Results = {
        "schema": VERSION,
        "title": plan.config.title or _title(plan),
        "config": plan.config.model_dump(mode="json"),
        "recipe": recipe_facts(plan.config),
        "provenance": _provenance(plan, seconds),
        "data": plan.data.facts,
        "suite": {**plan.suite.facts(), "content": content_digest(plan.suite.open())},
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
        "claims": [],
    }
    if plan.tuner is not None:
        results["tuning"] = plan.tuner.facts(plan.data.facts["counts"]["validation"])
    predicted = prediction_facts(results["comparisons"], scores, len(plan.data.facts["classes"]))
    if predicted is not None:
        results["predictions"] = predicted
    results["claims"] = evaluate_claims(results)
    results = redacted(results)
    write_gallery(plan, [cell["id"] for cell in cells])
    write_text(plan.out / "results.csv", tidy(results).to_csv(index=False, lineterminator="\n"))
    write_json(plan.out / "results.json", results)
    return results


def _title(plan: Plan) -> str:
    seeds = len({cell.seed for cell in plan.cells})
    noun = "seed" if seeds == 1 else "seeds"
    noise = plan.data.facts.get("label_noise")
    wrong = f" with {100 * noise['asked']:.3g} % label noise" if noise else ""
    return f"{plan.data.facts['name']}{wrong}: {len(plan.methods)} methods × {seeds} {noun}"


def _provenance(plan: Plan, seconds: float) -> Provenance:
    command = provenance.command()
    commit, dirty = provenance.commit()
    return {
        "finished": provenance.now(),
        "command": command,
        "resume": command,
        "versions": provenance.versions(),
        "commit": commit,
        "dirty": dirty,
        "hardware": provenance.hardware(plan.device),
        "workers": plan.workers,
        "threads": plan.threads,
        "seconds": round(seconds, 1),
    }


def _assemble(store: CellStore, spec: CellSpec) -> Cell:
    """Merges the stages of a cell into its result, and stores it beside them."""
    training = store.load("training", spec.identities["training"])
    robustness = store.load("robustness", spec.identities.get("robustness"))
    flatness = store.load("flatness", spec.identities.get("flatness"))
    landscape = store.load("landscape", spec.identities.get("landscape"))
    assert training is not None
    stages = {
        "training": training,
        "robustness": robustness,
        "flatness": flatness,
        "landscape": landscape,
    }
    trained = None if "loaded" in training.value else training.value
    result: Cell = {
        "schema": VERSION,
        "id": spec.id,
        "method": spec.method.id,
        "seed": spec.seed,
        "status": training.value["status"],
        "training": trained and _training(trained),
        "sparsity": {
            **training.value["sparsity"],
            "exploration": trained and trained.get("exploration"),
        },
        "robustness": with_limits(_value(robustness)),
        "flatness": _value(flatness),
        "landscape": _value(landscape),
        "provenance": {
            "versions": training.versions,
            "device": training.device,
            "threads": spec.threads,
            "identities": dict(spec.identities.items()),
            "seconds": {name: stage.seconds for name, stage in stages.items() if stage},
        },
    }
    write_json(store.result_file, redacted(result))
    return result


def _value(found: Finished[V_co] | None) -> V_co | None:
    return None if found is None else found.value


def _training(stored: StoredTrained) -> Training:
    training: Training = {
        "epochs": stored["epochs"],
        "steps": stored["steps"],
        "batch_size": stored["batch_size"],
        "history": stored["history"],
        "cost": stored["cost"],
        "diagnostics": stored["diagnostics"],
    }
    if "recalibrated" in stored:  # where the recipe asks for it
        training["recalibrated"] = stored["recalibrated"]
    if "averaged" in stored:
        training["averaged"] = stored["averaged"]
    if "flops" in stored:
        training["flops"] = stored["flops"]
    return training


def _scores(plan: Plan, cells: Sequence[Cell]) -> dict[str, list[CellScores]]:
    scores: dict[str, list[CellScores]] = defaultdict(list)
    for cell in cells:
        if cell["robustness"] is not None:
            store = CellStore(plan.out / "cells" / cell["id"])
            scores[cell["method"]].append(read_scores(store, cell))
    return scores


def read_scores(store: CellStore, cell: Cell) -> CellScores:
    """Returns what a finished cell scored on each image, and traces where they were measured.

    Raises:
        InputError: the files beside the results are missing, damaged or of an early release.
    """
    assert cell["robustness"] is not None
    try:
        require_predictions(store.predictions_file, cell["robustness"])
        arrays = read_arrays(store.predictions_file)
        conditions = tuple(map(str, arrays["conditions"]))
        correct = (arrays["clean_correct"], *arrays["correct"])
        traces: dict[str, NDArray[Any]] = {}
        if cell["flatness"] is not None:
            traces = read_arrays(store.flatness_file)
    except InputError as error:
        raise InputError(
            f"{store.folder} lacks the per-image outcomes that a comparison needs ({error}): run "
            "`zosam-robust evaluate` there again"
        ) from error
    return CellScores(
        cell["seed"],
        conditions,
        correct,
        traces.get("trace_per_image"),
        traces.get("adaptive_trace_per_image"),
        _predictions(arrays),
    )


def _predictions(arrays: Arrays) -> CellPredictions | None:
    """Returns classes and scores of each image; None where an early release measured."""
    if not arrays.keys() >= set(PREDICTED):
        return None
    predicted, confidence, nll, brier = (
        (arrays[f"clean_{name}"], *arrays[name])
        for name in ("predicted", "confidence", "nll", "brier")
    )
    return CellPredictions(
        predicted, confidence, nll, brier, (arrays["clean_labels"], arrays["labels"])
    )
