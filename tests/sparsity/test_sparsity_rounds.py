"""LTH and LRR: rounds, what is pruned, and what is rewound."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import create_optimizer, make_closure
from robustbench_zosam.sparsity import MaskSet, create_masker
from robustbench_zosam.sparsity.policies.iterative import kept_after
from robustbench_zosam.sparsity.rounds import RoundPlan


def begin(name, model, steps=16, sparsity=0.6, optimizer="sgd", **options):
    masker = create_masker(name, model, sparsity=sparsity, total_steps=steps, **options)
    return masker, create_optimizer(optimizer, model, masker=masker, lr=0.05)


def per_example(model):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 4, 4, generator=generator)
    labels = torch.randint(10, (16,), generator=generator)
    loss = nn.CrossEntropyLoss(reduction="none")
    return make_closure(lambda x, y: loss(model(x), y), images, labels)


def test_so_many_prunings_of_a_fifth_are_needed():
    # ceil(ln d / ln 0.8); the last one would overshoot to 91.4, 95.6 and 98.2 %
    for density, prunings in ((0.1, 11), (0.05, 14), (0.02, 18)):
        kept = kept_after(1_855_584, round(1_855_584 * density), 0.2)
        assert len(kept) == prunings
        assert kept[0] == 1_484_467
        assert kept[-1] == round(1_855_584 * density) > 0.8 * kept[-2]


@given(
    st.integers(1, 10_000), st.floats(0.01, 1), st.floats(0.01, 0.9), st.none() | st.integers(1, 20)
)
def test_counts_fall_to_the_target(total, density, fraction, prunings):
    target = max(round(total * density), 1)
    kept = (total, *kept_after(total, target, fraction, prunings))
    assert kept[-1] == target
    assert list(kept) == sorted(kept, reverse=True)


@given(st.integers(1, 20), st.integers(200, 5000), st.floats(0, 0.9), st.booleans())
def test_every_round_goes_through_the_recipe_to_its_end(rounds, steps, rewind, shared):
    make = RoundPlan.shared if shared else RoundPlan.each
    plan = make(rounds, steps, int(rewind * steps))
    ends = (*plan.starts[1:], plan.training_steps)
    assert len(plan.starts) == rounds
    for index, (start, end) in enumerate(zip(plan.starts, ends, strict=True)):
        assert start < end
        passed = [plan.recipe_step(step) for step in range(start, end)]
        assert passed[0] == (plan.rewind if index else 0)
        assert passed == sorted(passed)
        assert steps - passed[-1] <= -(-steps // (end - start))  # at most one stride is left
        assert {plan.round_of(step) for step in range(start, end)} == {index}
    if shared:
        assert plan.training_steps == steps
    else:
        assert plan.training_steps == steps + (rounds - 1) * (steps - plan.rewind)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "ssam-f", "looksam"])
def test_a_ticket_is_trained_as_if_it_had_been_found_at_the_rewinding_step(network, optimizer):
    model = network()
    masker, driver = begin("lth", model, prunings=1, rewind=0.25, optimizer=optimizer)
    for step in range(16):
        if step == 4:
            early = copy.deepcopy(model.state_dict())
        driver.step(per_example(model))
    late = {layer.name: layer.weight.detach().abs() for layer in masker.layers}
    count = round(0.4 * sum(weight.numel() for weight in late.values()))
    bar = torch.cat([weight.flatten() for weight in late.values()]).sort(descending=True).values
    masks = {name: weight >= bar[count - 1] for name, weight in late.items()}
    late = {name: weight.clone() for name, weight in late.items()}

    twin = network(1)
    twin.load_state_dict(early)
    weights = dict(twin.named_parameters())
    fixed = MaskSet({weights[name]: mask for name, mask in masks.items()})
    other = create_optimizer(optimizer, twin, masker=fixed, lr=0.05)
    if optimizer == "looksam":
        other.cost.steps = 16  # it counts steps from the start
    for _ in range(12):
        driver.step(per_example(model))
        other.step(per_example(twin))
    assert masker.step == masker.training_steps == 28
    assert all(torch.equal(masker.masks[name], mask) for name, mask in masks.items())
    mine, theirs = model.state_dict(), twin.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)  # batch norm's too


def test_learning_rate_rewinding_keeps_the_weights(network, closure_of):
    model = network()
    masker, optimizer = begin("lrr", model, prunings=2, rewind=0.5)
    for _ in range(16):
        optimizer.step(closure_of(model))
    assert masker.recipe_step == 8
    before = copy.deepcopy(model.state_dict())
    assert masker.before_step(optimizer.slots)
    masks = masker.masks
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] * masks.get(name, torch.ones(())))
    masker.check()


def test_prunings_are_exact_and_masks_only_shrink(network, closure_of):
    model = network()
    masker, optimizer = begin("lth", model, steps=40, sparsity=0.9, budget="shared", rewind=0.0)
    assert masker.training_steps == 40
    total = masker.report().maskable
    expected = [total, *kept_after(total, round(0.1 * total), 0.2)]
    seen, before = [], masker.masks
    for _ in range(masker.training_steps):
        optimizer.step(closure_of(model))
        masker.check(optimizer)
        if masker.report().active not in seen:
            seen.append(masker.report().active)
        assert not any((mask & ~before[name]).any() for name, mask in masker.masks.items())
        before = {name: mask.clone() for name, mask in masker.masks.items()}
    assert seen == expected
    assert len(masker.events) == len(expected) - 1 == 11


def test_weights_that_are_not_finite_are_neither_pruned_nor_rewound(network, closure_of):
    model = network()
    masker, optimizer = begin("lth", model, prunings=1)
    for _ in range(16):
        optimizer.step(closure_of(model))
    model[0].weight.data[0] = torch.nan
    optimizer.step(closure_of(model))
    assert masker.events[0].skipped
    assert masker.report().active == masker.report().maskable
    assert model[0].weight.isnan().any()


def test_rounds_that_do_not_fit_are_refused(network):
    with pytest.raises(InputError, match="12 rounds do not fit in 8 steps"):
        begin("lth", network(), steps=8, sparsity=0.9, budget="shared")
    with pytest.raises(InputError, match="budget"):
        begin("lth", network(), budget="mine")
    with pytest.raises(InputError, match="prunings"):
        begin("lrr", network(), prunings=-2)
