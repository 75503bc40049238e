"""ZO-SAM against its formula, SAM, and the law of random estimates."""

import math

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import SAM, ZOSAM
from robustbench_zosam.optim import zo_sam as module
from robustbench_zosam.optim.directions import draw_direction


def run(weight, closure, **options):
    """One step of separate passes; returns epsilon and the optimizer."""
    optimizer = ZOSAM([weight], lr=0.0, reuse="none", **options)
    start = weight.detach().clone()
    optimizer.step(closure)
    return closure.passes[-1][1] - start, optimizer


@pytest.mark.parametrize("directions", ["gaussian", "rademacher", "sphere"])
@pytest.mark.parametrize("queries", [1, 3])
def test_epsilon_follows_the_formula(quadratic, directions, queries):
    weight, closure = quadratic()
    start = weight.detach().clone()
    found, _ = run(weight, closure, rho=0.3, queries=queries, directions=directions, seed=4)
    losses = [loss for _, _, loss in closure.passes]
    estimate = torch.zeros(6, dtype=torch.float64)
    for i in range(queries):
        u = draw_direction(torch.zeros(6, dtype=torch.float64), directions, (4, 0, i))
        u /= u.norm()
        assert torch.allclose(closure.passes[2 * i][1], start + 0.3 * u, rtol=1e-12)
        assert torch.allclose(closure.passes[2 * i + 1][1], start - 0.3 * u, rtol=1e-12)
        estimate += (losses[2 * i] - losses[2 * i + 1]) / (2 * 0.3 * queries) * u
    assert torch.allclose(found, 0.3 * estimate / estimate.norm(), rtol=1e-10)
    assert found.norm().item() == pytest.approx(0.3)


def test_one_query_is_a_direction_signed_uphill(quadratic):
    weight, closure = quadratic()
    found, _ = run(weight, closure, rho=0.3, seed=2)
    u = draw_direction(torch.zeros(6, dtype=torch.float64), "gaussian", (2, 0, 0))
    sign = torch.sign(closure.passes[0][2] - closure.passes[1][2])
    assert torch.allclose(found, 0.3 * sign * u / u.norm(), rtol=1e-12)


def test_a_full_basis_of_queries_gives_the_epsilon_of_sam(quadratic, monkeypatch):
    basis = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]

    def coordinate(out, distribution, key, support):
        return out.copy_(basis[key[2]])

    monkeypatch.setattr(module, "draw_direction", coordinate)
    weight, closure = quadratic()
    found, _ = run(weight, closure, rho=0.3, queries=6, delta=1e-3)
    other, sam_closure = quadratic()
    start = other.detach().clone()
    SAM([other], lr=0.0, rho=0.3).step(sam_closure)
    # central differences of a quadratic are exact, so only rounding remains
    assert torch.allclose(found, sam_closure.passes[-1][1] - start, atol=1e-9)


def cosines(size, queries, steps):
    """Alignment of the estimate with the gradient of a linear loss, at many steps."""
    gradient = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = nn.Parameter(torch.zeros(size, dtype=torch.float64))
    seen = []

    def closure(backward=True):
        loss = gradient @ weight
        if backward:
            loss.backward()
            seen.append(torch.cosine_similarity(weight.detach(), gradient, dim=0).item())
        return loss

    optimizer = ZOSAM([weight], lr=0.0, rho=1.0, queries=queries, reuse="none")
    for _ in range(steps):
        optimizer.step(closure)
    return torch.tensor(seen)


@pytest.mark.parametrize(
    ("size", "queries", "law"),
    [
        (100, 1, math.sqrt(2 / (math.pi * 100))),
        (400, 1, math.sqrt(2 / (math.pi * 400))),
        (400, 8, math.sqrt(8 / (400 + 8 + 1))),
    ],
)
def test_the_alignment_shrinks_with_the_dimension(size, queries, law):
    # the second law is approximate to about 1 per cent; 3.5 standard errors: false alarm 5e-4
    found = cosines(size, queries, 600)
    error = found.std().item() / math.sqrt(len(found))
    assert abs(found.mean().item() - law) < 3.5 * error + (0.01 * law if queries > 1 else 0)


def test_a_linear_loss_is_never_descended(quadratic):
    assert (cosines(50, 1, 100) > 0).all()


