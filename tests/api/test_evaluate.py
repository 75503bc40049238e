"""`evaluate`: a model that somebody has, measured in a call, and left as it was."""

from __future__ import annotations

import copy
import random

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

import corruptions
import robustbench_zosam as rz
from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import hessian_trace
from robustbench_zosam.models.predict import predict_logits, to_unit

QUICK = {"corruptions": ["contrast", "gaussian_noise"], "severities": [1, 5]}
OFF = {"flatness": False, "landscape": False}
BRIEF = {
    "flatness": {"images": 8, "probes": 2},
    "landscape": {"images": 8, "points": 5, "directions": 2, "grid": 3},
}


def accuracies(result: rz.Result) -> list[float]:
    frame = result.frame()
    return frame.loc[frame["metric"] == "accuracy", "value"].tolist()


def test_a_model_is_measured_and_nothing_is_left(net, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = rz.evaluate(net, data=pictures, **QUICK, **BRIEF)
    assert list(tmp_path.iterdir()) == []
    summary = result.summary()
    assert {"clean_accuracy", "mean_corruption_accuracy", "trace"} <= set(summary["metric"])
    assert set(result.frame()["corruption"].dropna()) == {"clean", "contrast", "gaussian_noise"}
    page = result.report(tmp_path / "r.html")
    assert "own images" in page.read_text("utf-8")
    assert result.plot("severity").get_ylabel() == "accuracy (%)"
    assert "model" in repr(result)
    assert "<table>" in result._repr_html_()


def test_numbers_are_those_of_the_parts(net, pictures):
    images, labels = pictures
    result = rz.evaluate(net, data=pictures, **QUICK, flatness={"images": 12}, landscape=False)
    chosen = torch.from_numpy(np.moveaxis(images, 3, 1).copy())
    net.eval()
    expected = []
    for name, severity in [(None, 0), *((n, s) for n in QUICK["corruptions"] for s in (1, 5))]:
        shown = images if name is None else corruptions.corrupt(images, name, severity)
        found = predict_logits(net, np.moveaxis(shown, 3, 1).copy(), torch.device("cpu"))
        expected.append(float((found.argmax(1).numpy() == labels).mean()))
    order = ["clean", *corruptions.names("all")]
    rows = sorted(
        result.content["cells"][0]["robustness"]["rows"],
        key=lambda r: (order.index(r["corruption"]), r["severity"]),
    )
    by_name = {(r["corruption"], r["severity"]): r["accuracy"] for r in rows}
    names = [("clean", 0), *((n, s) for n in QUICK["corruptions"] for s in (1, 5))]
    assert [by_name[key] for key in names] == expected
    trace = hessian_trace(net, to_unit(chosen), torch.from_numpy(labels))
    found = result.content["cells"][0]["flatness"]["trace"]["value"]
    assert found == pytest.approx(trace.value, rel=1e-4)


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("training", [True, False])
def test_model_and_random_states_are_left_as_they_were(net, pictures, training):
    net.train(training)
    net[1].eval()  # a frozen batch norm
    net[0].weight.grad = torch.ones_like(net[0].weight)
    net[6].bias.requires_grad_(False)
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    rz.evaluate(net, data=pictures, **QUICK, **BRIEF)
    assert same(before, net.state_dict())
    assert [m.training for m in net.modules()] == modes
    assert torch.equal(net[0].weight.grad, torch.ones_like(net[0].weight))
    assert not net[6].bias.requires_grad
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]


class Pairs(torch.utils.data.Dataset):
    classes = ("ant", "bee", "cat")

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if index >= len(self):
            raise IndexError
        return torch.from_numpy(self.images[index]).permute(2, 0, 1) / 255, int(self.labels[index])


