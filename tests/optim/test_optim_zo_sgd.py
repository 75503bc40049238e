"""ZO-SGD against its formula, unbiasedness, and the absence of backward passes."""

import math

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import ZOSGD, create_optimizer, make_closure
from robustbench_zosam.optim.directions import draw_direction
from robustbench_zosam.sparsity import create_masker


def drawn(key, size=6, directions="gaussian"):
    return draw_direction(torch.zeros(size, dtype=torch.float64), directions, key)


@pytest.mark.parametrize("directions", ["gaussian", "rademacher", "sphere"])
@pytest.mark.parametrize("queries", [1, 3])
def test_the_gradient_follows_the_formula(quadratic, directions, queries):
    weight, closure = quadratic()
    gradient = closure.gradient(weight.detach())
    optimizer = ZOSGD([weight], lr=0.0, queries=queries, directions=directions, seed=4)
    optimizer.step(closure)
    us = [drawn((4, 0, i), directions=directions) for i in range(queries)]
    expected = sum((gradient @ u) * u for u in us) / queries  # exact on a quadratic
    assert torch.allclose(weight.grad, expected, rtol=1e-6)


def test_independent_vectors_follow_their_formula(quadratic):
    weight, closure = quadratic()
    gradient = closure.gradient(weight.detach())
    ZOSGD([weight], lr=0.0, queries=2, shared=False, seed=4).step(closure)
    expected = torch.zeros(6, dtype=torch.float64)
    for i in range(2):
        u, v = drawn((4, 0, i)), drawn((4, 0, -1 - i))
        assert not torch.equal(u, v)
        expected += (gradient @ u) * (u @ v) * v / 2
    assert torch.allclose(weight.grad, expected, rtol=1e-6)


def estimates(steps, **options):
    """Gradient estimates of a linear loss at many steps, and the gradient."""
    gradient = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    weight = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = ZOSGD([weight], lr=0.0, **options)
    found = []
    for _ in range(steps):
        optimizer.step(lambda backward: gradient @ weight)
        found.append(weight.grad.clone())
    return torch.stack(found), gradient


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({}, 4 + 2),
        ({"directions": "rademacher"}, 4),
        ({"queries": 2}, (4 + 2) / 2 + 1 / 2),
        ({"shared": False}, (4 + 2) ** 2),  # E (g.u)^2 (u.v)^2 |v|^2 = |g|^2 (d + 2)^2
    ],
)
def test_estimates_are_unbiased_and_as_long_as_predicted(options, factor):
    # 3.5 standard errors in 4 + 1 comparisons of each case: false alarm below 1 in 100 together
    found, gradient = estimates(600, **options)
    error = found.std(dim=0) / math.sqrt(len(found))
    assert ((found.mean(dim=0) - gradient).abs() < 3.5 * error).all()
    lengths = found.square().sum(dim=1)
    expected = factor * gradient.square().sum()
    assert (lengths.mean() - expected).abs() < 3.5 * lengths.std() / math.sqrt(len(found))


def test_no_graph_is_ever_built(network):
    model = network()
    inputs, labels = torch.randn(8, 3, 4, 4), torch.randint(10, (8,))
    modes = []

    def losses(x, y):
        found = nn.functional.cross_entropy(model(x), y, reduction="none")
        modes.append(found.requires_grad)
        return found

    optimizer = create_optimizer("zo-sgd", model, lr=1e-3, queries=3)
    for _ in range(2):
        optimizer.step(make_closure(losses, inputs, labels))
    assert modes == [False] * 12
    assert (optimizer.cost.forwards, optimizer.cost.backwards) == (12, 0)


def test_gradients_are_pieces_of_one_vector(network, closure_of):
    model = network()
    optimizer = ZOSGD(model.parameters(), lr=1e-3)
    optimizer.step(closure_of(model))
    storages = {p.grad.untyped_storage().data_ptr() for p in model.parameters()}
    assert len(storages) == 1


def test_the_update_is_that_of_the_base_optimizer(quadratic):
    weight, closure = quadratic()
    twin = nn.Parameter(weight.detach().clone())
    optimizer = ZOSGD([weight], torch.optim.AdamW, lr=0.1, weight_decay=0.1)
    plain = torch.optim.AdamW([twin], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.step(closure)
        twin.grad = weight.grad.clone()
        plain.step()
    assert torch.equal(weight, twin)


def test_frozen_parameters_stay_and_have_no_gradient(network, closure_of):
    model = network()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.detach().clone()
    closure = closure_of(model)
    ZOSGD(model.parameters(), lr=0.1, weight_decay=0.1).step(closure)
    assert torch.equal(model[0].weight, before)
    assert model[0].weight.grad is None
    assert all(torch.equal(weights[0], before) for _, weights, _ in closure.passes)


def test_a_query_that_is_not_finite_contributes_nothing():
    weight = nn.Parameter(torch.ones(3))
    losses = iter([math.nan, 1.0])
    optimizer = ZOSGD([weight], lr=0.1)
    loss = optimizer.step(lambda backward: weight.sum() * 0 + next(losses))
    assert torch.equal(weight, torch.ones(3))
    assert loss.isnan()
    assert optimizer.diagnostics["nonfinite"] == 1


@pytest.mark.parametrize(("grow_grad", "backwards"), [("update", 0), ("clean", 1)])
def test_topology_updates_see_gradients_of_pruned_weights_too(
    network, closure_of, grow_grad, backwards
):
    model = network(dropout=0.0)
    masker = create_masker(
        "rigl", model, sparsity=0.7, total_steps=30, interval=2, grow_grad=grow_grad
    )
    optimizer = create_optimizer("zo-sgd", model, masker=masker, lr=1e-3)
    seen = []
    original = masker.before_update

    def watched(slots):
        name, mask = next(iter(masker.masks.items()))
        seen.append(bool(dict(model.named_parameters())[name].grad[~mask].any()))
        return original(slots)

    masker.before_update = watched
    for _ in range(3):
        optimizer.step(closure_of(model))
        masker.check(optimizer)
    assert seen == [False, False, True]  # the masks change in the third step
    assert optimizer.cost.backwards == backwards
    assert len(masker.events) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0.0}, "delta is 0.0"),
        ({"shared": "yes"}, "shared is 'yes'"),
        ({"queries": 0}, "queries is 0"),
        ({"directions": "cauchy"}, "choose one of gaussian"),
        ({"probe_fraction": 0.5}, "probe_fraction"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options, message):
    with pytest.raises((InputError, TypeError), match=message):
        ZOSGD([nn.Parameter(torch.ones(2))], lr=0.1, **options)
