"""What a dry run says of the time, with passes in place of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.loading import load_config
from robustbench_zosam.runs import estimate
from robustbench_zosam.runs.plan import make_plan
from robustbench_zosam.training.setup import TrainingSetup, train_step

STEPS = 160  # ten epochs


def passes_of_a_step(
    setup: TrainingSetup, config: TrainingConfig, step: int
) -> tuple[float, float]:
    before = setup.optimizer.cost.forwards + setup.optimizer.cost.backwards
    train_step(setup, config, step)
    found = setup.optimizer.cost.forwards + setup.optimizer.cost.backwards - before
    return found, found


@pytest.mark.parametrize(
    ("optimizer", "options", "sparsifier", "passes"),
    [
        ("sgd", {}, {"random": {}}, 2 * STEPS),
        # Fisher information from 512 single images, twice: in 2 * 8 steps as much as a pass more
        ("ssam-f", {"samples": 512}, {"random": {}}, 4 * STEPS + 2 * 2 * 8),
        ("looksam", {}, {"random": {}}, 2 * STEPS + 2 * STEPS / 10),
        ("sgd", {}, {"lth": {"prunings": 2}}, 2 * (STEPS + 2 * (STEPS - 5))),
        ("sgd", {}, {"lth": {"prunings": 2, "budget": "shared"}}, 2 * STEPS),
    ],
)
def test_rare_passes_and_further_rounds_count_as_often_as_they_occur(
    optimizer: str, options: dict[str, Any], sparsifier: dict[str, Any], passes: float,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    settings = {
        "run.out": str(tmp_path), "run.workers": 0, "run.threads": 1, "run.device": "cpu",
        "model.width": 0.25, "data.image_size": 16, "training.epochs": 10,
        "optimizers": [optimizer], "dense_reference": False, "seeds": [0],
        "sparsifiers": list(sparsifier), "sparsities": [0.5], "sparsifier": sparsifier,
    }  # fmt: skip
    plan = make_plan(
        load_config(None, settings | {"optimizer": {optimizer: options}}), measure=False
    )
    monkeypatch.setattr(estimate, "_time_step", passes_of_a_step)
    assert estimate._training_seconds(plan, plan.cells[0]) == pytest.approx(passes)