@pytest.mark.parametrize(
    ("options", "delta"),
    [
        ({}, 0.2 / math.sqrt(3)),
        ({"probe_radius": 0.05}, 0.05 / math.sqrt(3)),
        ({"delta": 0.01}, 0.01),
        ({"support": "dense"}, 0.2 / math.sqrt(6)),
    ],
)
def test_the_probe_step_counts_perturbed_weights(quadratic, options, delta):
    weight, closure = quadratic()
    mask = torch.tensor([True, False, True, True, False, False])
    found, _ = run(weight, closure, rho=0.2, mask={weight: mask}, directions="sphere", **options)
    perturbed = torch.ones_like(mask) if "support" in options else mask
    radius = (closure.passes[0][1] - closure.passes[1][1]).norm() / 2
    assert radius.item() == pytest.approx(delta * math.sqrt(perturbed.sum()))
    assert torch.equal(found != 0, perturbed)
    assert not weight[~mask].any()


def flat_closure(weight, values):
    """A closure whose losses are given, whatever the weights."""
    values = iter(values)

    def closure(backward=True):
        loss = weight.sum() * 0 + next(values)
        if backward:
            loss.backward()
        flat_closure.seen = weight.detach().clone()
        return loss

    return closure


@pytest.mark.parametrize("queries", [1, 2])
def test_equal_losses_perturb_nothing_and_are_counted(queries):
    weight = nn.Parameter(torch.ones(5))
    optimizer = ZOSAM([weight], lr=0.1, queries=queries)
    loss = optimizer.step(flat_closure(weight, [2.0] * (2 * queries + 1)))
    assert torch.equal(flat_closure.seen, torch.ones(5))
    assert torch.equal(weight, torch.ones(5))
    assert loss == 2
    assert optimizer.diagnostics == {
        "probes": queries, "equal": queries, "below_noise": queries, "nonfinite": 0
    }  # fmt: skip


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_probe_that_is_not_finite_contributes_nothing(bad):
    weight = nn.Parameter(torch.ones(5))
    optimizer = ZOSAM([weight], lr=0.1, queries=2, rho=0.5, seed=3)
    loss = optimizer.step(flat_closure(weight, [bad, 1.0, 3.0, 2.0, 0.0]))
    u = draw_direction(torch.zeros(5), "gaussian", (3, 0, 1))
    assert torch.allclose(flat_closure.seen - 1, 0.5 * u / u.norm(), atol=1e-6)
    assert loss == 2.5
    assert optimizer.diagnostics["nonfinite"] == 1
    assert optimizer.diagnostics["equal"] == 0


def test_probes_that_are_all_not_finite_perturb_nothing_and_say_so():
    weight = nn.Parameter(torch.ones(5))
    optimizer = ZOSAM([weight], lr=0.1)
    optimizer.step(flat_closure(weight, [math.inf, math.inf, 0.0]))
    assert torch.equal(flat_closure.seen, torch.ones(5))
    assert optimizer.last_clean_loss.isnan()
    assert optimizer.diagnostics["nonfinite"] == 1


def test_differences_below_the_noise_of_float32_are_counted():
    weight = nn.Parameter(torch.ones(5))
    optimizer = ZOSAM([weight], lr=0.1, queries=2)
    eps = torch.finfo(torch.float32).eps
    optimizer.step(flat_closure(weight, [1 + eps, 1.0, 1 + 8 * eps, 1.0, 0.0]))
    assert optimizer.diagnostics["below_noise"] == 1


def test_the_clean_loss_is_estimated_to_second_order(quadratic):
    errors = []
    for radius in (0.1, 0.05):
        weight, closure = quadratic()
        with torch.no_grad():
            clean = closure(backward=False)
        _, optimizer = run(weight, closure, probe_radius=radius)
        errors.append((optimizer.last_clean_loss - clean).item())
    assert errors[0] == pytest.approx(4 * errors[1])  # exact for a quadratic
    assert 0 < errors[0] < 0.1


def test_probes_leave_autocast_and_the_gradient_pass_keeps_it(quadratic):
    weight, closure = quadratic(dtype=torch.float32)
    seen = []

    def observed(backward=True):
        seen.append((backward, torch.is_autocast_enabled("cpu")))
        return closure(backward)

    with torch.autocast("cpu", torch.bfloat16):
        ZOSAM([weight], lr=0.1, reuse="none").step(observed)
    assert seen == [(False, False), (False, False), (True, True)]


def test_runs_of_one_seed_agree_and_of_two_differ(network, closure_of):
    finals = []
    for seed, disturbance in ((0, 0), (0, 1), (1, 0)):
        model = network(dropout=0.0)
        optimizer = ZOSAM(model.parameters(), lr=0.1, rho=0.5, seed=seed, queries=2)
        torch.manual_seed(disturbance)  # the global stream is of no influence
        for _ in range(3):
            optimizer.step(closure_of(model))
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(finals[0], finals[1])
    assert not torch.equal(finals[0], finals[2])
