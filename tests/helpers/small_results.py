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


def comparison(method, baseline, difference, half, p, flatness=None):
    row = {"difference": difference, "low": difference - half, "high": difference + half, "p": p}
    row |= {"n_seeds": 3, "n_images": 100}
    rows = [row | {"corruption": "clean"}, row | {"corruption": "mean"}]
    return {
        "method": method,
        "baseline": baseline,
        "rows": rows,
        "flatness": flatness,
        "adaptive": flatness,
    }


def verdicts(results):
    return {found.id: found for found in evaluate_claims(results)}


def run(comparisons=(), cells=()):
    return {
        "methods": [method(name) for name in OPTIMIZERS],
        "cells": list(cells),
        "comparisons": list(comparisons),
    }
