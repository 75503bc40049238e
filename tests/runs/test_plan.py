from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.machine import choose_device
from robustbench_zosam.runs.cell_store import CellStore, Finished
from robustbench_zosam.runs.identity import identity
from robustbench_zosam.runs.methods import expand
from robustbench_zosam.runs.placement import group_devices, place_cells
from robustbench_zosam.runs.plan import Plan, make_plan


def config(out: Path | None = None, *assignments: str, **overrides: Any) -> ExperimentConfig:
    base = {"run.out": str(out)} if out else {}
    return load_config(None, base | overrides, assignments)


def ids(plan: Plan) -> list[str]:
    return [cell.id for cell in plan.cells]


def test_the_default_experiment_is_five_methods():
    methods = expand(ExperimentConfig())
    assert [(m.id, m.role) for m in methods] == [
        ("sgd-dense", "reference"),
        ("sgd-rigl-0.9", "baseline"),
        ("random-perturbation-rigl-0.9", "control"),
        ("zo-sam-rigl-0.9", "method"),
        ("sam-rigl-0.9", "method"),
    ]
    assert methods[-2].label == "ZO-SAM · RigL 90 %"


def test_methods_are_a_product_without_repeats():
    methods = expand(
        config(sparsifiers=("dense", "random", "rigl"), sparsities=(0.0, 0.5), optimizers=("sgd",))
    )
    assert [m.id for m in methods] == ["sgd-dense", "sgd-random-0.5", "sgd-rigl-0.5"]


def test_options_reach_only_those_that_take_them():
    methods = {
        m.optimizer: m.options
        for m in expand(config(None, "optimizer.rho=0.2", "optimizer.zo-sam.queries=3"))
    }
    assert methods["sgd"] == {}
    assert methods["sam"] == {"rho": 0.2}
    assert methods["zo-sam"] == {"rho": 0.2, "queries": 3}


@pytest.mark.parametrize(
    ("assignment", "needle"),
    [
        ("optimizer.roh=0.2", "no optimizer of this run has an option 'roh'"),
        ("optimizer.smmm.rho=2", "unknown optimizer 'smmm'"),
        ("sparsifier.growth=2", "no sparsifier of this run has an option 'growth'"),
        ('optimizers=["zosam"]', "unknown optimizer 'zosam': did you mean zo-sam"),
        ('sparsifiers=["rig"]', "unknown sparsifier 'rig': did you mean rigl?"),
        ("optimizers=[]", "no method is left"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(assignment: str, needle: str):
    overrides = {"dense_reference": False} if assignment == "optimizers=[]" else {}
    with pytest.raises(InputError) as caught:
        expand(config(None, assignment, **overrides))
    assert needle in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "needle"),
    [
        ("optimizer.rho=-0.1", "rho of random-perturbation is -0.1: give a number >= 0"),
        ('optimizer.zo-sam.sides="three"', "sides of zo-sam is 'three': choose one of one, two"),
        ("optimizer.zo-sam.queries=1.5", "queries of zo-sam is 1.5: give an integer >= 1"),
        ("sparsifier.drop_fraction=1", "drop_fraction of rigl is 1: give a number > 0 and < 1"),
    ],
)
def test_a_value_out_of_range_is_refused_before_anything_runs(assignment: str, needle: str):
    with pytest.raises(InputError) as caught:
        expand(config(None, assignment))
    assert needle in str(caught.value)


def test_a_missing_checkpoint_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"absent\.pt does not exist"):
        expand(config(checkpoints=(str(tmp_path / "absent.pt"),)))


def test_unknown_data_and_models_cost_no_time(tmp_path: Path):
    with pytest.raises(InputError, match="unknown data set 'digit': did you mean digits"):
        make_plan(config(tmp_path, "data.name=digit"))
    with pytest.raises(InputError, match="unknown model 'resnet21'"):
        make_plan(config(tmp_path, "model.name=resnet21"))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_change_a_result_changes_no_cell(tmp_path: Path):
    plain = make_plan(config(tmp_path))
    other = make_plan(config(tmp_path, "run.workers=1", "run.gpus_per_cell=2", 'title="x"'))
    assert ids(plain) == ids(other)
    assert len(plain.cells) == 15


@pytest.mark.parametrize(
    "assignment",
    [
        "training.epochs=3", "training.lr=0.2", "optimizer.rho=0.1", "sparsities=[0.8]",
        "data.limit=100", "model.width=2", "sparsifier.interval=7", "run.threads=2",
    ],
)  # fmt: skip
def test_what_can_change_a_model_trains_it_again(tmp_path: Path, assignment: str):
    before, after = make_plan(config(tmp_path)), make_plan(config(tmp_path, assignment))
    touched = [c for c in after.cells if c.method.optimizer == "sam"]
    assert touched
    assert not {c.id for c in touched} & set(ids(before))


