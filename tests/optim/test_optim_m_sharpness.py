"""m-sharpness: every group of m examples has a perturbation of its own."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SAM, make_closure

RHO = 0.3


@pytest.mark.parametrize("m", [1, 3, 8, 20])
def test_the_gradient_is_the_mean_of_those_of_sam_on_each_group(regression, m):
    weight, closure = regression(8)
    closure.size = 8
    start = weight.detach().clone()
    expected = torch.zeros(4, dtype=torch.float64)
    losses = torch.zeros((), dtype=torch.float64)
    for rows in torch.arange(8).split(m):
        clean = closure.gradients(start)[rows].mean(0)
        expected += closure.gradients(start + RHO * clean / clean.norm())[rows].sum(0) / 8
        losses += closure.losses(start)[rows].sum() / 8
    optimizer = SAM([weight], rho=RHO, m=m, lr=1.0)
    loss = optimizer.step(closure)
    torch.testing.assert_close(start - weight.detach(), expected[None])
    torch.testing.assert_close(loss, losses)
    assert optimizer.cost.forwards == pytest.approx(2)
    assert optimizer.cost.backwards == pytest.approx(2)


def test_groups_draw_their_own_numbers_and_steps_too(network):
    model = network(dropout=0.5)
    model[1] = nn.Identity()
    images = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).expand(
        4, -1, -1, -1
    )
    seen = []

    def losses(x):
        out = model(x)
        seen.append(out.detach().clone())
        return out.square().sum(1)

    optimizer = SAM(model.parameters(), rho=1e-9, m=2, lr=0.0)
    torch.manual_seed(0)
    for _ in range(2):
        optimizer.step(make_closure(losses, images))
    assert len(seen) == 8
    for clean, perturbed in zip(seen[0::2], seen[1::2], strict=True):
        torch.testing.assert_close(clean, perturbed, rtol=1e-4, atol=1e-5)
    first = seen[0::2]
    assert not any(torch.allclose(a, b) for i, a in enumerate(first) for b in first[:i])


def test_statistics_come_from_the_first_group(network):
    model = network(dropout=0.0)
    images = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    optimizer = SAM(model.parameters(), m=4, lr=0.1)
    optimizer.step(make_closure(lambda x: model(x).square().sum(1), images))
    twin = network(dropout=0.0)
    twin(images[:4])
    assert torch.equal(model[1].running_mean, twin[1].running_mean)
    assert model[1].num_batches_tracked == 1


def test_a_part_of_the_network_that_the_last_group_does_not_reach_keeps_its_gradient():
    first, second = (nn.Parameter(torch.ones(())) for _ in range(2))
    x = torch.tensor([1.0, -1.0])
    closure = make_closure(lambda x: first * x if x[0] > 0 else second * x, x)
    SAM([first, second], rho=0.1, m=1, lr=1.0).step(closure)
    assert (first, second) == (0.5, 1.5)


def test_what_it_needs_is_said_in_a_sentence(regression, network):
    weight, closure = regression(8)
    optimizer = SAM([weight], m=2, lr=0.1)
    with pytest.raises(InputError, match=r"need the size of the mini-batch.*make_closure"):
        optimizer.step(closure)
    with pytest.raises(InputError, match="let the closure take an argument"):
        optimizer.step(lambda backward=True: weight.square().sum())
    with pytest.raises(InputError, match=r"has no first_step\(\) with m 2"):
        optimizer.first_step()
    with pytest.raises(InputError, match="m is 0"):
        SAM([weight], m=0, lr=0.1)
