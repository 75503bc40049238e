"""Which tensors are masked, on modules where it matters."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from robustbench_zosam.errors import InputError
from robustbench_zosam.measurement.sparsity import sparsity_facts
from robustbench_zosam.sparsity import create_masker, left_out, maskable_layers


def names(model, *patterns):
    return [layer.name for layer in maskable_layers(model, patterns)]


def test_weights_of_convolutions_and_linear_maps_and_nothing_else():
    model = nn.ModuleDict({
        "conv": nn.Conv2d(4, 8, 3),
        "up": nn.ConvTranspose2d(8, 4, 2),
        "norm": nn.BatchNorm2d(8),
        "embedding": nn.Embedding(5, 8),
        "line": nn.Conv1d(4, 4, 3),
        "head": nn.Linear(8, 3),
    })
    assert names(model) == ["conv.weight", "up.weight", "line.weight", "head.weight"]


def test_convolutions_of_every_dimension_and_recurrent_weights_are_masked():
    model = nn.ModuleDict({
        "one": nn.ConvTranspose1d(4, 4, 3),
        "three": nn.Conv3d(2, 4, 3),
        "memory": nn.LSTM(4, 6, proj_size=3),
        "cell": nn.GRUCell(4, 4),
        "cross": nn.MultiheadAttention(8, 2, kdim=4),
    })
    masker = create_masker("random", model, sparsity=0.5, total_steps=1)
    assert list(masker.masks) == [
        "one.weight",
        "three.weight",
        *(f"memory.weight_{kind}_l0" for kind in ("ih", "hh", "hr")),
        "cell.weight_ih",
        "cell.weight_hh",
        *(f"cross.{kind}_proj_weight" for kind in "qkv"),
        "cross.out_proj.weight",
    ]
    assert left_out(model) == ()


def test_what_stays_dense_is_listed_with_its_reason():
    pruned = prune.random_unstructured(nn.Linear(3, 3), "weight", 0.5)
    model = nn.ModuleDict({
        "stem": nn.Conv2d(3, 4, 1),
        "depthwise": nn.Conv2d(4, 4, 3, groups=4),
        "words": nn.Embedding(5, 4),
        "normed": parametrizations.weight_norm(nn.Linear(3, 4)),
        "pruned": pruned,
        "head": nn.Linear(4, 2),
    })
    model.register_parameter("positions", nn.Parameter(torch.zeros(7, 4)))
    found = {x.name: (x.size, x.reason) for x in left_out(model, ["stem"])}
    assert found == {
        "positions": (28, "a parameter of ModuleDict"),
        "stem.weight": (12, "dense_layers"),
        "depthwise.weight": (36, "depthwise"),
        "words.weight": (20, "embedding"),
        "normed.parametrizations.weight.original0": (4, "parametrised"),
        "normed.parametrizations.weight.original1": (12, "parametrised"),
        "pruned.weight_orig": (9, "parametrised"),
    }
    facts = sparsity_facts(model, {"head.weight": torch.zeros(2, 4, dtype=torch.bool)})
    assert [x["name"] for x in facts["left_dense"]] == [x.name for x in left_out(model)]


@pytest.mark.parametrize(("groups", "maskable"), [(1, True), (2, True), (4, False)])
def test_depthwise_kernels_are_exempt_and_grouped_ones_are_not(groups, maskable):
    model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=groups), nn.Linear(8, 8))
    assert ("0.weight" in names(model)) == maskable


def test_attention_projections_are_maskable():
    assert names(nn.MultiheadAttention(8, 2)) == ["in_proj_weight", "out_proj.weight"]


def test_a_parameter_shared_by_two_layers_has_one_mask():
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    model[1].weight = model[0].weight
    masker = create_masker("random", model, sparsity=0.5, total_steps=1)
    assert list(masker.masks) == ["0.weight"]
    assert masker.report().maskable == 36
    assert masker.mask_of(model[1].weight) is masker.masks["0.weight"]


def test_a_weight_shared_with_an_embedding_stays_dense():
    model = nn.ModuleDict({
        "words": nn.Embedding(5, 4),
        "out": nn.Linear(4, 5),
        "x": nn.Linear(4, 4),
    })
    model["out"].weight = model["words"].weight
    assert names(model) == ["x.weight"]


def test_two_parameters_on_one_storage_are_refused():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = nn.Parameter(model[0].weight.detach())
    with pytest.raises(InputError, match="share storage"):
        maskable_layers(model)


def test_patterns_name_parameters_or_modules():
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1))
    model = nn.ModuleDict({"stem": nn.Conv2d(3, 3, 3), "block": block, "head": nn.Linear(4, 2)})
    assert names(model, "stem", "head.weight") == ["block.0.weight", "block.1.weight"]
    assert names(model, "block") == ["stem.weight", "head.weight"]
    assert names(model, "*.1") == ["stem.weight", "block.0.weight", "head.weight"]


def test_a_pattern_without_a_match_is_refused():
    with pytest.raises(InputError, match=r"'stm' matches none of: 0\.weight"):
        maskable_layers(nn.Sequential(nn.Linear(2, 2)), ["stm"])


@pytest.mark.parametrize("model", [nn.BatchNorm2d(3), nn.Embedding(3, 2)])
def test_a_model_without_maskable_weights_is_refused(model):
    with pytest.raises(InputError, match="no convolution or linear weight"):
        maskable_layers(model)


def test_exempt_layers_are_left_out_of_the_target():
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
    masker = create_masker("random", model, sparsity=0.8, total_steps=1, dense_layers=["0"])
    report = masker.report()
    assert (report.active, report.maskable) == (20, 100)
    assert report.sparsity_total == pytest.approx(80 / 220)
    assert torch.all(model[0].weight != 0)
