"""`Curvature`: the results of the functions, from one prediction pass and one test of the gate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import (
    Curvature,
    SharpnessMeasure,
    gate,
    hessian_trace,
    sharpness,
    spectral_density,
    top_eigenvalues,
)

MEASURES = [SharpnessMeasure("sam", 0.1), SharpnessMeasure("average", 0.1, draws=2)]


def plain(value):
    """Returns a result as nested values that `==` compares bit for bit."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return np.asarray(value).tobytes()
    if dataclasses.is_dataclass(value):
        return plain(vars(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
@pytest.mark.parametrize("wide", [False, True])
def test_results_are_those_of_the_functions(tools, images, labels, activation, wide):
    net = tools.settle(tools.Residual(activation=activation))
    common = {"masks": tools.random_masks(net), "params": "weights", "seed": 3, "chunk": 5}
    curvature = Curvature(net, images, labels, **common)
    options = {"include_pruned": wide}
    for found, function, more in (
        (curvature.trace(probes=2, **options), hessian_trace, {"probes": 2}),
        (curvature.eigenvalues(steps=4, **options), top_eigenvalues, {"steps": 4}),
        (curvature.density(steps=3, **options), spectral_density, {"steps": 3}),
        (curvature.sharpness(MEASURES, **options), sharpness, {"measures": MEASURES}),
        (curvature.trace(method="hvp", probes=2), hessian_trace, {"method": "hvp", "probes": 2}),
    ):
        wanted = {} if more.get("method") else options
        assert plain(found) == plain(function(net, images, labels, **common, **more, **wanted))


def test_predictions_and_the_gate_run_once(model, images, labels):
    seen = []
    model.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))

    def forwards(measure, **options):
        seen.clear()
        measure(**options)
        return sum(seen)

    n, curvature = len(images), Curvature(model, images, labels)
    sweep = n + 8  # and two images, twice together and alone: do they interact, and autograd
    assert forwards(curvature.trace) == n + 2 + len(images[:8]) + sweep  # 2: is there a gradient
    assert forwards(curvature.trace, include_pruned=True) == sweep
    assert forwards(curvature.eigenvalues, k=1, steps=3, tol=0) == 3 * n + n  # n: standard error
    assert forwards(curvature.density, starts=2, steps=3) == 2 * 3 * n
    assert forwards(curvature.sharpness, measures=MEASURES[1:]) == n + 2 * n  # start, draws


def test_an_earlier_verdict_saves_the_gate(model, images, labels):
    verdict = gate(model, images, seed=7)
    assert Curvature(model, images, labels, verdict=verdict).trace().gate is verdict


def test_the_model_is_bit_identical_afterwards(tools, model, images, labels):
    model.norm1.train()
    before = tools.state(model)
    curvature = Curvature(model, images, labels)
    for measure in (curvature.trace, curvature.eigenvalues, curvature.density):
        measure()
        assert tools.same_state(before, tools.state(model))
    curvature.sharpness(MEASURES)
    assert tools.same_state(before, tools.state(model))


def test_wrong_arguments_are_named(model, images, labels):
    with pytest.raises(InputError, match="dtype"):
        Curvature(model, images, labels, dtype=torch.float16)
    with pytest.raises(InputError, match="as many images as labels"):
        Curvature(model, images, labels[:3])
    with pytest.raises(InputError, match="chunk"):
        Curvature(model, images, labels, chunk=0).trace()
