"""ESAM: which tensors are perturbed and which examples are seen again."""

import pytest
import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import ESAM


def unit(vector):
    return vector / vector.norm()


@pytest.mark.parametrize(("count", "gamma"), [(8, 0.5), (7, 0.5), (8, 0.3), (8, 0.01)])
def test_the_second_pass_is_over_the_examples_whose_loss_rises_most(regression, count, gamma):
    weight, closure = regression(count)
    start = weight.detach().clone()
    ESAM([weight], lr=0.1, rho=0.3, beta=1.0, gamma=gamma).step(closure)
    epsilon = 0.3 * unit(closure.gradients(start).mean(0))
    (first, _, _), (second, point, _), (third, _, rows) = closure.passes
    assert (first, second, third) == (True, False, True)
    assert torch.allclose(point, start + epsilon, rtol=1e-10)
    rise = closure.losses(point) - closure.losses(start)
    taken = max(round(gamma * count), 1)  # not one fewer, as a strict cut would take
    assert sorted(rows.tolist()) == sorted(torch.topk(rise, taken).indices.tolist())
    gradient = closure.gradients(point)[rows].mean(0)
    assert torch.allclose(weight.detach(), start - 0.1 * gradient, rtol=1e-10)


def test_tensors_take_part_with_probability_beta_and_the_rest_stays(blocks):
    counts = torch.zeros(2)
    params, closure = blocks()
    optimizer = ESAM(params, lr=0.1, rho=0.3, beta=0.7, gamma=1.0)
    for step in range(200):
        start = closure.flat()
        optimizer.step(closure)
        moved = closure.passes[2 * step + 1][1] - start
        parts = torch.tensor([moved[:6].any(), moved[6:].any()])
        gradient = closure.gradient(start) * parts.repeat_interleave(torch.tensor([6, 4]))
        assert torch.allclose(moved, 0.3 / 0.7 * unit(gradient), rtol=1e-9)
        assert all(p.requires_grad for p in params)
        counts += parts
    # each with 0.7 + 0.3^2 / 2, since one tensor is always taken: 0.745 +- 4 standard errors
    assert torch.allclose(counts / 200, torch.tensor(0.745), atol=4 * (0.745 * 0.255 / 200) ** 0.5)


def test_no_gradient_is_computed_for_tensors_that_are_set_aside(blocks):
    params, inner = blocks()
    found = []

    def closure(backward=True):
        found.append([p.requires_grad for p in params])
        return inner(backward)

    optimizer = ESAM(params, lr=0.1, beta=0.1, gamma=1.0)
    optimizer.step(closure)
    assert sum(found[0]) == 1
    assert found[1] == [True, True]
    assert all(p.grad is not None for p in params)


def test_one_pass_sets_the_losses_one_looks_and_one_learns(regression):
    weight, closure = regression(8)
    optimizer = ESAM([weight], lr=0.1, gamma=0.25)
    loss = optimizer.step(closure)
    assert (optimizer.cost.forwards, optimizer.cost.backwards) == (2.25, 1.25)
    start = closure.passes[0][1]
    assert loss.item() == pytest.approx(closure.losses(start).mean().item())


@pytest.mark.parametrize("option", ["beta", "gamma"])
@pytest.mark.parametrize("value", [0.0, 1.1])
def test_bad_options_are_refused_in_a_sentence(blocks, option, value):
    with pytest.raises(InputError, match=f"{option} is {value}"):
        ESAM(blocks()[0], lr=0.1, **{option: value})