def test_measuring_otherwise_keeps_the_trained_model(tmp_path: Path):
    before = make_plan(config(tmp_path))
    after = make_plan(config(tmp_path, "flatness.images=64", "suite.severities=[1]"))
    assert ids(before) == ids(after)
    one, other = before.cells[0].identities, after.cells[0].identities
    assert one["training"] == other["training"]
    assert one["landscape"] == other["landscape"]
    assert one["flatness"] != other["flatness"]
    assert one["robustness"] != other["robustness"]


def test_identity_depends_on_values_not_on_the_order_of_keys():
    assert identity(a=1, b={"x": 1, "y": 2}) == identity(b={"y": 2, "x": 1}, a=1)
    assert identity(a=1) != identity(a=2)


@pytest.mark.usefixtures("any_stage_is_sound")
def test_stages_are_reused_only_under_their_identity(tmp_path: Path):
    plan = make_plan(config(tmp_path))
    cell, store = plan.cells[0], plan.store(plan.cells[0])
    assert store.missing(cell) == ["training", "robustness", "flatness", "landscape"]
    store.save("training", cell.identities["training"], Finished({"status": "done"}, 0, {}))
    store.save("robustness", "another identity", Finished({"rows": []}, 0, {}))
    assert store.missing(cell) == ["robustness", "flatness", "landscape"]
    store.save("training", cell.identities["training"], Finished({"status": "diverged"}, 0, {}))
    assert store.is_finished(cell)


def test_a_specification_comes_back_equal(tmp_path: Path):
    plan = make_plan(config(tmp_path))
    store = plan.store(plan.cells[3])
    store.write_spec(plan.cells[3])
    assert store.read_spec() == plan.cells[3]


def test_no_file_lets_the_code_of_a_model_run(tmp_path: Path):
    plan = make_plan(config(tmp_path, "model.allow_code=true"))
    store = plan.store(plan.cells[0])
    store.write_spec(plan.cells[0])
    assert "allow_code" not in store.spec_file.read_text("utf-8")
    by_default, allowed = store.read_spec().model, store.read_spec(allow_code=True).model
    assert by_default is not None
    assert not by_default.allow_code
    assert allowed is not None
    assert allowed.allow_code


def test_a_specification_moves_with_the_output_folder(tmp_path: Path):
    plan = make_plan(config(tmp_path / "here"))
    plan.store(plan.cells[0]).write_spec(plan.cells[0])
    (tmp_path / "here").rename(tmp_path / "there")
    spec = CellStore(tmp_path / "there" / "cells" / plan.cells[0].id).read_spec()
    assert Path(spec.data_file).is_file()
    assert spec.suite is not None
    assert all(folder.startswith(str(tmp_path / "there")) for folder in spec.suite.folders)


def test_devices_that_are_not_available_are_refused():
    assert choose_device("cpu") == "cpu"
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        choose_device("gpu")
    with pytest.raises(InputError, match="is not available"):
        choose_device("cuda:99")


def test_workers_are_as_many_as_the_cores_carry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)

    def workers(*assignments: str, cells: int = 15) -> int:
        run = config(None, "run.device=cpu", *assignments).run
        _, count, places = place_cells(run, cells)
        assert len(places) == max(count, 1)
        return count

    assert workers() == 8
    assert workers(cells=2) == 2
    assert workers("run.threads=4") == 2
    assert workers("run.workers=0") == 0
    assert workers("run.workers=4", "run.threads=1") == 4


def test_all_gpus_are_used_and_each_cell_sees_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("robustbench_zosam.runs.placement.choose_device", lambda _: "cuda:0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,5,GPU-abc,2")

    def seen(*assignments: str) -> list[str | None]:
        _, _, places = place_cells(config(None, *assignments).run, 100)
        assert {place.device for place in places} == {"cuda:0"}
        return [place.environment()["CUDA_VISIBLE_DEVICES"] for place in places]

    assert seen() == ["7", "5", "GPU-abc", "2"]
    assert seen("run.gpus_per_cell=2") == ["7,5", "GPU-abc,2"]
    assert seen("run.gpus_per_cell=0.5") == ["7", "5", "GPU-abc", "2"] * 2
    assert seen("run.workers=5") == ["7", "5", "GPU-abc", "2", "7"]
    assert seen("run.workers=2") == ["7", "5"]


@pytest.mark.parametrize(
    ("per_cell", "needle"),
    [(0.7, "a fraction such as"), (1.5, "whole number"), (3, "more than the 2 GPU")],
)
def test_impossible_shares_of_gpus_are_refused(per_cell: float, needle: str):
    with pytest.raises(InputError, match=needle):
        group_devices(["0", "1"], per_cell)
