"""Recipes: what they say, what goes on top of them, and that it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.models import build_model
from robustbench_zosam.models.naming import check_model
from robustbench_zosam.recipes import RECIPES, recipe_facts, recipe_settings
from robustbench_zosam.runs.methods import expand
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.training import learning_rate

EPOCH = 391  # steps, at batches of 128 on 50,000 images


def of(name: str, **overrides: object) -> ExperimentConfig:
    return load_config(None, {"recipe": name, **overrides})


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_is_a_whole_experiment(name: str):
    config = of(name)
    check_model(config.model)
    assert expand(config)
    assert config.recipe == name
    entry = RECIPES[name]
    assert entry.source
    assert entry.as_dict()["settings"] == entry.load()
    assert recipe_facts(config) == {
        "name": name, "source": entry.source, "notes": list(entry.notes), "changed": {},
    }  # fmt: skip


def test_what_is_not_known_says_so():
    notes = RECIPES["zosam-proxy"].notes
    assert sum(note.startswith("unverified: ") for note in notes) == 2
    assert "not known" in RECIPES["zosam-proxy"].summary


@pytest.mark.parametrize(
    ("name", "rates", "decay", "batch"),
    [
        ("grasp", {0: 0.1, 79.99: 0.1, 80: 0.01, 119.99: 0.01, 120: 0.001}, 1e-4, 128),
        ("mest", {0: 0.1, 40: 0.08535534, 80: 0.05, 160: 4e-8}, 1e-4, 64),
    ],
)
def test_published_trainings(name: str, rates: dict[float, float], decay: float, batch: int):
    training = of(name).training
    assert (training.epochs, training.weight_decay, training.batch_size) == (160, decay, batch)
    for epoch, rate in rates.items():
        assert learning_rate(training, int(epoch * EPOCH), EPOCH) == pytest.approx(rate, rel=1e-4)


def test_the_profile_of_mest_leaves_only_block_convolutions_to_prune():
    config = of("mest")
    model = build_model(config.model, 10, (0.5,) * 3, (0.25,) * 3)
    (method,) = [m for m in expand(config) if m.sparsity == 0.9]
    masker = create_masker(
        method.sparsifier, model, sparsity=0.9, total_steps=9999, **method.sparsifier_options
    )
    assert len(masker.masks) == 30
    assert all(mask.shape[-1] == 3 for mask in masker.masks.values())
    active = sum(int(mask.sum()) for mask in masker.masks.values())
    dense = 1_855_584 - sum(mask.numel() for mask in masker.masks.values())
    assert 1 - (active + dense) / 1_855_584 == pytest.approx(0.8940, abs=5e-5)


def test_file_options_and_assignments_go_on_top_in_order(tmp_path: Path):
    file = tmp_path / "run.toml"
    file.write_text('recipe = "quick"\n[training]\nepochs = 7\nlr = 0.3\nbatch_size = 32\n')
    config = load_config(file, {"training.lr": 0.4, "training.batch_size": 64}, ["training.lr=0.5"])
    used = config.training
    assert (used.epochs, used.lr, used.batch_size, used.precision) == (7, 0.5, 64, "bf16")
    facts = recipe_facts(config)
    assert facts is not None
    assert facts["changed"] == {
        "training.epochs": {"recipe": 45, "used": 7},
        "training.lr": {"recipe": 0.2, "used": 0.5},
        "training.batch_size": {"recipe": 128, "used": 64},
    }


def test_a_section_keeps_what_is_not_changed_in_it():
    config = load_config(None, {"recipe": "mest"}, ["sparsifier.mest-em.lambda_grad=0.01"])
    assert set(config.sparsifier["mest-em"]) == {"dense_layers", "lambda_grad"}


@given(st.sampled_from(RECIPES.names()), st.integers(1, 500))
def test_the_length_of_a_training_scales_its_schedule(name: str, epochs: int):
    training = of(name, **{"training.epochs": epochs}).training
    rates = [learning_rate(training, step, 3) for step in range(3 * epochs)]
    assert max(rates) <= training.lr * (1 + 1e-12)
    assert min(rates) >= 0
    assert epochs < 10 or rates[-1] < 0.1 * training.lr


def test_without_a_recipe_nothing_changes():
    assert load_config() == ExperimentConfig()
    assert recipe_facts(ExperimentConfig()) is None


@pytest.mark.parametrize(
    ("wrong", "needle"),
    [("quik", "unknown recipe 'quik': did you mean quick"), (3, "recipe = 3: input should be")],
)
def test_a_recipe_that_is_none_is_one_sentence(wrong: object, needle: str):
    with pytest.raises(InputError) as caught:
        load_config(None, {"recipe": wrong})
    assert needle in str(caught.value)


def test_settings_are_copies():
    recipe_settings("quick")["training"]["epochs"] = 1
    assert recipe_settings("quick")["training"]["epochs"] == 45
