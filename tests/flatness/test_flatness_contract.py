"""What every trace measurement promises: nothing left behind, clear errors, strict results."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from robustbench_zosam.errors import DivergedError, InputError
from robustbench_zosam.flatness import (
    gate,
    hessian_trace,
    nonzero_masks,
    resolve,
    sharpness,
    top_eigenvalues,
)
from robustbench_zosam.landscape import line, plane

METHODS = ["exact", "output-probe", "hvp"]


@pytest.fixture
def busy(model):
    """A model in an unusual state: training mode in parts, frozen parts, gradients present."""
    model.norm1.train()
    model.point.requires_grad_(False)
    model.head.weight.grad = torch.full_like(model.head.weight, 7.0)
    return model


@pytest.mark.parametrize("dtype", [None, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_bit_identical_afterwards(tools, busy, images, labels, method, dtype):
    before = tools.state(busy)
    hessian_trace(busy, images, labels, method=method, probes=2, dtype=dtype)
    assert tools.same_state(before, tools.state(busy))


def test_also_after_a_gate(tools, busy, images):
    before = tools.state(busy)
    gate(busy, images)
    assert tools.same_state(before, tools.state(busy))


@pytest.mark.parametrize("method", METHODS)
def test_also_when_the_model_raises(tools, busy, images, labels, method):
    calls = iter(range(100))

    def fail(module, args):
        if next(calls) >= 15:
            raise KeyError("broken")

    busy.head.register_forward_pre_hook(fail)
    before = tools.state(busy)
    with pytest.raises(KeyError, match="broken"):
        hessian_trace(busy, images, labels, method=method, probes=2, chunk=1)
    assert tools.same_state(before, tools.state(busy))
    assert not busy.stem._forward_hooks


def test_pruned_modules_keep_their_weight_attribute(model, images, labels):
    prune.l1_unstructured(model.grouped, "weight", 0.5)
    attribute = model.grouped.weight
    hessian_trace(model, images, labels)
    gate(model, images)
    assert model.grouped.weight is attribute


def test_a_counting_module_is_wound_back(tools, images, labels):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(300, 4)
            self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

        def forward(self, x):
            self.calls += 1
            return self.head(x.flatten(1))

    net = tools.settle(Counter())
    hessian_trace(net, images, labels)
    assert net.calls == 0


def test_backend_settings_are_restored(model, images, labels):
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    switches = (cudnn.conv, "fp32_precision"), (matmul, "fp32_precision")
    switches += (cudnn, "benchmark"), (cudnn, "deterministic")

    def settings():
        return (
            cudnn.conv.fp32_precision,
            matmul.fp32_precision,
            cudnn.benchmark,
            cudnn.deterministic,
        )

    inside = []
    model.head.register_forward_pre_hook(lambda *_: inside.append(settings()))
    before = settings()
    hessian_trace(model, images, labels)
    assert settings() == before
    assert set(inside) == {("ieee", "ieee", False, True)}


def test_surrounding_modes_do_not_matter(model, images, labels):
    expected = hessian_trace(model, images, labels).value
    with torch.autocast("cpu", torch.bfloat16):
        assert hessian_trace(model, images, labels).value == expected
    with torch.no_grad():
        assert hessian_trace(model, images, labels).value == expected
    with torch.inference_mode():
        assert hessian_trace(model, images.clone(), labels.clone()).value == expected


def test_wrapped_models_are_unwrapped(model, images, labels):
    expected = hessian_trace(model, images, labels)
    for wrapped in (nn.DataParallel(model), torch.compile(model)):
        assert hessian_trace(wrapped, images, labels).per_layer == expected.per_layer


def test_stochastic_layers_are_off_and_the_global_state_stays(tools, images, labels):
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(300, 4))
    state = torch.get_rng_state()
    one, two = (hessian_trace(net.train(), images, labels).value for _ in range(2))
    assert one == two
    assert torch.equal(state, torch.get_rng_state())


def test_single_class_single_image_and_zero_bias(model, images, labels):
    with torch.no_grad():
        model.head.bias.zero_()
    one_class = hessian_trace(model, images, torch.zeros_like(labels))
    assert one_class.value > 0
    assert one_class.adaptive_trace.per_layer["head.bias"] == 0
    assert one_class.per_layer["head.bias"] > 0
    alone = hessian_trace(model, images[:1], labels[:1])
    assert (alone.se, alone.images) == (None, 1)
    assert alone.value > 0


@pytest.mark.parametrize("method", METHODS)
def test_results_are_strict_json(tools, model, images, labels, method):
    result = hessian_trace(model, images, labels, method=method, probes=1, chunk=12)
    facts = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert facts["trace"]["value"] == result.value
    assert facts["method"] == method
    assert (
        facts["dimensions"]
        == sum(p.numel() for p in model.parameters())
        == facts["active_dimensions"]
    )
    assert facts["trace_per_parameter"] == result.value / result.active_dimensions
    assert facts["higher_is_better"] is None
    assert (facts["gate"] is None) == (method == "hvp")
    names = {"fisher_empirical"} | ({"trace", "adaptive_trace"} if method == "exact" else set())
    assert set(result.arrays()) == {f"{name}_per_image" for name in names}


def test_a_failed_gate_without_a_finite_ratio_is_strict_json(tools, images, labels):
    net = tools.settle(tools.Residual(activation=nn.SiLU))
    facts = hessian_trace(net, images, labels, probes=2).to_dict()
    json.dumps(facts, allow_nan=False)
    assert facts["gate"]["passed"] is False


def test_nonzero_masks_spare_vectors(model):
    with torch.no_grad():
        model.stem.weight[0] = 0
        model.stem.bias.zero_()
    masks = nonzero_masks(model)
    assert set(masks) == {n for n, p in model.named_parameters() if p.ndim >= 2}
    assert not masks["stem.weight"][0].any()
    assert resolve(model, masks).dead_filters == 1


def test_gather_and_scatter_are_inverse(tools, model):
    active = resolve(model, tools.random_masks(model))
    vector = torch.randn(active.size)
    tensors = active.scatter(vector)
    assert torch.equal(active.gather(tensors), vector)
    assert all((tensors[name][~mask] == 0).all() for name, mask in active.masks.items())


def wrong_shape(model):
    return {"stem.weight": torch.ones(2, dtype=torch.bool)}


def wrong_type(model):
    return {"stem.weight": torch.ones_like(model.stem.weight)}


def all_pruned(model):
    return {n: torch.zeros_like(p, dtype=torch.bool) for n, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method must be one of"),
        ({"params": "biases"}, "params must be one of"),
        ({"params": "masked-layers"}, "no active parameter"),
        ({"chunk": 0}, "chunk"),
        ({"probes": 0}, "probes"),
        ({"class_threshold": 1.0}, "class_threshold"),
        ({"output_samples": 1}, "output_samples"),
        ({"dtype": torch.bfloat16}, "dtype"),
        ({"masks": {"nose": torch.ones(1, dtype=torch.bool)}}, "no parameter"),
        ({"masks": wrong_shape}, "must be boolean of shape"),
        ({"masks": wrong_type}, "must be boolean"),
        ({"masks": all_pruned}, "no active parameter"),
    ],
)
def test_wrong_arguments_are_named(model, images, labels, options, message):
    options = {k: v(model) if callable(v) else v for k, v in options.items()}
    with pytest.raises(InputError, match=message):
        hessian_trace(model, images, labels, **options)


def test_wrong_data_is_named(model, images, labels):
    cases = {
        "divide uint8": ((images * 255).to(torch.uint8), labels),
        "int64": (images, labels.int()),
        "as many images as labels": (images[:3], labels),
        "at least one": (images[:0], labels[:0]),
        "labels must be in 0..3": (images, labels + 1),
    }
    for message, (x, y) in cases.items():
        with pytest.raises(InputError, match=message):
            hessian_trace(model, x, y)


def test_unusable_models_are_named(model, images, labels):
    with pytest.raises(InputError, match="must be on one device"):
        hessian_trace(nn.Flatten(), images, labels)
    with pytest.raises(InputError, match="on cpu, meta"):
        hessian_trace(
            nn.Sequential(nn.Flatten(), nn.Linear(300, 4), nn.Linear(4, 4, device="meta")),
            images,
            labels,
        )
    with pytest.raises(InputError, match="logits of shape"):
        hessian_trace(model.stem, images, labels)
    frozen = copy.deepcopy(model).requires_grad_(False)
    with pytest.raises(InputError, match="no active parameter"):
        hessian_trace(frozen, images, labels)

    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x).detach()

    with pytest.raises(InputError, match="no gradient"):
        hessian_trace(Detached(), images, labels)


def test_a_model_that_fails_is_one_sentence(model, images, labels):
    narrow = images[:, :2]
    for measure in (hessian_trace, top_eigenvalues, sharpness, line, plane):
        with pytest.raises(InputError, match=r"fails on images of shape \(2, 10, 10\)"):
            measure(model, narrow, labels)


@pytest.mark.parametrize("calls", [0, 2])
def test_too_little_memory_is_one_sentence(model, images, labels, calls):
    left = iter(range(calls))

    def fail(module, args):
        if next(left, None) is None:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 80 bytes")

    model.head.register_forward_pre_hook(fail)
    with pytest.raises(InputError, match="memory does not suffice for 12 images at once"):
        hessian_trace(model, images, labels, chunk=12)


def test_a_diverged_model_has_no_curvature(model, images, labels):
    with torch.no_grad():
        model.head.bias[0] = math.nan
    with pytest.raises(DivergedError, match="not finite"):
        hessian_trace(model, images, labels)
