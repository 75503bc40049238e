"""From what was measured of models to results, in the form that a run stores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from corruptions.suites import Suite
from robustbench_zosam import provenance
from robustbench_zosam.analysis import (
    CellPredictions,
    CellScores,
    compare_planned,
    prediction_facts,
    rankings,
    summarise,
)
from robustbench_zosam.api.material import Material
from robustbench_zosam.api.measuring import Measured
from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.privacy import redacted
from robustbench_zosam.report.stored_images import Gallery, make_gallery
from robustbench_zosam.results.limits import with_limits
from robustbench_zosam.results.versions import VERSION
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.runs.gallery import gallery_arrays
from robustbench_zosam.schema import Cell, MethodFacts, Results, SuiteFacts

_COMMAND = "robustbench_zosam.evaluate(model, data)"
_TEST_IMAGES = "flatness and landscape were measured on the test images: no training images given"


def assemble(
    measured: Mapping[str, Measured],
    material: Material,
    plan: SuitePlan,
    config: ExperimentConfig,
    title: str | None,
    seconds: float,
) -> Results:
    """Returns the results of models by name, compared with the first of them.

    Args:
        config: all settings.
        title: of the report; None makes one.
        seconds: wall-clock time.
    """
    methods = [_method(name, found) for name, found in measured.items()]
    cells = [
        _cell(method["id"], found, plan)
        for method, found in zip(methods, measured.values(), strict=True)
    ]
    scores = {
        method["id"]: [_scores(found)]
        for method, found in zip(methods, measured.values(), strict=True)
    }
    noun = "model" if len(methods) == 1 else "models"
    results: Results = {
        "schema": VERSION,
        "title": title or f"{', '.join(measured)}: {len(methods)} {noun}",
        "config": config.model_dump(mode="json"),
        "recipe": None,
        "provenance": {
            "finished": provenance.now(),
            "command": _COMMAND,
            "versions": provenance.versions(),
            "commit": provenance.commit()[0],
            "dirty": provenance.commit()[1],
            "hardware": provenance.hardware(next(iter(measured.values())).device),
            "workers": 0,
            "seconds": round(seconds, 1),
        },
        "data": material.facts,
        "suite": _suite(plan, material, measured),
        "methods": methods,
        "cells": cells,
        "failures": [],
        "summary": summarise(methods, cells),
        "comparisons": compare_planned(methods, scores, margin=config.statistics.margin),
        "ranking": rankings(methods, scores),
        "claims": [],
    }
    predicted = prediction_facts(results["comparisons"], scores, len(material.facts["classes"]))
    if predicted is not None:
        results["predictions"] = predicted
    results["claims"] = evaluate_claims(results)
    return redacted(results)


def gallery(
    measured: Mapping[str, Measured], material: Material, suite: Suite, own: bool
) -> Gallery:
    """Returns sample images, and the most common misclassifications.

    Args:
        own: whether the suite was made of the test images, in their order.
    """
    predictions = (
        {
            "conditions": np.array(found.evaluation.conditions),
            "correct": np.stack(found.evaluation.correct[1:]),
            "confidence": np.stack(found.evaluation.confidence[1:]),
            "predicted": np.stack(found.evaluation.predicted[1:]),
        }
        for found in measured.values()
    )
    return make_gallery(gallery_arrays(suite, material.data.test if own else None, predictions))


def _method(name: str, found: Measured) -> MethodFacts:
    return {
        "id": name,
        "label": name,
        "kind": "checkpoint",
        "role": "method",
        "optimizer": "",
        "options": {},
        "sparsifier": "",
        "sparsifier_options": {},
        "sparsity": found.sparsity["maskable"],
        "checkpoint": None,
        "content": None,
        "seeds": [0],
    }


def _cell(name: str, found: Measured, plan: SuitePlan) -> Cell:
    scores = found.evaluation.summary(plan.facts()["categories"], plan.reference)
    return {
        "schema": VERSION,
        "id": name,
        "method": name,
        "seed": 0,
        "status": "done",
        "training": None,
        "sparsity": {**found.sparsity, "exploration": None},
        "robustness": with_limits(scores),
        "flatness": found.flatness,
        "landscape": found.landscape,
        "provenance": {
            "versions": provenance.versions(),
            "device": found.device,
            "threads": 1,
            "identities": {},
            "seconds": found.seconds,
        },
    }


def _scores(found: Measured) -> CellScores:
    said = found.evaluation
    return CellScores(
        0,
        said.conditions,
        said.correct,
        found.traces.get("trace_per_image"),
        found.traces.get("adaptive_trace_per_image"),
        CellPredictions(said.predicted, said.confidence, said.nll, said.brier, said.labels),
    )


def _suite(plan: SuitePlan, material: Material, measured: Mapping[str, Measured]) -> SuiteFacts:
    facts = plan.facts()
    notes = [f"{name}: {found.note}" for name, found in measured.items() if found.note]
    slices = any(m.flatness is not None or m.landscape is not None for m in measured.values())
    if material.split == "test" and slices:
        notes.insert(0, _TEST_IMAGES)
    facts["notes"] = [*facts.get("notes", []), *notes]
    return facts


def over_images(found: Measured) -> NDArray[np.float64]:
    """Returns the share of the corruptions and severities under which each image was right, (n,).

    Its mean is the mean accuracy under corruption, and its spread what other images would change.
    """
    share: NDArray[np.float64] = np.stack(found.evaluation.correct[1:]).mean(axis=0)
    return share
