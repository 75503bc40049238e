"""Masks of checkpoints: which tensors have them."""

import pytest
import torch
from torch import nn

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import build_model, save_checkpoint
from robustbench_zosam.models.masks import masks_from_zeros


def test_a_mask_of_no_tensor_of_the_model_is_refused_and_nothing_is_written(tmp_path):
    config = ModelConfig(name="digits-resnet", width=0.25)
    model = build_model(config, 10, (0.5,) * 3, (0.2,) * 3)
    name, weight = next(iter(model.backbone.named_parameters()))  # without `backbone.`
    with pytest.raises(InputError, match=rf"a mask for {name}, which is no tensor.*backbone\."):
        save_checkpoint(tmp_path / "a.safetensors", model, config, masks={name: weight != 0})
    assert not list(tmp_path.iterdir())


def test_zeros_are_found_in_every_kind_of_layer_that_is_pruned():
    model = nn.ModuleDict({
        "line": nn.Conv1d(4, 4, 3),
        "attention": nn.MultiheadAttention(8, 2),
        "memory": nn.LSTM(4, 4),
        "dense": nn.Linear(4, 4),
        "words": nn.Embedding(3, 4, padding_idx=0),
    })
    weights = [
        model["line"].weight,
        model["attention"].in_proj_weight,
        model["memory"].weight_hh_l0,
    ]
    with torch.no_grad():
        for weight in weights:
            weight[0] = 0
    assert set(masks_from_zeros(model)) == {
        "backbone.line.weight",
        "backbone.attention.in_proj_weight",
        "backbone.memory.weight_hh_l0",
    }
