"""What surrounds a step: autocast regions, gradients from before, other people's closures."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS, SAM, create_optimizer, make_closure


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 6, generator=generator)
    return x, torch.randint(3, (12,), generator=generator)


def loss_of(model):
    return lambda x, y: nn.functional.cross_entropy(model(x).float(), y, reduction="none")


PERTURBING = [e.name for e in OPTIMIZERS if e.name not in {"sgd", "adamw", "zo-sgd"}]


@pytest.mark.parametrize("name", PERTURBING)
def test_an_autocast_region_around_a_step_sees_the_perturbed_weights(name):
    ends = []
    for rho in (0.0, 2.0):
        model = network()
        optimizer = create_optimizer(name, model, lr=0.5, rho=rho, steps_per_epoch=4)
        closure = make_closure(loss_of(model), *batch())
        for _ in range(3):  # s2-sam perturbs from the second step on
            with torch.autocast("cpu", torch.bfloat16):
                optimizer.step(closure)
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert (ends[0] - ends[1]).abs().max() > 1e-3


def test_gradients_from_before_a_step_are_not_thrown_away():
    model = network()
    closure = make_closure(loss_of(model), *batch())
    optimizer = SAM(model.parameters(), lr=0.1)
    closure()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(InputError, match="micro_batches"):
        optimizer.step(closure)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    optimizer.zero_grad(set_to_none=False)
    for _ in range(2):  # what a step leaves is no surprise to the next
        optimizer.step(closure)
    closure()
    with pytest.raises(InputError, match="zero_grad"):
        optimizer.step(closure)


def test_the_base_optimizer_alone_accumulates_as_torch_does():
    ends = []
    for build in (
        lambda model: create_optimizer("sgd", model, lr=0.1, momentum=0.0, weight_decay=0.0),
        lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    ):
        model = network()
        optimizer = build(model)
        x, y = batch()
        make_closure(loss_of(model), x[:6], y[:6])()
        optimizer.step(make_closure(loss_of(model), x[6:], y[6:]))
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*ends)
