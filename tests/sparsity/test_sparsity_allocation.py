"""Densities against the published rule's golden values, and exact rounding as properties."""

import math
from collections import Counter, defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.errors import InputError
from robustbench_zosam.models import MODELS
from robustbench_zosam.sparsity import (
    create_masker,
    er,
    erk,
    exact_counts,
    maskable_layers,
    uniform,
)
from robustbench_zosam.sparsity.allocation import target_count


def resnet32x2():
    shapes = {"conv1": (32, 3, 3, 3)}
    width = 32
    for stage, out in enumerate((32, 64, 128), start=1):
        for block in range(5):
            shapes[f"l{stage}.{block}.conv1"] = (out, width, 3, 3)
            shapes[f"l{stage}.{block}.conv2"] = (out, out, 3, 3)
            if width != out:
                shapes[f"l{stage}.shortcut"] = (out, width, 1, 1)
            width = out
    return shapes | {"fc": (10, 128)}


def vgg19():
    widths = [3, 64, 64, 128, 128, *[256] * 4, *[512] * 8]
    pairs = enumerate(zip(widths[1:], widths, strict=False))
    shapes = {f"conv{i}": (out, into, 3, 3) for i, (out, into) in pairs}
    return shapes | {"fc": (10, 512)}


def wrn28x10():
    shapes, width = {"conv1": (16, 3, 3, 3)}, 16
    for out in (160, 320, 640):
        for block in range(4):
            shapes[f"b{out}.{block}.conv1"] = (out, width, 3, 3)
            shapes[f"b{out}.{block}.conv2"] = (out, out, 3, 3)
            if width != out:
                shapes[f"b{out}.shortcut"] = (out, width, 1, 1)
            width = out
    return shapes | {"fc": (10, 640)}


