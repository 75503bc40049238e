"""The radius at which a model's sharpness is measured is the one that it was trained with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustbench_zosam.runs.methods import Method
from robustbench_zosam.runs.stage_measurement import _radius


@pytest.mark.parametrize(
    ("optimizer", "options", "expected"),
    [
        ("zo-sam", {"rho": 8.0}, 8.0),
        ("zo-sam", {}, 0.05),
        ("zo-sam", {"sigma": 0.1}, 0.1 * 9**0.5),  # 6 of 12 weights are active, and 3 biases
        ("sgd", {}, None),
        ("", {}, None),
    ],
)
def test_radius_of_a_method(optimizer, options, expected):
    model = nn.Linear(4, 3)
    masks = {"weight": torch.tensor([[True, True, False, False]] * 3)}
    method = Method(id="one", label="one", optimizer=optimizer, options=options)
    assert _radius(method, masks, model) == pytest.approx(expected)
