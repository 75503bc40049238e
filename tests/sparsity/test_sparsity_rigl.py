"""RigL against the rule written out in numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.optim import SAM, create_optimizer
from robustbench_zosam.sparsity import Moment, create_masker
from robustbench_zosam.sparsity.policies.rigl import RigL
from robustbench_zosam.sparsity.policies.schedules import cosine_fraction


def rule(weight, mask, gradient, fraction):
    """Drop and grow on one layer, by sorting."""
    weight, mask, gradient = (x.numpy().ravel() for x in (weight, mask, gradient))
    active = np.flatnonzero(mask)
    count = int(fraction * len(active))
    kept = active[np.argsort(-np.abs(weight[active]))][: len(active) - count]
    others = np.setdiff1d(np.arange(len(mask)), kept)
    grown = others[np.argsort(-np.abs(gradient[others]))][:count]
    new = np.zeros_like(mask)
    new[kept] = new[grown] = True
    return new


def linear(rows=20, columns=30, **options):
    model = nn.Linear(columns, rows, bias=False)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        model.weight.copy_(torch.randn(rows, columns, generator=generator))
    settings = {"sparsity": 0.7, "total_steps": 100, "interval": 10, "tie_noise": 0.0} | options
    return model, create_masker("rigl", model, **settings)


def closure_for(model, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(50, model.in_features, generator=generator)
    y = torch.randn(50, model.out_features, generator=generator)

    def closure(backward=True):
        loss = (model(x) - y).square().mean()
        if backward:
            loss.backward()
        return loss

    return closure


def dense_gradient(model, closure):
    model.weight.grad = None
    closure()
    gradient, model.weight.grad = model.weight.grad, None
    return gradient


def test_the_drop_fraction_is_a_cosine():
    golden = {0: 0.3, 25: 0.2561, 50: 0.15, 75: 0.0439, 100: 0.0}
    assert {t: cosine_fraction(0.3, t, 100) for t in golden} == pytest.approx(golden, abs=5e-5)


def test_updates_fall_on_multiples_before_the_end():
    policy = RigL(interval=10, stop_fraction=0.75)
    policy.prepare(100)
    assert [t for t in range(101) if policy.due(Moment(t, 100))] == [10, 20, 30, 40, 50, 60, 70]


@pytest.mark.parametrize(("steps", "interval"), [(10_000, 100), (690, 51), (10, 1)])
def test_the_default_interval_fits_short_trainings(steps, interval):
    policy = RigL()
    policy.prepare(steps)
    assert policy.interval == interval


def test_growth_takes_the_largest_dense_gradients():
    model, masker = linear()
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.1)
    closure = closure_for(model)
    for step in range(71):
        weight, mask = model.weight.detach().clone(), masker.masks["weight"].clone()
        gradient = dense_gradient(model, closure)
        optimizer.step(closure)
        if step % 10 == 0 and step > 0:
            expected = rule(weight, mask, gradient, cosine_fraction(0.3, step, 75))
            assert np.array_equal(masker.masks["weight"].numpy().ravel(), expected)
            assert (expected != mask.numpy().ravel()).any() or step > 60
    assert [event.step for event in masker.events] == [10, 20, 30, 40, 50, 60, 70]


def test_the_update_replaces_the_step_and_starts_from_zero():
    model, masker = linear()
    optimizer = create_optimizer("adamw", model, masker=masker, lr=0.01)
    closure = closure_for(model)
    for _ in range(10):
        optimizer.step(closure)
    weight, old = model.weight.detach().clone(), masker.masks["weight"].clone()
    state = {k: v.clone() for k, v in optimizer.state[model.weight].items()}
    optimizer.step(closure)
    new = masker.masks["weight"]
    both = old & new
    assert (new & ~old).any()
    assert torch.equal(model.weight[both], weight[both])
    assert not model.weight[~both].any()
    assert optimizer.state[model.weight]["step"] == state["step"] == 10
    for slot in ("exp_avg", "exp_avg_sq"):
        assert torch.equal(optimizer.state[model.weight][slot][both], state[slot][both])
        assert not optimizer.state[model.weight][slot][~both].any()


def test_what_was_written_off_the_mask_does_not_wake_up():
    model, masker = linear(interval=1)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.1)
    closure = closure_for(model)
    optimizer.step(closure)
    old = masker.masks["weight"].clone()
    with torch.no_grad():
        model.weight[~old] = 7.0
    optimizer.state[model.weight]["momentum_buffer"][~old] = 7.0
    optimizer.step(closure)
    grown = masker.masks["weight"] & ~old
    assert grown.any()
    assert not model.weight[grown].any()
    assert not optimizer.state[model.weight]["momentum_buffer"][grown].any()
    masker.check(optimizer)


def test_a_weight_dropped_and_grown_again_keeps_value_and_momentum():
    model, masker = linear(rows=1, columns=10, sparsity=0.5, interval=1, drop_fraction=0.5)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.1)
    active = masker.masks["weight"].flatten().nonzero().flatten()
    smallest = active[0]
    with torch.no_grad():
        model.weight[0, active] = torch.tensor([0.01, 1.0, 2.0, 3.0, 4.0])
    x = torch.zeros(1, 10)
    x[0, smallest] = 5.0  # the loss depends on the smallest active weight alone

    def closure():
        loss = model(x).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    value = model.weight[0, smallest].clone()
    momentum = optimizer.state[model.weight]["momentum_buffer"][0, smallest].clone()
    optimizer.step(closure)
    assert masker.masks["weight"][0, smallest]
    assert model.weight[0, smallest] == value != 0
    assert optimizer.state[model.weight]["momentum_buffer"][0, smallest] == momentum != 0
    assert masker.events[0].dropped == masker.events[0].grown


def test_survivors_are_those_of_the_last_growth_still_active():
    model, masker = linear(interval=2, drop_fraction=0.5)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=1e-3)
    closure = closure_for(model)
    fresh, expected = torch.zeros_like(masker.masks["weight"]), []
    for step in range(9):
        old = masker.masks["weight"].clone()
        optimizer.step(closure)
        new = masker.masks["weight"]
        if step in {2, 4, 6, 8}:
            dropped, grown = int((old & ~new).sum()), int((new & ~old).sum())
            expected.append((step, dropped, grown, int((fresh & new).sum())))
            fresh = new & ~old
    assert [(e.step, e.dropped, e.grown, e.survivors) for e in masker.events] == expected
    assert 0 < expected[1][3] < expected[0][2]


def test_exploration_counts_every_weight_that_was_ever_active():
    model, masker = linear(interval=2)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.1)
    seen, closure = masker.masks["weight"].clone(), closure_for(model)
    for _ in range(30):
        optimizer.step(closure)
        seen |= masker.masks["weight"]
    assert masker.report().exploration == seen.sum().item() / seen.numel() > 0.3


def grow_with_sam(grow_grad):
    # a large radius, so that the two gradients rank differently
    model, masker = linear(interval=1, grow_grad=grow_grad, drop_fraction=0.5)
    optimizer = SAM(model.parameters(), lr=1e-3, rho=20.0, mask=masker)
    closure = closure_for(model)
    optimizer.step(closure)
    weight, mask = model.weight.detach().clone(), masker.masks["weight"].clone()
    clean = dense_gradient(model, closure)
    with torch.no_grad():
        model.weight += 20.0 * mask * clean / (mask * clean).norm()
    perturbed = dense_gradient(model, closure)
    with torch.no_grad():
        model.weight.copy_(weight)
    before = (optimizer.cost.forwards, optimizer.cost.backwards)
    optimizer.step(closure)
    cost = (optimizer.cost.forwards - before[0], optimizer.cost.backwards - before[1])
    fraction = cosine_fraction(0.5, 1, 75)
    rules = {
        n: rule(weight, mask, g, fraction) for n, g in (("clean", clean), ("update", perturbed))
    }
    assert not np.array_equal(rules["clean"], rules["update"])
    return masker.masks["weight"].numpy().ravel(), rules, cost


def test_growth_by_the_gradient_of_the_update_uses_perturbed_weights():
    grown, rules, cost = grow_with_sam("update")
    assert np.array_equal(grown, rules["update"])
    assert cost == (2, 2)


def test_growth_by_the_clean_gradient_costs_one_plain_pass():
    grown, rules, cost = grow_with_sam("clean")
    assert np.array_equal(grown, rules["clean"])
    assert cost == (1, 1)


def test_a_gradient_that_is_not_finite_puts_the_update_off():
    model, masker = linear(interval=1)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.0)
    closure = closure_for(model)
    optimizer.step(closure)
    old = masker.masks["weight"].clone()

    def overflow():
        loss = model.weight.sum() * torch.inf
        loss.backward()
        return loss

    optimizer.step(overflow)
    assert masker.events[0].skipped
    assert torch.equal(masker.masks["weight"], old)


def test_a_layer_without_gradient_keeps_its_mask():
    model = nn.ModuleDict({"used": nn.Linear(10, 10), "unused": nn.Linear(10, 10)})
    masker = create_masker("rigl", model, sparsity=0.5, total_steps=100, interval=1)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.1)
    before = {name: mask.clone() for name, mask in masker.masks.items()}
    x = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))

    def closure():
        loss = model["used"](x).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.step(closure)
    assert torch.equal(masker.masks["unused.weight"], before["unused.weight"])
    assert not torch.equal(masker.masks["used.weight"], before["used.weight"])
    masker.check(optimizer)


def test_tie_noise_chooses_among_equal_weights():
    chosen = []
    for seed in range(2):
        model, masker = linear(interval=1, tie_noise=1e-5, seed=3)
        masker._generator.manual_seed(seed)
        optimizer = create_optimizer("sgd", model, masker=masker, lr=0.0)
        with torch.no_grad():
            model.weight.fill_(1.0)
        closure = closure_for(model)
        optimizer.step(closure)
        optimizer.step(closure)
        chosen.append(masker.masks["weight"].clone())
    assert not torch.equal(*chosen)
