"""`flatness` and `landscape` on checkpoints and cells."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
import torch

from robustbench_zosam.cli import main
from robustbench_zosam.config import DataConfig, FlatnessConfig, ModelConfig
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import BRIEF
from robustbench_zosam.measurement.curvature import measure_curvature
from robustbench_zosam.measurement.trained_models import (
    MODEL_FILE,
    SPEC_FILE,
    load_trained_models,
)
from robustbench_zosam.models import build_model
from robustbench_zosam.models.checkpoints import save_checkpoint
from robustbench_zosam.runs.cell_store import CellStore


@pytest.fixture(scope="module")
def digits():
    return DATASETS["digits"].load()(DataConfig())


@pytest.fixture(scope="module")
def files(tmp_path_factory, digits):
    """Three narrow models that differ in their seeds, sparse, as checkpoints."""
    folder, found = tmp_path_factory.mktemp("models"), []
    config = ModelConfig(name="digits-resnet", width=0.25)
    for seed, name in enumerate(("one", "two", "three")):
        model = build_model(config, 10, *digits.channel_statistics(), seed=seed).eval()
        draw = torch.Generator().manual_seed(seed)
        masks = {
            n: torch.rand(p.shape, generator=draw) < 0.5
            for n, p in model.named_parameters()
            if p.ndim >= 2
        }
        with torch.no_grad():
            for n, mask in masks.items():
                model.get_parameter(n).mul_(mask)
        found.append(folder / f"{name}.safetensors")
        save_checkpoint(
            found[-1], model, config, masks=masks, classes=digits.classes, image_size=32,
            facts={"data": "digits"},
        )  # fmt: skip
    return found


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["zosam-robust", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_flatness_of_two_models(files, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    few = ["--images", 8, "--set", "flatness.steps=5", "--include-pruned"]
    assert run(monkeypatch, "flatness", *files[:2], *few, "--out", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((out / "flatness.json").read_text())
    assert list(found["models"]) == ["one", "two"]
    one = found["models"]["one"]
    assert one["method"] == "exact"
    assert one["active_dimensions"] < one["dimensions"]
    assert one["with_pruned_directions"]["include_pruned"]
    assert one["with_pruned_directions"]["trace"]["value"] > one["trace"]["value"]
    assert one["spectrum"]["lambda_1"] >= one["spectrum"]["lambda_5"]
    pair = found["pairs"][0]
    difference = one["trace"]["value"] - found["models"]["two"]["trace"]["value"]
    assert pair["mean"] == pytest.approx(difference)
    assert pair["ci95"][0] < pair["mean"] < pair["ci95"][1]
    assert found["caveats"]
    rows = list(csv.DictReader((out / "flatness.csv").read_text().splitlines()))
    traces = {r["model"]: float(r["value"]) for r in rows if r["measure"] == "trace"}
    assert traces["one"] == one["trace"]["value"]
    with np.load(out / "flatness.npz") as arrays:
        assert arrays["one/trace_per_image"].mean() == pytest.approx(one["trace"]["value"])


def test_flatness_is_shown_with_its_caveats_once(files, monkeypatch, capsys):
    assert run(monkeypatch, "flatness", files[0], "--images", 4, "--no-spectrum") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("Dinh et al.") == 1
    assert "adaptive trace" in shown


@pytest.mark.parametrize(
    ("kind", "models", "slices"),
    [("random", 1, 1), ("eigen", 2, 2), ("between", 3, 2), ("plane", 3, 1), ("pca", 3, 1)],
)
def test_landscapes_of_every_kind(files, tmp_path, monkeypatch, capsys, kind, models, slices):
    small = ["--images", 4, "--grid", 3, "--points", 3, "--seeds", 2, "--directions", kind]
    out = tmp_path / "out"
    assert run(monkeypatch, "landscape", *files[:models], *small, "--out", out) == 0
    found = json.loads((out / "landscape.json").read_text())
    assert len(found["slices"]) == slices
    names = {file.suffix for file in out.iterdir()}
    assert names == {".json", ".png", ".npz", ".csv"}  # and no rows of unfinished planes
    assert str(out / "landscape.png") in capsys.readouterr().out
    if kind == "eigen":
        spans = {max(facts["plane"]["positions"]) for facts in found["slices"].values()}
        assert len(spans) == 1


def test_bad_input_is_one_sentence(files, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    out = ["--out", tmp_path / "out"]
    cases = [
        (["flatness", tmp_path / "absent"], "does not exist"),
        (["flatness", tmp_path / "empty"], "holds no trained model"),
        (["flatness", files[0], files[0]], "more than once"),
        (["flatness", files[0], "--method", "guess"], "flatness.method"),
        (["landscape", files[0], "--directions", "between", *out], "two models"),
        (["landscape", files[0], "--directions", "plane", *out], "three models"),
        (["landscape", files[0], "--grid", "4", *out], "must be odd"),
    ]
    for arguments, needle in cases:
        assert run(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert needle in error
        assert "Traceback" not in error


def test_models_that_diverged_are_one_sentence(digits, tmp_path, monkeypatch, capsys):
    config = ModelConfig(name="digits-resnet", width=0.25)
    for name, value in (("nan", float("nan")), ("huge", 1e17)):
        model = build_model(config, 10, *digits.channel_statistics(), seed=0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        file = tmp_path / f"{name}.safetensors"
        save_checkpoint(file, model, config, classes=digits.classes, facts={"data": "digits"})
    out = ["--images", 4, "--out", tmp_path / "out"]
    assert run(monkeypatch, "flatness", tmp_path / "nan.safetensors", *out) == 2
    assert "not finite numbers: its training diverged" in capsys.readouterr().err
    for verb in (["flatness"], ["landscape", "--directions", "eigen"]):
        assert run(monkeypatch, *verb, file, *out) == 2
        assert "huge: the model's logits are not finite" in capsys.readouterr().err
    small = ["--grid", 3, "--points", 3, "--seeds", 1]
    assert run(monkeypatch, "landscape", file, *small, *out) == 0
    assert "loss not finite" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "landscape.json").read_text())
    assert found["slices"]["huge"]["plane"]["nonfinite"] == 9


def test_one_image_has_no_error(files, monkeypatch, capsys):
    assert run(monkeypatch, "flatness", files[0], "--images", 1, "--no-spectrum", "--json") == 0
    found = json.loads(capsys.readouterr().out)["models"]["one"]
    assert found["trace"]["value"] > 0
    assert found["trace"]["se"] is None


def test_a_model_of_other_data_needs_its_name(files, digits, tmp_path):
    config = ModelConfig(name="digits-resnet", width=0.25)
    model = build_model(config, 10, *digits.channel_statistics())
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, model, config, classes=digits.classes, facts={"data": "street"})
    with pytest.raises(InputError, match="trained on street"):
        load_trained_models([other], data=None, model=None, images=5)


def test_runs_are_found_by_the_names_of_their_files(tmp_path):
    store = CellStore(tmp_path)
    assert (store.model_file.name, store.spec_file.name) == (MODEL_FILE, SPEC_FILE)


def test_a_run_measures_what_its_settings_ask_for(files):
    subjects = load_trained_models(files[:1], data=None, model=None, images=4)
    settings = FlatnessConfig(spectrum=True, steps=4, sharpness=True, density=False)
    seen = []
    facts, arrays = measure_curvature(
        subjects.models["one"].model,
        subjects.images,
        subjects.labels,
        subjects.masks("one"),
        settings,
        lambda done, total: seen.append((done, total)),
        radius=0.3,
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    names = [one["name"] for one in facts["sharpness"]["measures"]]
    assert len(names) == len(BRIEF) + 3
    assert "m-zero-order rho=0.3 m=128" in names
    assert facts["caveats"]
    assert "trace_per_image" in arrays
    json.dumps(facts, allow_nan=False)
    plain, _ = measure_curvature(
        subjects.models["one"].model,
        subjects.images,
        subjects.labels,
        subjects.masks("one"),
        FlatnessConfig(),
        lambda done, total: None,
    )
    assert not {"spectrum", "sharpness", "density"} & plain.keys()
