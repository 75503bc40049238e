"""What must not change the trace, and what must."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn.utils import prune

from robustbench_zosam.flatness import hessian_trace

DOUBLE = {"dtype": torch.float64, "class_threshold": 0.0}


class TestInvariance:
    @pytest.mark.parametrize("chunk", [1, 5, 12, 100])
    def test_chunk_size(self, model, images, labels, chunk):
        whole = hessian_trace(model, images, labels, class_threshold=0.1)
        parts = hessian_trace(model, images, labels, class_threshold=0.1, chunk=chunk)
        assert parts.value == pytest.approx(whole.value, rel=1e-6)
        assert torch.allclose(parts.per_image, whole.per_image, rtol=1e-5)
        assert parts.skipped_mass == pytest.approx(whole.skipped_mass)

    def test_order_of_images(self, model, images, labels):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        straight = hessian_trace(model, images, labels)
        shuffled = hessian_trace(model, images[order], labels[order])
        assert torch.allclose(shuffled.per_image, straight.per_image[order], rtol=1e-5)

    @pytest.mark.parametrize("method", ["exact", "hvp", "output-probe"])
    def test_order_of_parameters(self, tools, model, images, labels, method):
        class Reordered(tools.Residual):
            def __init__(self):
                super().__init__()
                self._modules = dict(reversed(self._modules.items()))

        twin = Reordered().eval()
        twin.load_state_dict(model.state_dict())
        assert [n for n, _ in twin.named_parameters()] != [n for n, _ in model.named_parameters()]
        one, two = (
            hessian_trace(m, images, labels, method=method, probes=3) for m in (model, twin)
        )
        assert two.value == pytest.approx(one.value, rel=1e-6)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    @pytest.mark.parametrize("method", ["exact", "hvp", "output-probe"])
    def test_device(self, model, images, labels, method):
        here = hessian_trace(model, images, labels, method=method, probes=3)
        there = hessian_trace(model.cuda(), images, labels, method=method, probes=3)
        assert there.value == pytest.approx(here.value, rel=1e-5)

    def test_two_runs_are_bit_identical(self, model, images, labels):
        one, two = (hessian_trace(model, images, labels) for _ in range(2))
        assert torch.equal(one.per_image, two.per_image)


class TestMasks:
    def test_garbage_in_pruned_gradients_is_irrelevant_and_the_mask_is_not(
        self, tools, model, images, labels
    ):
        masks = tools.random_masks(model)
        clean = hessian_trace(model, images, labels, masks=masks)
        for p in model.parameters():
            p.grad = torch.full_like(p, math.nan)
        assert hessian_trace(model, images, labels, masks=masks).value == clean.value
        assert hessian_trace(model, images, labels).value > 1.05 * clean.value

    def test_multiplied_masks_equal_hard_zeros(self, tools, model, images, labels):
        masks = tools.random_masks(model)
        hard, soft = copy.deepcopy(model), copy.deepcopy(model)
        with torch.no_grad():
            for name, mask in masks.items():
                hard.get_parameter(name).mul_(mask)
        for name, mask in masks.items():
            prune.custom_from_mask(soft.get_submodule(name.split(".")[0]), "weight", mask)
        one = hessian_trace(hard, images, labels, masks=masks, **DOUBLE)
        two = hessian_trace(soft, images, labels, **DOUBLE)
        assert (one.method, two.method) == ("exact", "exact")
        assert two.value == pytest.approx(one.value, rel=1e-10)
        assert two.adaptive_trace.value == pytest.approx(one.adaptive_trace.value, rel=1e-10)
        assert (two.active_dimensions, two.dead_filters) == (
            one.active_dimensions,
            one.dead_filters,
        )

    def test_include_pruned_measures_all_directions(self, tools, model, images, labels):
        masks = tools.random_masks(model)
        dense = hessian_trace(model, images, labels)
        labelled = hessian_trace(model, images, labels, masks=masks, include_pruned=True)
        assert labelled.value == dense.value
        assert labelled.include_pruned
        assert labelled.active_dimensions == labelled.dimensions

    def test_fully_pruned_filter_is_counted_and_inert(self, tools, model, images, labels):
        masks = {"grouped.weight": torch.ones_like(model.grouped.weight, dtype=torch.bool)}
        masks["grouped.weight"][1] = False
        with torch.no_grad():
            model.grouped.weight[1] = 0
            model.norm2.running_mean[1] = 0
            model.norm2.running_var[1] = 5e-30  # what training leaves behind
            model.norm2.bias[1] = 0
        result = hessian_trace(model, images, labels, masks=masks, **DOUBLE)
        dense = tools.dense_hessian(model, images, labels).diagonal()
        expected = (dense * tools.flat_masks(model, masks)).sum().item()
        assert result.dead_filters == 1
        assert result.value == pytest.approx(expected, rel=1e-9)


def test_rescaling_before_a_batch_norm_moves_the_plain_trace_alone(model, images, labels):
    before = hessian_trace(model, images, labels, **DOUBLE)
    logits = model(images)
    with torch.no_grad():
        model.grouped.weight.mul_(2)
        model.norm2.running_mean.mul_(2)
        model.norm2.running_var.mul_(4)
    assert torch.allclose(model(images), logits, rtol=1e-3)
    after = hessian_trace(model, images, labels, **DOUBLE)
    name = "grouped.weight"
    assert after.adaptive_trace.per_layer[name] == pytest.approx(
        before.adaptive_trace.per_layer[name], rel=1e-4
    )
    assert after.per_layer[name] == pytest.approx(before.per_layer[name] / 4, rel=1e-3)
