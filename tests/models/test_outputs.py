"""Checkpoints of more classes than the data has."""

from __future__ import annotations

import json

import pytest
import torch

from robustbench_zosam.config import ExperimentConfig, ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models.checkpoints import load_checkpoint
from robustbench_zosam.models.classifier import build_model
from robustbench_zosam.models.outputs import output_names
from robustbench_zosam.runs.identity import training_identity
from robustbench_zosam.runs.methods import expand

NAMES = [f"n{index:08}" for index in range(12)]


def stored(tmp_path, name="digits-resnet"):
    source = build_model(ModelConfig(name=name), 12, (0.5,) * 3, (0.25,) * 3, image_size=32).eval()
    torch.save(source.backbone.state_dict(), tmp_path / "twelve.pt")
    return source, tmp_path / "twelve.pt"


def load(file, kept, **settings):
    config = ModelConfig(mean=(0.5,) * 3, std=(0.25,) * 3, **settings)
    return load_checkpoint(file, config=config, classes=kept, image_size=32)


@pytest.mark.parametrize("name", ["digits-resnet", "torchvision:squeezenet1_1"])
def test_logits_are_those_of_the_classes_of_the_data(tmp_path, name):
    source, file = stored(tmp_path, name)
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    chosen = (NAMES[7], NAMES[2], NAMES[11])
    found = load(file, chosen, name=name, classes=str(tmp_path / "names.txt"))
    images = torch.rand(4, 3, 32, 32)
    expected = source(images)[:, [7, 2, 11]]
    assert torch.allclose(found.model(images), expected, rtol=1e-5, atol=1e-6)
    assert found.classes == chosen


def test_lists_have_several_forms(tmp_path):
    plain, pairs, listed = (tmp_path / name for name in ("a.txt", "b.json", "c.json"))
    plain.write_text("\n".join(NAMES))
    pairs.write_text(json.dumps({str(i): [name, f"word {i}"] for i, name in enumerate(NAMES)}))
    listed.write_text(json.dumps(NAMES))
    assert {output_names(str(file)) for file in (plain, pairs, listed)} == {tuple(NAMES)}


def test_imagenet_is_known_by_name():
    pytest.importorskip("timm")
    names = output_names("imagenet")
    assert (len(names), names[0], names[-1]) == (1000, "n01440764", "n15075141")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\nb\na\n", "names a twice"),
        ("x\ny\n", "has no output for 1 of the data's 1 classes, such as 'n00000003'"),
        ("\n", "names no class"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path, content, said):
    _, file = stored(tmp_path)
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(InputError, match=said):
        load(file, (NAMES[3],), classes=str(tmp_path / "names.txt"))


def test_the_content_of_the_list_is_part_of_the_identity(tmp_path):
    _, file = stored(tmp_path)
    names = tmp_path / "names.txt"
    config = ExperimentConfig(
        checkpoints=(str(file),), model=ModelConfig(name="digits-resnet", classes=str(names))
    )
    found = set()
    for content in ("a\nb", "b\na", "a\nb"):
        names.write_text(content)
        found.add(training_identity(config, expand(config)[0], 0, "data", 1))
    assert len(found) == 2
