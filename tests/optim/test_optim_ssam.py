"""Sparse SAM: which weights are perturbed."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SSAMD, SSAMF, make_closure
from robustbench_zosam.optim.perturbed import Pattern, perturbed_count
from robustbench_zosam.optim.space import ParameterSpace


def unit(vector):
    return vector / vector.norm()


def perturbed(optimizer):
    return optimizer.vectors["perturbed"] > 0


def test_ssam_f_perturbs_where_the_squared_gradients_of_single_examples_are_largest(regression):
    weight, closure = regression(8)
    start = weight.detach().clone()
    optimizer = SSAMF([weight], lr=0.1, rho=0.3, sparsity=0.5, samples=5)
    optimizer.step(closure)
    each = closure.gradients(start)
    fisher = each[:5].square().sum(0)
    chosen = torch.zeros(4).index_fill(0, fisher.topk(2).indices, 1.0)
    assert not torch.equal(chosen > 0, each.mean(0).abs() >= each.mean(0).abs().topk(2).values[1])
    epsilon = 0.3 * unit(each.mean(0)) * chosen  # the norm is taken before the choice
    point = closure.passes[-1][1]
    assert torch.allclose(point, start + epsilon, rtol=1e-10)
    moved = start - 0.1 * closure.gradients(point).mean(0)
    assert torch.allclose(weight.detach(), moved, rtol=1e-10)
    assert [len(rows) for _, _, rows in closure.passes] == [8, 1, 1, 1, 1, 1, 8]
    assert optimizer.cost.backwards == pytest.approx(2 + 5 / 8)


def test_ssam_f_collects_over_mini_batches_and_again_each_period(regression):
    weight, closure = regression(8)
    optimizer = SSAMF(
        [weight], lr=0.0, sparsity=0.5, samples=20, update_epochs=2, steps_per_epoch=3
    )
    singles = []
    for _ in range(8):
        closure.passes.clear()
        optimizer.step(closure)
        singles.append(sum(len(rows) == 1 for _, _, rows in closure.passes))
    assert singles == [8, 8, 4, 0, 0, 0, 8, 8]
    assert "fisher" in optimizer.vectors


def images():
    return torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def closure_for(model):
    def loss_of(x, y):
        return nn.functional.cross_entropy(model(x), y, reduction="none")

    return make_closure(loss_of, images(), torch.arange(16) % 10)


def test_ssam_f_leaves_batch_norm_as_one_pass_does(network):
    model, twin = network(), network()
    torch.manual_seed(0)
    SSAMF(model.parameters(), lr=0.0, samples=16).step(closure_for(model))
    torch.manual_seed(0)
    twin(images())
    assert torch.equal(model[1].running_var, twin[1].running_var)
    assert model[1].num_batches_tracked == 1


def test_ssam_d_keeps_its_count_and_drops_by_gradient(blocks):
    params, closure = blocks()
    optimizer = SSAMD(
        params, lr=0.05, sparsity=0.5, update_epochs=1, steps_per_epoch=2, epochs=8, drop_rate=0.6
    )
    start = closure.flat()
    optimizer.step(closure)
    first = closure.passes[1][1] != start
    assert int(first.sum()) == 5
    epsilon = optimizer.rho * unit(closure.gradient(start)) * first
    assert torch.allclose(closure.passes[1][1] - start, epsilon, rtol=1e-8)
    kept = first & perturbed(optimizer)
    size = closure.gradient(start).abs()
    assert int(kept.sum()) == 2  # 5 - int(5 * 0.6)
    assert size[kept].min() > size[first & ~kept].max()
    changes = []
    for _ in range(15):
        before = perturbed(optimizer)
        optimizer.step(closure)
        assert int(perturbed(optimizer).sum()) == 5
        changes.append(int((before & ~perturbed(optimizer)).sum()))
    assert changes[::2] == [0] * 8  # the second steps of the epochs
    rates = [0.6 * (1 + math.cos(math.pi * epoch / 8)) / 2 for epoch in range(1, 8)]
    assert changes[1::2] == [int(5 * rate) for rate in rates]


def test_ssam_d_with_the_published_defaults_keeps_its_count_too():
    # at sparsity 0.2 fewer weights are free than half of the perturbed ones
    weight = nn.Parameter(torch.randn(50, generator=torch.Generator().manual_seed(0)))
    optimizer = SSAMD([weight], lr=0.1, steps_per_epoch=1, update_epochs=1)

    def closure(backward=True):
        loss = weight.square().sum()
        if backward:
            loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
        assert int(perturbed(optimizer).sum()) == 40


@pytest.mark.parametrize("kind", [SSAMF, SSAMD])
def test_the_share_is_of_the_active_weights(regression, kind):
    weight, closure = regression(8)
    mask = torch.tensor([[True, False, True, True]])
    optimizer = kind([weight], lr=0.1, sparsity=1 / 3, mask={weight: mask})
    optimizer.step(closure)
    assert int(perturbed(optimizer).sum()) == 2
    assert not perturbed(optimizer)[1]


def space_of(*shapes):
    return ParameterSpace([nn.Parameter(torch.zeros(shape)) for shape in shapes])


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.sampled_from([1, 3])),
    n=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_n_of_m_groups_lie_along_the_input_channels(shape, n, seed):
    outputs, inputs, side = shape
    space = space_of((outputs, inputs, side, side), (7,))
    scores = torch.rand(space.dimension, generator=torch.Generator().manual_seed(seed))
    chosen = Pattern.parse(f"{n}:4").choose(scores, 0, space, None)
    weight, bias = space.views(chosen)
    score, _ = space.views(scores)
    assert bias.all()
    for o, r, c in itertools.product(range(outputs), range(side), range(side)):
        for start in range(0, inputs, 4):
            group = [(o, i, r, c) for i in range(start, min(start + 4, inputs))]
            best = sorted(group, key=lambda at: -score[at])[:n]  # of a short group too
            assert {at for at in group if weight[at]} == set(best)


def test_whole_tensors_are_taken_by_their_mean_until_enough_is_covered():
    space = space_of((4,), (2, 3), (5,))
    scores = torch.cat([torch.full((4,), 1.0), torch.full((6,), 3.0), torch.full((5,), 2.0)])
    scores[4] = 100.0
    pattern = Pattern.parse("structured")
    for count, expected in ((1, [0, 1, 0]), (6, [0, 1, 0]), (7, [0, 1, 1]), (12, [1, 1, 1])):
        views = space.views(pattern.choose(scores, count, space, None))
        assert [bool(view.all()) for view in views] == [bool(x) for x in expected]
        assert [bool(view.any()) for view in views] == [bool(x) for x in expected]


def test_the_mean_of_a_tensor_is_over_its_active_weights():
    space = space_of((4,), (4,))
    scores = torch.tensor([3.0, 0, 0, 0, 1, 1, 1, 1])
    support = scores > 0
    chosen = Pattern.parse("structured").choose(scores, 1, space, support)
    assert chosen.tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


@settings(max_examples=30, deadline=None)
@given(d=st.integers(1, 60), sparsity=st.floats(0, 0.99), seed=st.integers(0, 99))
def test_the_unstructured_choice_is_the_top_of_the_support(d, sparsity, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(d, generator=generator)
    support = torch.rand(d, generator=generator) < 0.7
    count = perturbed_count(int(support.sum()), sparsity)
    chosen = Pattern.parse("unstructured").choose(scores, count, space_of((d,)), support) > 0
    assert int(chosen.sum()) == count
    assert not (chosen & ~support).any()
    rest = support & ~chosen
    assert not (chosen.any() and rest.any()) or scores[chosen].min() >= scores[rest].max()


def test_the_count_does_not_suffer_from_rounding():
    assert perturbed_count(10, 0.7) == 3
    assert perturbed_count(1000, 0.1) == 900
    assert perturbed_count(10, 0.0) == 10
    assert perturbed_count(10, 0.01) == 9


@pytest.mark.parametrize("kind", [SSAMF, SSAMD])
@pytest.mark.parametrize("pattern", ["structured", "2:4", "1:1"])
def test_patterns_hold_through_training(network, kind, pattern):
    model = network()
    optimizer = kind(model.parameters(), lr=0.1, pattern=pattern, steps_per_epoch=1)
    for _ in range(6):
        optimizer.step(closure_for(model))
    if pattern == "2:4":
        views = optimizer.space.views(optimizer.vectors["perturbed"])
        found = [view.mean().item() for view in views]
        assert found == pytest.approx([2 / 3, 1, 1, 1, 0.5, 1])  # rows of three inputs keep two
    if pattern == "structured":
        views = optimizer.space.views(optimizer.vectors["perturbed"])
        assert all(view.all() or not view.any() for view in views)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SSAMF, {"sparsity": 1.0}, "sparsity is 1.0"),
        (SSAMF, {"pattern": "4:2"}, "pattern is '4:2'"),
        (SSAMF, {"pattern": "filters"}, "choose unstructured, structured, or N:M"),
        (SSAMF, {"pattern": "2:4", "sparsity": 0.2}, "has sparsity 0.5, not 0.2"),
        (SSAMF, {"samples": 0}, "samples is 0"),
        (SSAMF, {"update_epochs": 0}, "update_epochs is 0"),
        (SSAMD, {"drop_rate": 1.5}, "drop_rate is 1.5"),
        (SSAMD, {"drop_score": "fisher"}, "drop_score is 'fisher'"),
        (SSAMD, {"growth_score": "fisher"}, "growth_score is 'fisher'"),
        (SSAMD, {"epochs": 0}, "epochs is 0"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(blocks, kind, options, message):
    with pytest.raises(InputError, match=message):
        kind(blocks()[0], lr=0.1, **options)