def forms(images: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    first = np.ascontiguousarray(np.moveaxis(images, 3, 1))
    tensors = torch.from_numpy(first), torch.from_numpy(labels)
    return {
        "uint8 (n, h, w, 3)": (images, labels),
        "uint8 (n, 3, h, w)": (first, list(labels)),
        "float64 in [0, 1]": (images / 255, labels),
        "float32 tensors": (tensors[0].float() / 255, tensors[1]),
        "int64 tensors": (tensors[0].long(), tensors[1][:, None]),
        "lists of arrays": (list(images), [torch.tensor(x) for x in labels]),
        "a data set": Pairs(images, labels),
        "tensors in a data set": TensorDataset(*tensors),
        "a loader": DataLoader(Pairs(images, labels), batch_size=5),
    }


def test_all_forms_of_the_same_images_give_the_same_numbers(net, pictures):
    found = {k: rz.evaluate(net, data=d, **QUICK, **OFF) for k, d in forms(*pictures).items()}
    values = {key: accuracies(result) for key, result in found.items()}
    assert len(set(map(tuple, values.values()))) == 1
    assert found["a data set"].content["data"]["classes"] == ["ant", "bee", "cat"]
    assert found["a loader"].content["data"]["classes"] == ["ant", "bee", "cat"]


def test_normalised_images_are_turned_back(net, pictures):
    images, labels = pictures
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    plain = rz.evaluate(net, data=pictures, mean=mean, std=std, **QUICK, **OFF)
    shifted = (images / 255 - np.array(mean)) / np.array(std)
    other = rz.evaluate(net, data=(shifted, labels), mean=mean, std=std, **QUICK, **OFF)
    assert accuracies(plain) == accuracies(other)
    assert plain.content["data"]["fingerprint"] == other.content["data"]["fingerprint"]


def test_a_bfloat16_model_is_measured_as_it_is(net, pictures):
    low = copy.deepcopy(net).to(torch.bfloat16)
    before = copy.deepcopy(low.state_dict())
    result = rz.evaluate(low, data=pictures, **QUICK, **BRIEF)
    assert same(before, low.state_dict())
    assert {p.dtype for p in low.parameters()} == {torch.bfloat16}
    assert any("float32 copy" in note for note in result.content["suite"]["notes"])
    assert result.content["cells"][0]["flatness"]["trace"]["value"] is not None


def test_grey_images_for_a_model_of_grey_images(pictures):
    images, labels = pictures
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    rz.evaluate(dense, data=(images[..., 0], labels), mean=[0.5], std=[0.5], **QUICK, **BRIEF)
    rz.evaluate(dense, data=(images[..., :1] / 255, labels), **QUICK, **OFF)


def test_masks_are_found_or_given(net, pictures):
    mask = torch.rand(net[0].weight.shape, generator=torch.manual_seed(1)) < 0.5
    pruned = copy.deepcopy(net)
    prune.custom_from_mask(pruned[0], "weight", mask)
    with torch.no_grad():
        net[0].weight.mul_(mask)
    settings = {**QUICK, "flatness": {"images": 12}, "landscape": False}
    found = {
        "zeros": rz.evaluate(net, data=pictures, **settings),
        "prune": rz.evaluate(pruned, data=pictures, **settings),
        "given": rz.evaluate(net, data=pictures, masks={"0.weight": mask}, **settings),
        "none": rz.evaluate(net, data=pictures, masks="none", **settings),
    }
    cells = {name: result.content["cells"][0] for name, result in found.items()}
    active = {name: cell["flatness"]["active_dimensions"] for name, cell in cells.items()}
    assert active["zeros"] == active["prune"] == active["given"]
    assert active["none"] == active["zeros"] + int((~mask).sum())
    assert cells["prune"]["sparsity"]["active"] == cells["given"]["sparsity"]["active"]
    assert any("exact zeros" in note for note in found["zeros"].content["suite"]["notes"])
    assert hasattr(pruned[0], "weight_orig")


def test_several_models_are_compared_with_the_first(net, pictures, tmp_path):
    torch.manual_seed(9)
    other = copy.deepcopy(net)
    nn.init.normal_(other[6].weight)
    result = rz.evaluate({"old": net, "new": other}, data=pictures, **QUICK, **OFF)
    assert [(c["method"], c["baseline"]) for c in result.content["comparisons"]] == [("new", "old")]
    alone = rz.evaluate(other, data=pictures, **QUICK, **OFF)
    both = result.frame().query("method == 'new' and metric == 'accuracy'")["value"].tolist()
    assert both == accuracies(alone)
    assert "new" in result.report(tmp_path / "r.html").read_text("utf-8")


def test_a_folder_only_where_it_is_asked_for(net, pictures, tmp_path):
    result = rz.evaluate(net, data=pictures, out=tmp_path / "run", **QUICK, **BRIEF)
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert names == {"results.json", "results.csv", "gallery.npz", "report.html"}
    again = rz.load(tmp_path / "run")
    assert again.content == result.content
    pd.testing.assert_frame_equal(again.frame(), result.frame())
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert again.report(tmp_path / "again.html").read_text("utf-8") == page


def test_named_data_brings_its_training_images(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    result = rz.evaluate(model, data="digits", limit=20, **QUICK, **BRIEF)
    assert result.content["data"]["counts"] == {"train": 20, "validation": 20, "test": 20}
    assert result.content["data"]["name"] == "digits"


def test_given_training_images_are_those_of_flatness(net, pictures):
    images, labels = pictures
    with_train = rz.evaluate(net, data=pictures, train=(images[:6], labels[:6]), **QUICK, **BRIEF)
    assert with_train.content["cells"][0]["flatness"]["images"] == 6
    assert with_train.content["data"]["counts"]["train"] == 6
    without = rz.evaluate(net, data=pictures, **QUICK, **BRIEF)
    assert any("test images" in note for note in without.content["suite"]["notes"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": 3}, "model is a int: give a torch.nn.Module"),
        ({"model": nn.Flatten()}, "it has none"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(5, 3))}, "the model fails on images"),
        ({"model": nn.Conv2d(3, 3, 1)}, "logits of shape (n, classes)"),
        ({"data": (np.zeros((2, 16, 16, 3), np.uint8), [0, 7])}, "the label 7 is none of the 3"),
        ({"data": (np.zeros((2, 16, 16, 3), np.uint8), [0])}, "2 images and 1 labels"),
        ({"data": (np.zeros((2, 16, 16, 3), np.uint8), [0.5, 1])}, "index of a class"),
        ({"data": (np.zeros((0, 16, 16, 3), np.uint8), [])}, "holds no image"),
        ({"data": (np.full((2, 16, 16, 3), 2.5), [0, 1])}, "values from 2.5 to 2.5"),
        ({"data": (np.full((2, 16, 16, 3), np.nan), [0, 1])}, "not finite"),
        ({"data": (np.zeros((2, 16, 20, 3)), [0, 1])}, "16 × 20 pixels"),
        ({"data": (np.zeros((2, 16, 16, 4)), [0, 1])}, "C = 1 or 3"),
        ({"data": 5}, "data is a int"),
        ({"data": "nothing"}, "unknown data set 'nothing'"),
        ({"corruptions": ["fogg"]}, "fog"),
        ({"severities": [6]}, "severities"),
        ({"mean": [0.5] * 3}, "both mean= and std="),
        ({"masks": "some"}, "masks = 'some'"),
        ({"masks": {"nothing": torch.ones(1)}}, "no parameter of the model"),
        ({"classes": ["a"]}, "3 outputs"),
        ({"flatness": {"image": 3}}, "flatness.image"),
        ({"suite": "nowhere"}, "the suite nowhere does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(net, pictures, change, said):
    arguments = {"model": net, "data": pictures, **QUICK, **OFF, **change}
    with pytest.raises(InputError) as error:
        rz.evaluate(**arguments)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_progress_is_told(net, pictures):
    told: list[tuple[str, int, int]] = []
    rz.evaluate(net, data=pictures, **QUICK, **BRIEF, progress=lambda *step: told.append(step))
    assert {stage for stage, _, _ in told} == {"robustness", "flatness", "landscape"}
    assert told[-1][1] == told[-1][2]


def test_limits_of_one_model_are_over_images(net, pictures):
    summary = rz.evaluate(net, data=pictures, **QUICK, **OFF).summary().set_index("metric")
    row = summary.loc["mean_corruption_accuracy"]
    assert row["low"] <= row["value"] <= row["high"]
    assert row["detail"] == "over images, of this model"
