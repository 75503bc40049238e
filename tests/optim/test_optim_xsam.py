"""XSAM against its formulas written out, and its search."""

import copy
import math

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import XSAM


def unit(vector):
    return vector / vector.norm()


def arc(first, second, alpha):
    angle = math.acos(max(-1.0, min(1.0, (unit(first) @ unit(second)).item())))
    one, two = (math.sin(share * angle) / math.sin(angle) for share in (1 - alpha, alpha))
    return one * unit(first) + two * unit(second)


@pytest.mark.parametrize("ascent_steps", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.7])
def test_it_steps_along_the_arc_with_the_length_of_the_perturbed_gradient(
    blocks, alpha, ascent_steps
):
    params, closure = blocks()
    start = closure.flat()
    XSAM(params, lr=0.05, rho=0.3, alpha=alpha, ascent_steps=ascent_steps).step(closure)
    point = start
    for _ in range(ascent_steps):
        point = point + 0.3 / ascent_steps * unit(closure.gradient(point))
    gradient = closure.gradient(point)
    step = gradient.norm() * arc(point - start, gradient, alpha)
    assert step.norm().item() == pytest.approx(gradient.norm().item())
    assert torch.allclose(closure.flat(), start - 0.05 * step, rtol=1e-9)
    assert len(closure.passes) == ascent_steps + 1


def test_the_search_takes_the_direction_of_the_largest_loss(blocks):
    params, closure = blocks()
    start = closure.flat()
    optimizer = XSAM(params, lr=0.05, rho=4.0, rho_max=0.8)
    optimizer.step(closure)
    point = start + 4.0 * unit(closure.gradient(start))
    gradient = closure.gradient(point)
    directions = [arc(point - start, gradient, index / 10) for index in range(21)]
    losses = [closure.value(start + 0.8 * direction) for direction in directions]
    best = max(range(21), key=lambda index: losses[index])
    assert optimizer.found_alpha == pytest.approx(best / 10)
    assert best not in {0, 10, 20}  # or this test would show little
    assert [backward for backward, _, _ in closure.passes] == [True] * 2 + [False] * 21
    expected = start - 0.05 * gradient.norm() * directions[best]
    assert torch.allclose(closure.flat(), expected, rtol=1e-9)


def test_it_searches_once_per_epoch_and_resumes_between(blocks):
    params, closure = blocks()
    optimizer = XSAM(params, lr=0.05, steps_per_epoch=3, alpha_step=0.5)
    searched = []
    for step in range(7):
        if step == 4:
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = XSAM(params, lr=0.05, steps_per_epoch=3, alpha_step=0.5)
            optimizer.load_state_dict(saved)
        closure.passes.clear()
        optimizer.step(closure)
        searched.append(len(closure.passes) == 2 + 5)
    assert searched == [True, False, False, True, False, False, True]


def test_a_topology_update_does_not_make_it_miss_a_search(blocks):
    params, closure = blocks()
    optimizer = XSAM(params, lr=0.05, steps_per_epoch=2)
    optimizer.masks.gradient_source = lambda: "clean" if optimizer.cost.steps == 0 else None
    optimizer.step(closure)
    assert len(closure.passes) == 1
    optimizer.step(closure)
    assert len(closure.passes) == 1 + 2 + 21


@pytest.mark.parametrize("loss", ["negative", "nan", "partly nan"])
def test_losses_below_zero_are_compared_and_those_that_are_not_numbers_left_out(blocks, loss):
    params, inner = blocks()
    optimizer = XSAM(params, lr=0.0, rho=4.0, rho_max=0.8)
    optimizer.step(inner)
    honest, optimizer = optimizer.found_alpha, XSAM(params, lr=0.0, rho=4.0, rho_max=0.8)
    queries = []

    def closure(backward=True):
        value = inner(backward)
        if backward:
            return value
        queries.append(value)
        if loss == "negative":
            return value - 1e3
        return value * torch.nan if loss == "nan" or len(queries) % 2 == 0 else value

    optimizer.step(closure)
    if loss == "negative":
        assert optimizer.found_alpha == honest
    elif loss == "nan":
        assert optimizer.found_alpha == 1.0
    else:
        assert optimizer.found_alpha == pytest.approx(honest, abs=0.11)
        assert round(optimizer.found_alpha * 10) % 2 == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parallel_directions_are_no_nan(dtype):
    # the cosine of a vector with itself exceeds one by rounding for about a third of all vectors
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        weight = nn.Parameter(torch.randn(7, generator=generator, dtype=dtype))

        def closure(backward=True, weight=weight):
            loss = weight.square().sum() / 2  # every gradient is parallel to the weights
            if backward:
                loss.backward()
            return loss

        start = weight.detach().clone()
        XSAM([weight], lr=0.1, rho=0.1, alpha=1.7).step(closure)
        expected = start - 0.1 * (start + 0.1 * unit(start))
        assert torch.allclose(weight.detach(), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho_max": 0.0}, "rho_max is 0.0"),
        ({"ascent_steps": 0}, "ascent_steps is 0"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"alpha_max": 1.0, "alpha_step": 0.3}, "alpha_max 1.0 is no multiple of alpha_step 0.3"),
        ({"alpha_max": 1e6}, "alpha_step 0.1 make 10000001 forward passes per search"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(blocks, options, message):
    with pytest.raises(InputError, match=message):
        XSAM(blocks()[0], lr=0.1, **options)
