"""Stored results, small and made up, for the tests of summaries and claims."""

from robustbench_zosam.claims import evaluate_claims

OPTIMIZERS = ("sgd", "random-perturbation", "sam", "zo-sam", "asam")


def method(optimizer):
    return {
        "id": optimizer,
        "kind": "trained",
        "optimizer": optimizer,
        "sparsifier": "rigl",
        "sparsity": 0.9,
    }


def cell(optimizer, seed, accuracy, *, trace=1.0, speed=100.0, status="done"):
    return {
        "method": optimizer,
        "seed": seed,
        "status": status,
        "training": {
            "history": [{"epoch": 1, "loss": 0.1, "validation_accuracy": 0.01}],
            "cost": {
                "forwards": 30,
                "backwards": 10,
                "steps": 10,
                "seconds": 2.0,
                "images_per_second": speed,
            },
        },
        "sparsity": {"total": 0.88},
        "robustness": {
            "rows": [{"corruption": "clean", "n": 100}],
            "clean_accuracy": accuracy + 0.2,
            "mean_corruption_accuracy": accuracy,
            "worst_corruption": {"name": "fog", "accuracy": accuracy - 0.1},
        },
        "flatness": {"trace": {"value": trace}, "gate": {"passed": True}},
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
