"""What the base class promises to every method: closures, groups, schedulers, scaling, memory."""

import copy

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import (
    SAM,
    ZOSAM,
    Plain,
    RandomPerturbation,
    SharpnessAware,
)
from robustbench_zosam.optim.directions import scale_to
from robustbench_zosam.sparsity import create_masker


class PreviousGradient(SharpnessAware):
    """A method with memory: perturbs along the gradient of the step before."""

    def perturbation(self, passes):
        return scale_to(self.vectors.get("previous", self.space.zeros()).clone(), self.rho)

    def _gradient(self, passes):
        loss = super()._gradient(passes)
        self.vectors["previous"] = self.space.gather_gradients()
        return loss


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def plain_closure(weight):
    def closure():
        loss = weight.square().sum()
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("kind", [Plain, SAM, RandomPerturbation])
def test_a_plain_closure_is_enough_without_loss_queries(kind):
    weight = nn.Parameter(torch.ones(3))
    kind([weight], lr=0.1).step(plain_closure(weight))
    assert (weight < 1).all()


@pytest.mark.parametrize("reuse", ["both", "late", "none"])
def test_a_plain_closure_is_enough_where_losses_are_queried(quadratic, reuse):
    (weight, closure), (twin, other) = quadratic(), quadratic()
    optimizer = ZOSAM([weight], lr=0.1, reuse=reuse)
    plain = ZOSAM([twin], lr=0.1, reuse=reuse)
    for _ in range(3):
        optimizer.step(closure)
        plain.step(lambda: other())
    assert torch.equal(weight, twin)


@pytest.mark.parametrize(
    "closure_factory",
    [
        lambda w: lambda backward=True: None,
        lambda w: lambda backward=True: 0.5,
        lambda w: lambda backward=True: w * 2,
    ],
)
def test_a_closure_that_returns_no_mean_loss_is_refused(closure_factory):
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(InputError, match="return the mean loss"):
        ZOSAM([weight], lr=0.1).step(closure_factory(weight))


def test_a_step_without_closure_is_refused():
    with pytest.raises(InputError, match="needs a closure"):
        SAM([nn.Parameter(torch.ones(3))], lr=0.1).step()


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_pass_leaves_the_weights_as_they_were(network, closure_of, failing):
    model = network()
    inner, calls = closure_of(model), []

    def closure(backward=True):
        loss = inner(backward)
        calls.append(backward)
        if len(calls) > failing:
            raise MemoryError("boom")
        return loss

    before = flat(model)
    with pytest.raises(MemoryError):
        ZOSAM(model.parameters(), lr=0.1, rho=1.0, reuse="none").step(closure)
    assert torch.equal(flat(model), before)


def test_gradients_are_cleared_before_each_pass(network, closure_of):
    model, twin = network(dropout=0.0), network(dropout=0.0)
    optimizers = SAM(model.parameters(), lr=0.1), SAM(twin.parameters(), lr=0.1)
    for _ in range(2):
        optimizers[0].step(closure_of(model))
        optimizers[1].zero_grad()
        optimizers[1].step(closure_of(twin))
    assert torch.equal(flat(model), flat(twin))


def test_groups_and_state_are_those_of_the_base(network, closure_of):
    model = network()
    optimizer = SAM(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        assert optimizer.param_groups is optimizer.base.param_groups
        assert optimizer.state is optimizer.base.state
        optimizer.step(closure_of(model))
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def test_groups_have_options_of_their_own_and_can_be_added(network, closure_of):
    model = network()
    optimizer = ZOSAM([{"params": model[0].parameters(), "lr": 0.0}], lr=0.1, rho=0.5)
    optimizer.step(closure_of(model))
    optimizer.add_param_group({"params": model[5].parameters()})
    assert optimizer.space.dimension == sum(
        p.numel() for i in (0, 5) for p in model[i].parameters()
    )
    before = model[0].weight.detach().clone(), model[5].weight.detach().clone()
    closure = closure_of(model)
    optimizer.step(closure)
    assert torch.equal(model[0].weight, before[0])
    assert not torch.equal(model[5].weight, before[1])
    assert not torch.equal(closure.passes[0][1][4], before[1])


def test_named_parameters_are_accepted(network, closure_of):
    model = network()
    optimizer = SAM(model.named_parameters(), lr=0.1)
    optimizer.step(closure_of(model))
    assert optimizer.param_groups[0]["param_names"][0] == "0.weight"


def test_unfreezing_a_parameter_lets_it_be_perturbed(network, closure_of):
    model = network()
    model[0].weight.requires_grad_(False)
    optimizer = RandomPerturbation(model.parameters(), lr=0.0)
    for frozen in (True, False):
        model[0].weight.requires_grad_(not frozen)
        closure = closure_of(model)
        optimizer.step(closure)
        assert torch.equal(closure.passes[0][1][0], model[0].weight) == frozen


@pytest.mark.parametrize("kind", [Plain, SAM, RandomPerturbation, ZOSAM])
def test_a_gradient_scaler_changes_nothing_but_the_scale(network, closure_of, kind):
    finals = []
    for scaled in (False, True):
        model = network(dropout=0.0)
        inner = closure_of(model)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10) if scaled else None
        optimizer = kind(model.parameters(), lr=0.1, momentum=0.9, scaler=scaler)

        def closure(backward=True, inner=inner, scaler=scaler):
            loss = inner(backward=False)
            if backward:
                (loss if scaler is None else scaler.scale(loss)).backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
            if scaler is not None:
                scaler.update()
        finals.append(flat(model))
    assert torch.allclose(*finals, atol=1e-6)


