"""Small made-up results for the tests of summaries and claims; mypy checks their form."""

from collections.abc import Sequence
from typing import Literal, cast

from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.results import VERSION
from robustbench_zosam.runs.methods import expand
from robustbench_zosam.schema import (
    Cell,
    ClaimResult,
    Comparison,
    ComparisonRow,
    MeasurePaired,
    MethodFacts,
    PairedDifference,
    Results,
)

OPTIMIZERS = ("sgd", "random-perturbation", "sam", "zo-sam", "asam")


def method(optimizer: str) -> MethodFacts:
    config = ExperimentConfig(optimizers=(optimizer,), dense_reference=False)
    facts = expand(config)[0].model_dump(mode="json") | {"id": optimizer, "seeds": [0, 1, 2]}
    return cast("MethodFacts", facts)


def cell(
    optimizer: str,
    seed: int,
    accuracy: float,
    *,
    trace: float = 1.0,
    speed: float = 100.0,
    status: Literal["done", "diverged"] = "done",
) -> Cell:
    return {
        "id": f"{optimizer}-seed{seed}",
        "method": optimizer,
        "seed": seed,
        "status": status,
        "training": {
            "epochs": 1,
            "steps": 10,
            "batch_size": 20,
            "history": [
                {
                    "epoch": 1,
                    "step": 10,
                    "seconds": 2.0,
                    "lr": 0.1,
                    "loss": 0.1,
                    "validation_accuracy": 0.01,
                    "validation_loss": 2.0,
                }
            ],
            "cost": {
                "forwards": 30,
                "backwards": 10,
                "steps": 10,
                "seconds": 2.0,
                "images_per_second": speed,
                "peak_memory_bytes": None,
            },
        },
        "sparsity": {"maskable": 0.9, "total": 0.88},
        "robustness": {
            "rows": [
                {
                    "corruption": "clean",
                    "severity": 0,
                    "n": 100,
                    "accuracy": accuracy + 0.2,
                    "low": None,
                    "high": None,
                    "nll": None,
                    "brier": None,
                    "ece": None,
                }
            ],
            "clean_accuracy": accuracy + 0.2,
            "mean_corruption_accuracy": accuracy,
            "drop": 0.2,
            "worst_corruption": {"name": "fog", "accuracy": accuracy - 0.1},
        },
        "flatness": {
            "images": 100,
            "method": "exact",
            "trace": {"value": trace, "se": 0.1},
            "per_layer": {},
            "adaptive_trace": None,
            "gate": {"passed": True, "max_ratio": 0.0},
        },
        "landscape": None,
    }


def paired(difference: float, half: float, p: float) -> PairedDifference:
    return {
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "level": 0.95,
        "se": half / 2,
        "df": 2.0,
        "p": p,
        "per_seed": [difference] * 3,
        "n_seeds": 3,
        "n_images": 100,
        "components": {"seed": None, "image": None, "residual": None},
    }


def comparison(
    method: str,
    baseline: str,
    difference: float,
    half: float,
    p: float,
    flatness: PairedDifference | None = None,
) -> Comparison:
    row: ComparisonRow = {
        **paired(difference, half, p),
        "corruption": "clean",
        "detail": "",
        "p_holm": None,
        "verdict": "tie",
        "equivalence": {"margin": 0.01, "p": 1.0, "equivalent": False},
        "given_models": None,
    }
    traces: MeasurePaired | None = None
    if flatness is not None:
        traces = {**flatness, "detail": "", "metric": "trace"}
    return {
        "method": method,
        "baseline": baseline,
        "question": "optimizer",
        "rows": [row, {**row, "corruption": "mean"}],
        "worst": None,
        "slope": None,
        "exact": [],
        "flatness": traces,
        "adaptive": traces,
    }


def verdicts(results: Results) -> dict[str, ClaimResult]:
    return {found["id"]: found for found in evaluate_claims(results)}


def run(comparisons: Sequence[Comparison] = (), cells: Sequence[Cell] = ()) -> Results:
    return {
        "schema": VERSION,
        "title": "made up",
        "config": {},
        "provenance": {
            "finished": "2026-01-01T00:00:00Z",
            "command": "zosam-robust evaluate",
            "versions": {},
            "commit": None,
            "dirty": None,
            "hardware": {"cpu": "A", "cores": 2, "memory_bytes": None, "devices": ["cpu"]},
            "workers": 1,
            "seconds": 1.0,
        },
        "data": {
            "name": "digits",
            "title": "digits",
            "classes": [str(i) for i in range(10)],
            "counts": {"test": 100},
            "partial": None,
            "fingerprint": "",
        },
        "suite": {
            "name": "digits-c",
            "source": "generated",
            "preset": "cifar",
            "seed": 0,
            "corruptions": ["fog"],
            "severities": [1],
            "categories": {"fog": "weather"},
            "left_out": [],
        },
        "methods": [method(name) for name in OPTIMIZERS],
        "cells": list(cells),
        "failures": [],
        "summary": {},
        "comparisons": list(comparisons),
        "ranking": [],
        "claims": [],
    }
