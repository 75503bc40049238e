"""What runs where nobody names data, a model or a recipe."""

from __future__ import annotations

import pytest

from robustbench_zosam.cli.configuring import build_config
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.recipes import EMBEDDED, recipe_settings
from robustbench_zosam.robustness.plan import choose_preset


def built(*assignments: str, grid: list[str] | None = None, **given: object) -> ExperimentConfig:
    return build_config(None, list(assignments), grid, None, **({"recipe": None} | given))


def test_nothing_named_is_the_embedded_experiment():
    config = built()
    assert config.recipe == EMBEDDED
    assert config.data.label_noise == 0.3
    assert not config.training.augment


@pytest.mark.parametrize(
    "given",
    [{"optimizers": ["sgd"]}, {"seeds": "2"}, {"training__epochs": 1}, {"sparsities": ["0.5"]}],
)
def test_how_it_is_trained_may_be_changed(given):
    assert built(**given).recipe == EMBEDDED
    assert built("training.diagnostics=true").recipe == EMBEDDED


@pytest.mark.parametrize(
    "given",
    [
        {"data__name": "digits"}, {"data__limit": 30}, {"model__name": "resnet20"},
        {"checkpoints": ["a.pt"]}, {"suite__source": "cifar10-c"}, {"recipe": "quick"},
    ],
)  # fmt: skip
def test_naming_what_is_trained_or_tested_leaves_it(given):
    config = built(**given)
    assert config.recipe != EMBEDDED
    assert config.data.label_noise == 0


def test_assignments_and_grids_name_too():
    assert built("data.name=digits").recipe is None
    assert built("model.width=0.5").recipe is None
    assert built(grid=["optimizer.rho=0.05,0.5"]).recipe is None


def test_commands_without_recipes_are_left_alone():
    assert build_config(None, None).recipe is None


def test_its_severities_are_those_of_its_images():
    settings = recipe_settings(EMBEDDED)
    assert settings["data"]["image_size"] == 16
    assert choose_preset(settings["suite"]["preset"], 16) == "digits"
