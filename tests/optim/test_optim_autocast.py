"""A step inside an autocast region, which keeps the weights it has cast."""

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import OPTIMIZERS, create_optimizer, make_closure

PERTURBING = [entry.name for entry in OPTIMIZERS if "rho" in entry.options]


@pytest.mark.parametrize("name", PERTURBING)
def test_every_pass_sees_the_perturbed_weights(name):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 6, generator=generator)
    y = torch.randint(3, (12,), generator=generator)
    ends = []
    for rho in (0.0, 2.0):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
        optimizer = create_optimizer(name, model, lr=0.5, rho=rho, steps_per_epoch=4)

        def loss_of(inputs, labels, model=model):
            return nn.functional.cross_entropy(model(inputs).float(), labels, reduction="none")

        for _ in range(3):  # s2-sam perturbs from the second step on
            with torch.autocast("cpu", torch.bfloat16):
                optimizer.step(make_closure(loss_of, x, y))
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert (ends[0] - ends[1]).abs().max() > 1e-3