GOLDEN = [
    (resnet32x2, 0.10, {"conv1", "fc", "l2.shortcut"},
     {"l1.0.conv1": 0.28955, "l2.1.conv1": 0.13857, "l3.4.conv2": 0.06773, "l3.shortcut": 0.90278}),
    (resnet32x2, 0.05, {"fc"}, {"conv1": 0.88679, "l1.0.conv1": 0.14194, "l3.4.conv2": 0.03320}),
    (resnet32x2, 0.02, set(),
     {"conv1": 0.34999, "fc": 0.79516, "l1.0.conv1": 0.05602, "l3.4.conv2": 0.01310}),
    (vgg19, 0.10, {"conv0", "fc"},
     {"conv1": 0.68940, "conv4": 0.25081, "conv8": 0.12444, "conv15": 0.08280}),
    (vgg19, 0.02, {"conv0", "fc"}, {"conv1": 0.13599, "conv8": 0.02455, "conv15": 0.01633}),
    (wrn28x10, 0.10, {"conv1", "fc", "b160.0.conv1", "b160.shortcut", "b320.shortcut"},
     {"b160.1.conv1": 0.27666, "b640.1.conv1": 0.06821}),
    (wrn28x10, 0.02, {"conv1", "fc", "b160.shortcut"},
     {"b160.1.conv1": 0.05394, "b640.1.conv1": 0.01330}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("net", "total"), [(resnet32x2, 1_855_584), (vgg19, 20_024_000), (wrn28x10, 36_461_232)]
)
def test_the_shapes_are_those_of_the_published_networks(net, total):
    assert sum(math.prod(shape) for shape in net().values()) == total


MODELS_OF = {resnet32x2: ("resnet32", 2), vgg19: ("vgg19-bn", 1), wrn28x10: ("wrn-28-10", 1)}


@pytest.mark.parametrize("net", MODELS_OF)
def test_the_models_here_have_these_layers(net):
    name, width = MODELS_OF[net]
    with torch.device("meta"):  # only shapes
        layers = maskable_layers(MODELS[name].load()(10, width=width))
    assert Counter(layer.shape for layer in layers) == Counter(net().values())


@pytest.mark.parametrize("density", [0.10, 0.05, 0.02])
def test_random_masks_of_the_benchmark_network_have_the_golden_densities(density):
    model = MODELS["resnet32"].load()(10, width=2)
    masker = create_masker("random", model, sparsity=1 - density, total_steps=1)
    found = masker.report()
    assert found.active == round(density * 1_855_584)
    wanted = dict(zip(net := resnet32x2(), erk(list(net.values()), 1 - density), strict=True))
    by_shape = defaultdict(set)
    for name, shape in net.items():
        by_shape[shape].add(wanted[name])
    for layer in found.layers:
        assert any(abs(layer.active - d * layer.size) < 1 + 1e-6 for d in by_shape[layer.shape])


@pytest.mark.parametrize(("sparsity", "of_all"), [(0.9, 0.8940), (0.95, 0.9437), (0.98, 0.9735)])
def test_the_published_mest_leaves_more_than_it_says(sparsity, of_all):
    dense = ["conv1", "*.shortcut", "fc"]  # only the 3x3 convolutions of the blocks are pruned
    model = MODELS["resnet32"].load()(10, width=2)
    masker = create_masker("mest-em", model, sparsity=sparsity, total_steps=100, dense_layers=dense)
    assert len(masker.masks) == 30
    zeros = masker.report().maskable - masker.report().active
    assert zeros / 1_855_584 == pytest.approx(of_all, abs=5e-5)


@pytest.mark.parametrize(("net", "density", "full", "samples"), GOLDEN)
def test_erk_follows_the_published_rule(net, density, full, samples):
    sizes = [math.prod(shape) for shape in net().values()]
    # the published code rounds every layer's budget up before it shares the sum out
    budget = sum(size - math.floor((1 - density) * size) for size in sizes)
    assert 0 <= budget - round(density * sum(sizes)) <= len(sizes)
    found = dict(zip(net(), erk(list(net().values()), 1 - budget / sum(sizes)), strict=True))
    assert {name for name, value in found.items() if value == 1} == full
    assert {name: found[name] for name in samples} == pytest.approx(samples, abs=1e-5)


def test_er_ignores_the_kernel_and_erk_does_not():
    shapes = [(64, 64, 3, 3), (64, 64, 1, 1), (64, 64)]
    kernel_free = er(shapes, 0.9)
    assert kernel_free[0] == kernel_free[1] == kernel_free[2]
    assert erk(shapes, 0.9)[1] > erk(shapes, 0.9)[0]


def test_er_is_proportional_to_the_sum_over_the_product():
    small, large = er([(10, 30), (100, 300)], 0.95)
    assert small / large == pytest.approx((40 / 300) / (400 / 30_000))


def test_uniform_gives_every_layer_the_same_density():
    assert uniform([(4, 4), (8, 8)], 0.75) == (0.25, 0.25)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("allocate", [uniform, er, erk])
def test_a_sparsity_out_of_range_is_refused(allocate, sparsity):
    with pytest.raises(InputError, match="sparsity"):
        allocate([(4, 4)], sparsity)


@pytest.mark.parametrize("allocate", [uniform, er, erk])
def test_fewer_weights_than_layers_are_refused(allocate):
    with pytest.raises(InputError, match="each needs at least one"):
        allocate([(2, 2)] * 5, 0.9)


def test_no_layer_is_left_empty():
    assert exact_counts([100, 100, 100], [0.5, 0.001, 0.001], 51) == (49, 1, 1)


def test_counts_that_cannot_exist_are_refused():
    with pytest.raises(InputError, match="cannot be spread"):
        exact_counts([2, 2], [1.0, 1.0], 5)


SHAPES = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=12,
)


@given(SHAPES, st.floats(0, 0.99), st.sampled_from([uniform, er, erk]))
def test_counts_sum_exactly_to_the_target(shapes, sparsity, allocate):
    sizes = [math.prod(shape) for shape in shapes]
    target = round((1 - sparsity) * sum(sizes))
    if target < len(sizes):
        with pytest.raises(InputError):
            allocate(shapes, sparsity)
        return
    densities = allocate(shapes, sparsity)
    counts = exact_counts(sizes, densities, target_count(sizes, sparsity))
    assert sum(counts) == target
    assert all(1 <= n <= size for n, size in zip(counts, sizes, strict=True))
    wanted = [d * size for d, size in zip(densities, sizes, strict=True)]
    assert sum(wanted) == pytest.approx(target, abs=0.51)
    if all(w >= 1 for w in wanted):
        assert all(abs(n - w) < 1 + 1e-6 for n, w in zip(counts, wanted, strict=True))


@given(SHAPES, st.floats(0.01, 0.99))
def test_erk_densities_below_one_are_proportional(shapes, sparsity):
    sizes = [math.prod(shape) for shape in shapes]
    if round((1 - sparsity) * sum(sizes)) < len(sizes):
        return
    ratios = [
        density * math.prod(shape) / sum(shape)
        for shape, density in zip(shapes, erk(shapes, sparsity), strict=True)
        if density < 1
    ]
    assert all(ratio > 0 for ratio in ratios)
    assert max(ratios, default=1) == pytest.approx(min(ratios, default=1))