@pytest.mark.parametrize("kind", [Plain, SAM, ZOSAM])
def test_a_gradient_that_overflows_skips_the_step_and_lowers_the_scale(network, closure_of, kind):
    model = network()
    inner = closure_of(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    masker = create_masker("rigl", model, sparsity=0.5, total_steps=9, interval=1)
    optimizer = kind(model.parameters(), lr=0.1, momentum=0.9, mask=masker, scaler=scaler)

    def closure(backward=True):
        loss = inner(backward=False)
        if backward:
            (scaler.scale(loss) * torch.inf).backward()
        return loss

    for _ in range(2):
        before = flat(model)
        optimizer.step(closure)
        scaler.update()
        assert torch.equal(flat(model), before)
    assert scaler.get_scale() == 2.0**8
    assert [event.skipped for event in masker.events] == [True]


def test_a_topology_update_that_replaces_the_step_gets_along_with_a_scaler(network, closure_of):
    model = network()
    inner, scaler = closure_of(model), torch.amp.GradScaler("cpu")
    masker = create_masker("rigl", model, sparsity=0.5, total_steps=9, interval=1)
    optimizer = ZOSAM(model.parameters(), lr=0.1, mask=masker, scaler=scaler)

    def closure(backward=True):
        loss = inner(backward=False)
        if backward:
            scaler.scale(loss).backward()
        return loss

    for _ in range(4):
        optimizer.step(closure)
        scaler.update()
    assert len(masker.events) == 3


def test_memory_of_a_method_is_masked_saved_and_follows_new_groups(network, closure_of):
    def build(seed):
        model = network(seed, dropout=0.0)
        masker = create_masker("rigl", model, sparsity=0.7, total_steps=30, interval=2, seed=seed)
        optimizer = PreviousGradient(model.parameters(), lr=0.1, momentum=0.9, mask=masker)
        return model, masker, optimizer

    model, masker, optimizer = build(0)
    for _ in range(5):
        optimizer.step(closure_of(model))
        masker.check(optimizer)
    assert len(optimizer.slots(model[0].weight)) == 2
    assert optimizer.vectors["previous"].any()

    other, other_masker, resumed = build(1)
    other.load_state_dict(model.state_dict())
    other_masker.load_state_dict(masker.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(5):
        optimizer.step(closure_of(model))
        resumed.step(closure_of(other))
    assert torch.equal(flat(model), flat(other))

    extra = nn.Parameter(torch.zeros(3))
    old = optimizer.vectors["previous"].clone()
    optimizer.add_param_group({"params": [extra]})
    optimizer.slots(extra)
    assert optimizer.space.dimension == len(old) + 3
    assert torch.equal(optimizer.vectors["previous"], torch.cat([old, torch.zeros(3)]))


def test_the_state_of_another_method_is_refused(network):
    model = network()
    optimizer = SAM(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match="one of ZOSAM"):
        optimizer.load_state_dict(ZOSAM(model.parameters(), lr=0.1).state_dict())
    with pytest.raises(InputError, match="a plain torch optimizer"):
        optimizer.load_state_dict(torch.optim.SGD(model.parameters(), lr=0.1).state_dict())


def test_the_radius_may_change_and_is_saved(network, closure_of):
    model = network()
    optimizer = SAM(model.parameters(), lr=0.0, rho=0.1)
    optimizer.rho = 0.7
    closure = closure_of(model)
    optimizer.step(closure)
    moved = [a - b for a, b in zip(closure.passes[1][1], model.parameters(), strict=True)]
    assert torch.cat([m.flatten() for m in moved]).norm().item() == pytest.approx(0.7, rel=1e-4)
    twin = SAM(model.parameters(), lr=0.0)
    twin.load_state_dict(optimizer.state_dict())
    assert twin.rho == 0.7
