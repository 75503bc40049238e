"""Momentum-SAM and WSAM against their published equations, written out step by step."""

import pytest
import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SAM, WSAM, MomentumSAM

RHO, LR, MOMENTUM, DECAY = 0.3, 0.05, 0.9, 0.01


def test_momentum_sam_perturbs_against_the_momentum_buffer(quadratic):
    weight, closure = quadratic()
    w, v = weight.detach().clone(), torch.zeros(6, dtype=torch.float64)
    optimizer = MomentumSAM([weight], rho=RHO, lr=LR, weight_decay=DECAY)  # 0.9 is its momentum
    for step in range(8):
        optimizer.step(closure)
        at = w - RHO * v / v.norm() if step else w
        torch.testing.assert_close(closure.passes[-1][1], at)
        v = MOMENTUM * v + closure.gradient(at) + DECAY * w
        w = w - LR * v
        torch.testing.assert_close(weight.detach(), w)
    assert (optimizer.cost.forwards, optimizer.cost.backwards) == (8, 8)


def test_momentum_sam_perturbs_against_the_first_moment_of_adamw(quadratic):
    weight, closure = quadratic()
    first, w = torch.zeros(6, dtype=torch.float64), weight.detach().clone()
    optimizer = MomentumSAM([weight], torch.optim.AdamW, rho=RHO, lr=LR)
    for step in range(5):
        optimizer.step(closure)
        at = closure.passes[-1][1]
        torch.testing.assert_close(at, w - RHO * first / first.norm() if step else w)
        first = 0.9 * first + 0.1 * closure.gradient(at)
        w = weight.detach().clone()


def test_momentum_sam_settles_where_the_perturbed_gradient_vanishes(quadratic):
    weight, closure = quadratic()
    optimizer = MomentumSAM([weight], rho=1e-3, lr=0.05)
    for _ in range(600):
        optimizer.step(closure)
    assert torch.linalg.vector_norm(weight.detach() - closure.minimum) < 5e-3


def test_momentum_sam_without_momentum_is_refused(quadratic):
    weight, closure = quadratic()
    with pytest.raises(InputError, match="momentum is 0"):
        MomentumSAM([weight], momentum=0, lr=0.1)
    optimizer = MomentumSAM([weight], torch.optim.Adagrad, lr=0.1)
    with pytest.raises(InputError, match="Adagrad keeps no momentum"):
        optimizer.step(closure)


def wsam(closure, w, gamma, *, decouple, adaptive):
    """Yields the weights of algorithm 1 with momentum and weight decay."""
    v, weight = torch.zeros_like(w), gamma / (1 - gamma)
    while True:
        clean = closure.gradient(w)
        scales = w.abs() if adaptive else torch.ones_like(w)
        perturbed = closure.gradient(w + RHO * scales**2 * clean / (scales * clean).norm())
        sharpness = perturbed - clean
        along = clean if decouple else (1 - weight) * clean + weight * perturbed
        v = MOMENTUM * v + along + DECAY * w
        w = w - LR * v - (LR * weight * sharpness if decouple else 0)
        yield w


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("decouple", [True, False])
@pytest.mark.parametrize("adaptive", [True, False])
def test_wsam_follows_its_algorithm(quadratic, gamma, decouple, adaptive):
    weight, closure = quadratic()
    options = {"gamma": gamma, "decouple": decouple, "adaptive": adaptive}
    steps = wsam(closure, weight.detach().clone(), **options)
    optimizer = WSAM([weight], rho=RHO, lr=LR, momentum=MOMENTUM, weight_decay=DECAY, **options)
    for expected, _ in zip(steps, range(6), strict=False):
        optimizer.step(closure)
        torch.testing.assert_close(weight.detach(), expected)


def test_coupled_wsam_with_gamma_one_half_is_sam(quadratic):
    ends = []
    for kind, options in ((SAM, {}), (WSAM, {"gamma": 0.5, "decouple": False})):
        weight, closure = quadratic()
        optimizer = kind([weight], rho=RHO, lr=LR, momentum=MOMENTUM, **options)
        for _ in range(10):
            optimizer.step(closure)
        ends.append(weight.detach())
    torch.testing.assert_close(*ends)


def test_wsam_keeps_sharpness_out_of_the_momentum_and_each_group_at_its_rate(blocks):
    params, closure = blocks()
    groups = [{"params": [params[0]], "lr": 0.0}, {"params": [params[1]], "lr": LR}]
    at = closure.flat()
    clean = closure.gradient(at)
    sharpness = closure.gradient(at + RHO * clean / clean.norm()) - clean
    optimizer = WSAM(groups, rho=RHO, gamma=0.5, lr=1.0, momentum=MOMENTUM)
    optimizer.step(closure)
    torch.testing.assert_close(optimizer.state[params[1]]["momentum_buffer"], clean[6:])
    expected = at - torch.cat([torch.zeros(6), torch.ones(4)]) * LR * (clean + sharpness)
    torch.testing.assert_close(closure.flat(), expected)


def test_a_sharpness_that_overflowed_moves_nothing(quadratic):
    weight, closure = quadratic(dtype=torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    optimizer = WSAM([weight], rho=RHO, lr=LR, scaler=scaler)
    before = weight.detach().clone()

    def scaled(backward=True):
        loss = closure(backward=False)
        if backward:
            scaler.scale(loss * 100).backward()
        return loss

    optimizer.step(scaled)
    assert torch.equal(weight.detach(), before)
