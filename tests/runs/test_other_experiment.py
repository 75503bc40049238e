"""Another experiment in a folder that holds one, and checkpoints that know their data."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.loading import load_config
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.plan import make_plan
from robustbench_zosam.runs.subject import subject


@pytest.fixture(scope="module")
def trained(lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Images, and a run that has trained one model on them."""
    folder = tmp_path_factory.mktemp("data")
    lab.write_images(folder)
    out = tmp_path_factory.mktemp("out") / "run"
    train(lab, folder, out)
    return folder, out


def train(lab: SimpleNamespace, folder: Path, out: Path, **changes: object) -> experiment.Outcome:
    settings = {"optimizers": ["sgd"], "training__epochs": 1} | changes
    plan = make_plan(lab.small(folder, out, **settings), measure=False)
    return experiment.run(plan, lambda _: None, report=False)


def test_another_experiment_is_refused_and_nothing_is_lost(lab, trained, tmp_path):
    folder, first = trained
    out = tmp_path / "run"
    shutil.copytree(first, out)
    before = {file: file.read_bytes() for file in out.rglob("*.json")}
    with pytest.raises(InputError) as error:
        train(lab, folder, out, training__lr=0.3)
    said = str(error.value)
    assert said.count("digits-resnet on folder, 1 epoch, 1 cell") == 2
    assert f"--out {tmp_path / 'run-folder-digits-resnet'}" in said
    assert {file: file.read_bytes() for file in before} == before
    assert train(lab, folder, out).reused == 1


def test_more_of_the_same_experiment_is_welcome(lab, trained, tmp_path):
    folder, first = trained
    out = tmp_path / "run"
    shutil.copytree(first, out)
    assert train(lab, folder, out, seeds=[0, 1]).reused == 1
    assert train(lab, folder, out, optimizers=["sgd", "sam"]).reused == 1


def test_a_folder_without_any_result_is_free(lab, trained, tmp_path):
    folder, first = trained
    out = tmp_path / "run"
    out.mkdir()
    shutil.copy(first / "run.json", out / "run.json")
    assert train(lab, folder, out, training__lr=0.3).failed == {}


def test_checkpoints_are_evaluated_on_their_own_data(lab, trained, tmp_path):
    folder, first = trained
    file = next(first.glob("cells/*/model.safetensors"))
    given = {key: value for key, value in lab.settings.items() if not key.startswith("data.")}
    config = load_config(None, given | {"checkpoints": [str(file)], "run.out": str(tmp_path)})
    plan = make_plan(config)
    assert plan.config.data.root == str(folder)
    assert plan.data.facts["fingerprint"] == read_data(lab, folder, tmp_path / "other")
    assert f"as recorded with {file}" in next(subject(plan))
    assert plan.record().config["data"]["image_size"] == 16


def read_data(lab: SimpleNamespace, folder: Path, out: Path) -> str:
    return make_plan(lab.small(folder, out), measure=False).data.facts["fingerprint"]


def test_a_moved_checkpoint_still_names_its_data(lab, tmp_path):
    plan = make_plan(
        load_config(
            None,
            {"data.limit": 20, "data.image_size": 16, "training.epochs": 1, "model.width": 0.25}
            | {"optimizers": ["sgd"], "sparsities": [0.5], "dense_reference": False, "seeds": [0]}
            | {"run.out": str(tmp_path / "run"), "run.workers": 0, "run.device": "cpu"},
        ),
        measure=False,
    )
    experiment.run(plan, lambda _: None, report=False)
    moved = shutil.copy(next(tmp_path.glob("run/cells/*/model.safetensors")), tmp_path)
    lonely = tmp_path / "lonely.pt"
    lonely.write_bytes(b"not a checkpoint")
    found = make_plan(
        load_config(None, {"checkpoints": [str(moved)], "run.out": str(tmp_path / "out")}),
        measure=False,
    )
    assert found.config.data.name == "digits"
    assert "as recorded with" in found.data_origin
    other = make_plan(
        load_config(None, {"checkpoints": [str(lonely)], "run.out": str(tmp_path / "out2")}),
        measure=False,
    )
    assert "the default" in other.data_origin
    assert other.data_origin in next(subject(other))


def test_the_start_names_data_shift_and_methods(lab, trained, tmp_path):
    folder, _ = trained
    lines = list(subject(make_plan(lab.small(folder, tmp_path))))
    assert lines[0].startswith("data: ")
    assert "3 classes; 18 train, 3 validation, 9 test images" in lines[0]
    assert lines[1] == "shift: folder-c, gaussian_noise, contrast, severity 1, 5"
    assert lines[2].startswith("methods: SGD · RigL 50 %, ZO-SAM")
    assert read_json(trained[1] / "run.json")["measure"] is False
