"""Several settings of one method in one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import robustbench_zosam as rz
from robustbench_zosam.analysis import plan_comparisons
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.runs.methods import expand
from robustbench_zosam.runs.plan import make_plan


def config(*grid: str, file: Path | None = None, **overrides: Any) -> ExperimentConfig:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_config(file, given, (), grid=grid)


def names(settings: ExperimentConfig) -> list[str]:
    return [method.id for method in expand(settings)]


def test_a_grid_of_one_method_leaves_the_others_as_they_are():
    methods = expand(config("optimizer.zo-sam.rho=0.05,0.5,2"))
    assert [m.id for m in methods] == [
        "sgd-dense",
        "sgd-rigl-0.9",
        "random-perturbation-rigl-0.9",
        "zo-sam-rho0.05-rigl-0.9",
        "zo-sam-rho0.5-rigl-0.9",
        "zo-sam-rho2-rigl-0.9",
        "sam-rigl-0.9",
    ]
    assert methods[-3].label == "ZO-SAM ρ = 0.5 · RigL 90 %"
    assert [m.options for m in methods[-4:-1]] == [{"rho": 0.05}, {"rho": 0.5}, {"rho": 2}]
    assert methods[-2].facts([0])["varied"] == {"optimizer.rho": 2}
    assert "varied" not in methods[1].facts([0])


def test_a_shared_key_varies_every_method_that_has_the_option():
    grid = ("optimizer.rho=0.1,0.2", "optimizer.sam.rho=1,2")
    found = {
        m.id: m.options.get("rho") for m in expand(config(*grid, optimizer={"zo-sam": {"rho": 3}}))
    }
    assert found == {
        "sgd-dense": None,
        "sgd-rigl-0.9": None,
        "random-perturbation-rho0.1-rigl-0.9": 0.1,
        "random-perturbation-rho0.2-rigl-0.9": 0.2,
        "sam-rho1-rigl-0.9": 1,  # its own values go first
        "sam-rho2-rigl-0.9": 2,
        "zo-sam-rigl-0.9": 3,  # and so does a setting of its own
    }


def test_sparsifiers_and_training_are_varied_too(tmp_path: Path):
    grid = ("training.lr=0.05,0.1", "sparsifier.rigl.interval=10,20")
    settings = config(*grid, optimizers=("sgd", "adamw"), run__out=str(tmp_path))
    methods = {m.id: m for m in expand(settings)}
    assert list(methods) == [
        "sgd-lr0.05-dense",
        "sgd-lr0.1-dense",
        "sgd-lr0.05-rigl-interval10-0.9",
        "sgd-lr0.05-rigl-interval20-0.9",
        "sgd-lr0.1-rigl-interval10-0.9",
        "sgd-lr0.1-rigl-interval20-0.9",
        "adamw-rigl-interval10-0.9",  # has a learning rate of its own
        "adamw-rigl-interval20-0.9",
    ]
    one = methods["sgd-lr0.05-rigl-interval20-0.9"]
    assert one.label == "SGD lr = 0.05 · RigL 90 %, interval = 20"
    specs = {cell.method.id: cell for cell in make_plan(settings).cells}
    assert specs[one.id].training.lr == 0.05
    assert specs["sgd-lr0.1-dense"].training.lr == 0.1


def test_one_value_is_a_setting_and_needs_no_name():
    (method,) = (m for m in expand(config("optimizer.zo-sam.rho=0.5")) if m.optimizer == "zo-sam")
    assert (method.id, method.label) == ("zo-sam-rigl-0.9", "ZO-SAM · RigL 90 %")
    assert method.options == {"rho": 0.5}


def test_a_variant_is_the_same_cell_as_the_setting_alone(tmp_path: Path):
    varied = make_plan(config("optimizer.sam.rho=0.05,0.5", run__out=str(tmp_path)))
    alone = make_plan(config(optimizer={"sam": {"rho": 0.5}}, run__out=str(tmp_path)))
    identities = [
        {c.identities["training"] for c in plan.cells if c.method.options.get("rho") == 0.5}
        for plan in (varied, alone)
    ]
    assert identities[0] == identities[1]
    assert len(identities[0]) == 3
    lr = make_plan(config("training.lr=0.1,0.2", run__out=str(tmp_path)))
    plain = make_plan(config(run__out=str(tmp_path)))
    assert {c.identities["training"] for c in plain.cells} < {
        c.identities["training"] for c in lr.cells
    }


def test_files_may_write_keys_either_way(tmp_path: Path):
    quoted, nested = tmp_path / "quoted.toml", tmp_path / "nested.toml"
    quoted.write_text('[grid]\n"optimizer.zo-sam.rho" = [0.05, 0.5]\n')
    nested.write_text("[grid.optimizer.zo-sam]\nrho = [0.05, 0.5]\n")
    wanted = names(config("optimizer.zo-sam.rho=0.05,0.5"))
    assert names(config(file=quoted)) == names(config(file=nested)) == wanted
    assert names(rz.experiment(grid={"optimizer.zo-sam.rho": [0.05, 0.5]}).config) == wanted
    assert names(load_config(None, {"grid": {"optimizer.zo-sam.rho": [0.05, 0.5]}})) == wanted
    more = config("training.lr=0.1,0.2", file=quoted)
    assert list(more.grid) == ["optimizer.zo-sam.rho", "training.lr"]
    replaced = config("optimizer.zo-sam.rho=1,2", file=quoted)
    assert replaced.grid == {"optimizer.zo-sam.rho": (1, 2)}


def test_words_and_truth_values_are_values():
    found = names(config("optimizer.zo-sam.sides=one,two", "training.augment=true,false"))
    assert "zo-sam-sidesone-augmenttrue-rigl-0.9" in found
    assert len(found) == 2 + 2 + 2 + 2 + 4


@pytest.mark.parametrize(
    ("grid", "needle"),
    [
        ("optimizer.zo-sam.rho", "must have the form key=value,value"),
        ("optimizer.zo-sam.rho=", "has no value: give at least one"),
        ("optimizer.zo-sam.rho=0.5,0.5", "has the value 0.5 more than once"),
        ("optimizer.zo-sam.rho=1,1.0", "has the value 1 more than once"),
        ("optimizer.rho=0.1234567,0.1234568", "two values called 0.123457"),
        ("optimizer.rho=nan,1", "finite"),
        ("optimizer.zo-sam.rho=-1,1", "rho of zo-sam is -1: give a number >= 0"),
        ("optimizer.zo-sam.rho=a,b", "rho of zo-sam is 'a': give a finite number"),
        ("optimizer.asam.rho=1,2", "reaches no method of this run: asam is none of its optimizers"),
        ("optimizer.zosam.rho=1,2", "unknown optimizer 'zosam': did you mean zo-sam"),
        ("optimizer.roh=1,2", "reaches no method of this run: no optimizer of it has an option"),
        ("sparsifier.set.interval=1,2", "set is none of its sparsifiers"),
        ("training.rate=1,2", "reaches no method of this run: there are epochs, batch_size"),
        ("training.epoch=1,2", "did you mean training.epochs?"),
        ("training.lr=-1,0.1", "training.lr = -1: input should be greater than 0"),
        ("training.epochs=many,3", "training.epochs = 'many': give a number"),
        ("data.limit=1,2", "data.limit is none of optimizer.OPTION"),
        ("training=1,2", "training is none of optimizer.OPTION"),
        ("optimizer.rho=[[1],[2]]", "has the value [1]: give numbers, words or true, false"),
    ],
)  # fmt: skip
def test_a_grid_that_cannot_be_meant_is_one_sentence(grid: str, needle: str):
    with pytest.raises(InputError) as caught:
        expand(config(grid))
    assert needle in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checkpoints_have_no_variants(tmp_path: Path):
    file = tmp_path / "model.pt"
    file.write_bytes(b"x")
    with pytest.raises(InputError, match="needs methods that are trained here"):
        expand(config("training.lr=1,2", checkpoints=(str(file),)))


def test_like_is_compared_with_like():
    methods = expand(config("training.lr=0.1,0.2", "optimizer.rho=1,2", optimizers=("sgd", "sam")))
    found = {(p.method, p.baseline) for p in plan_comparisons([m.facts([0]) for m in methods])}
    assert found == {
        ("sam-rho1-lr0.1-rigl-0.9", "sgd-lr0.1-rigl-0.9"),
        ("sam-rho1-lr0.2-rigl-0.9", "sgd-lr0.2-rigl-0.9"),
        ("sam-rho2-lr0.1-rigl-0.9", "sgd-lr0.1-rigl-0.9"),
        ("sam-rho2-lr0.2-rigl-0.9", "sgd-lr0.2-rigl-0.9"),
        ("sgd-lr0.1-rigl-0.9", "sgd-lr0.1-dense"),
        ("sgd-lr0.2-rigl-0.9", "sgd-lr0.2-dense"),
    }


def test_a_variant_stands_beside_those_of_its_own_value():
    methods = expand(config("optimizer.rho=1,2", optimizers=("sgd", "sam", "zo-sam")))
    found = {(p.method, p.baseline) for p in plan_comparisons([m.facts([0]) for m in methods])}
    assert ("zo-sam-rho1-rigl-0.9", "sam-rho1-rigl-0.9") in found
    assert ("zo-sam-rho1-rigl-0.9", "sam-rho2-rigl-0.9") not in found
    assert ("zo-sam-rho2-rigl-0.9", "sgd-rigl-0.9") in found
    fixed = expand(config("optimizer.zo-sam.rho=1,2", optimizers=("sgd", "sam", "zo-sam")))
    found = {(p.method, p.baseline) for p in plan_comparisons([m.facts([0]) for m in fixed])}
    assert ("zo-sam-rho2-rigl-0.9", "sam-rigl-0.9") in found
