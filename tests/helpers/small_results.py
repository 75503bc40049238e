"""Stored results, small and made up, for the tests of summaries and claims."""

from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.schema import Cell

OPTIMIZERS = ("sgd", "random-perturbation", "sam", "zo-sam", "asam")


def method(optimizer):
    return {
        "id": optimizer,
        "label": optimizer,
        "kind": "trained",
        "role": "method",
        "optimizer": optimizer,
        "sparsifier": "rigl",
        "sparsity": 0.9,
        "seeds": [0, 1, 2],
    }


def cell(optimizer, seed, accuracy, *, trace=1.0, speed=100.0, status="done") -> Cell:
    clean = {"corruption": "clean", "severity": 0, "n": 100, "accuracy": accuracy + 0.2}
    scores = {"nll": 1.0, "brier": 0.5, "ece": 0.1, "rmsce": 0.1, "low": None, "high": None}
    end = {"epoch": 1, "step": 10, "seconds": 2.0, "lr": 0.1, "loss": 0.1}
    return {
        "id": f"{optimizer}-seed{seed}",
        "method": optimizer,
        "seed": seed,
        "status": status,
        "training": {
            "epochs": 1,
            "steps": 10,
            "batch_size": 20,
            "history": [{**end, "validation_accuracy": 0.01, "validation_loss": 2.0}],
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
            "rows": [{**clean, **scores}],
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


def paired(difference, half, p):
    components = dict.fromkeys(("seed", "image", "residual"))
    limits = {"low": difference - half, "high": difference + half, "level": 0.95}
    sizes = {"n_seeds": 3, "n_images": 100}
    return {"difference": difference, "p": p, "components": components, **limits, **sizes}


def comparison(method, baseline, difference, half, p, flatness=None):
    unknown = {"margin": 0.01, "p": 1.0, "equivalent": False}
    row = paired(difference, half, p) | {"equivalence": unknown}
    return {
        "method": method,
        "baseline": baseline,
        "question": "optimizer",
        "rows": [row | {"corruption": "clean"}, row | {"corruption": "mean"}],
        "flatness": flatness,
        "adaptive": flatness,
    }


def verdicts(results):
    return {found["id"]: found for found in evaluate_claims(results)}


def run(comparisons=(), cells=()):
    return {
        "methods": [method(name) for name in OPTIMIZERS],
        "cells": list(cells),
        "comparisons": list(comparisons),
    }
