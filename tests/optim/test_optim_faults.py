"""Faults of released implementations, each as a test that would catch it here.

Those that concern one method's formula (norms by tensor instead of over all weights, averages of
the wrong gradient, searches and selections off by one) are with the method's own tests.
"""

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import OPTIMIZERS, SAM, XSAM, LookSAM, create_optimizer, make_closure

PERTURBING = [entry.name for entry in OPTIMIZERS if "rho" in entry.options]
QUICK = {"samples": 8, "gamma": 1.0}


def options_of(name):
    known = OPTIMIZERS[name].options
    return {k: v for k, v in QUICK.items() if k in known and (name, k) != ("wsam", "gamma")}


def spy(closure, model):
    """Records the weights at each call of a closure."""
    points = []

    def watched(*arguments, **options):
        points.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        return closure(*arguments, **options)

    return watched, points


def least_squares(model):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 4, generator=generator)
    return make_closure(lambda a: model(a).square().sum(1) + model(a).sum(1), x)


def linear():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(4, 3)


@pytest.mark.parametrize("name", PERTURBING)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_clearing_gradients_between_steps_does_not_end_the_perturbation(name, set_to_none):
    # S2-SAM's code finds no gradient after torch 2's zero_grad and becomes plain SGD
    model = linear()
    optimizer = create_optimizer(name, model, lr=0.1, rho=0.3, **options_of(name))
    closure, points = spy(least_squares(model), model)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=set_to_none)
        points.clear()
        before = torch.cat([p.detach().flatten() for p in model.parameters()])
        optimizer.step(closure)
    in_between = name == "looksam"  # perturbs every tenth step
    assert in_between or any(not torch.equal(point, before) for point in points)


@pytest.mark.parametrize("name", PERTURBING)
def test_a_layer_the_second_pass_skips_is_restored(name):
    # restoring only what has a gradient leaves it perturbed: davda54/sam, SSAM and others
    model = linear()
    skipped = nn.Parameter(torch.ones(4))
    calls = []
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 4, generator=generator)

    def loss_of(rows):
        calls.append(len(rows))
        scaled = rows * skipped if len(calls) == 1 else rows
        return model(scaled).square().sum(1)

    optimizer = OPTIMIZERS[name].load()(
        [*model.parameters(), skipped], lr=0.1, rho=0.3, **options_of(name)
    )
    optimizer.step(make_closure(loss_of, x))
    if len(calls) > 1:  # else that pass's gradient moves it, rightly
        assert torch.equal(skipped, torch.ones(4))


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_the_first_call_of_step_needs_no_gradients_and_moves_the_weights(name):
    # elsewhere step(closure) expects that the first backward pass is done, or sees zero gradients
    model = linear()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = create_optimizer(name, model, lr=0.1, **options_of(name))
    optimizer.step(least_squares(model))
    assert all((p != b).any() for p, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("name", PERTURBING)
def test_the_norm_is_over_all_groups(name):
    # ports that look at the first group, or at each tensor alone, differ between these two
    finals = []
    for grouped in (False, True):
        model = linear()
        params = list(model.parameters())
        optimizer = OPTIMIZERS[name].load()(
            [{"params": [p]} for p in params] if grouped else params,
            lr=0.1,
            rho=0.3,
            **options_of(name),
        )
        for _ in range(12):
            optimizer.step(least_squares(model))
        finals.append(torch.cat([p.detach().flatten() for p in params]))
    assert torch.equal(*finals)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_method_starts_from_the_same_weight_decay(name):
    # the scripts of S2-SAM train SGD with 1e-4 and SAM with 5e-4
    if OPTIMIZERS[name].base not in {None, "sgd"}:
        pytest.skip("its base has defaults of its own")
    (group,) = create_optimizer(name, linear(), lr=0.1).param_groups
    assert (
        group["weight_decay"]
        == create_optimizer("sgd", linear(), lr=0.1).param_groups[0]["weight_decay"]
    )


def test_looksam_saves_time_and_does_not_turn_into_sgd():
    # one library runs both passes at every step; another loses the remembered part
    model, twin = linear(), linear()
    optimizer = LookSAM(model.parameters(), lr=0.1, rho=0.3, interval=4)
    plain = torch.optim.SGD(twin.parameters(), lr=0.1)
    for step in range(4):
        twin.load_state_dict(model.state_dict())
        optimizer.step(least_squares(model))
        plain.zero_grad()
        least_squares(twin)()
        plain.step()
        assert not torch.allclose(model.weight, twin.weight, atol=1e-4), step
    assert optimizer.cost.backwards == 5


def test_tensors_of_one_graph_are_not_reused_between_passes():
    model = linear()
    closure = least_squares(model)
    for kind in (SAM, XSAM):
        optimizer = kind(model.parameters(), lr=0.01)
        for _ in range(2):
            assert optimizer.step(closure).isfinite()


def test_metrics_are_at_the_weights_themselves():
    # the loss of the second pass is that of perturbed weights
    for name in PERTURBING:
        model = linear()
        closure = least_squares(model)
        clean = closure(backward=False)
        optimizer = create_optimizer(name, model, lr=0.1, rho=1.0, **options_of(name))
        loss = optimizer.step(closure)
        if optimizer.last_clean_loss is not None and optimizer.cost.backwards > 1:
            assert torch.allclose(loss, clean)
            assert optimizer.last_loss != clean
