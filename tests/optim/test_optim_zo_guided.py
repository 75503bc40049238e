"""Guided ZO-SAM against projections, and the law of its cosine."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SAM, GuidedZOSAM, create_optimizer
from robustbench_zosam.optim.zo_sam_guided import expected_cosine
from robustbench_zosam.sparsity import create_masker


def epsilon_of(optimizer, weight, closure):
    """One step; returns the perturbation."""
    start = weight.detach().clone()
    optimizer.step(closure)
    return closure.passes[-1][1] - start


@pytest.mark.parametrize("queries", [1, 2, 3])
def test_the_perturbation_is_the_gradient_projected_on_the_latest_ones(quadratic, queries):
    weight, closure = quadratic()
    optimizer = GuidedZOSAM([weight], lr=0.2, rho=0.3, queries=queries, reuse="none")
    past = []
    for step in range(6):
        start = weight.detach().clone()
        epsilon = epsilon_of(optimizer, weight, closure)
        if step >= queries:
            basis, _ = torch.linalg.qr(torch.stack(past[:queries], dim=1))
            projected = basis @ (basis.T @ closure.gradient(start))
            # central differences of a quadratic are exact, so only rounding remains
            assert torch.allclose(epsilon, 0.3 * projected / projected.norm(), atol=1e-9)
        past.insert(0, closure.gradient(closure.passes[-1][1]))
        assert epsilon.norm().item() == pytest.approx(0.3)


def test_one_query_chooses_the_sign_of_the_latest_gradient(quadratic):
    weight, closure = quadratic()
    optimizer = GuidedZOSAM([weight], lr=0.0, rho=0.3, reuse="none")
    optimizer.step(closure)
    latest = closure.gradient(closure.passes[-1][1])
    with torch.no_grad():
        weight.copy_(2 * closure.minimum - weight)  # on the other side gradients are reversed
    start = weight.detach().clone()
    epsilon = epsilon_of(optimizer, weight, closure)
    assert latest @ closure.gradient(start) < 0
    assert torch.allclose(epsilon, -0.3 * latest / latest.norm(), atol=1e-9)
    assert optimizer.diagnostics["turned"] == 1


def test_with_as_many_queries_as_weights_it_is_sam(quadratic):
    weight, closure = quadratic()
    optimizer = GuidedZOSAM([weight], lr=0.05, rho=0.3, queries=6)
    for _ in range(8):
        start = weight.detach().clone()
        epsilon = epsilon_of(optimizer, weight, closure)
    gradient = closure.gradient(start)
    assert torch.allclose(epsilon, 0.3 * gradient / gradient.norm(), atol=1e-5)


def test_random_directions_take_the_place_of_missing_guides(quadratic):
    weight, closure = quadratic()
    start = weight.detach().clone()
    epsilon_of(GuidedZOSAM([weight], lr=0.1, rho=0.3, queries=2), weight, closure)
    moved = [(at - start) for _, at, _ in closure.passes[:4:2]]
    assert all(m.norm().item() == pytest.approx(0.3) for m in moved)
    other, closure = quadratic()
    optimizer = GuidedZOSAM([other], lr=0.0, rho=0.3, queries=3, guides=1)
    for _ in range(2):
        closure.passes.clear()
        optimizer.step(closure)
    assert len(optimizer.vectors) == 1
    moved = [(at - other.detach()) / 0.3 for _, at, _ in closure.passes[:6:2]]
    assert abs(float(moved[0] @ moved[1])) < 1e-9  # random ones are orthogonal to the guides
    assert abs(float(moved[0] @ moved[2])) < 1e-9
    assert all(m.norm().item() == pytest.approx(1) for m in moved)


def noisy_run(kappa, steps, size=4000):
    """Cosines of the perturbation, on linear losses whose gradients are G plus fresh noise."""
    generator = torch.Generator().manual_seed(0)
    signal = torch.zeros(size, dtype=torch.float64)
    signal[0] = math.sqrt(kappa)
    weight = nn.Parameter(torch.zeros(size, dtype=torch.float64))
    optimizer = GuidedZOSAM([weight], lr=0.0, rho=1.0, reuse="none")
    found = []
    for _ in range(steps):
        noise = torch.randn(size, generator=generator, dtype=torch.float64)
        g = signal + noise * math.sqrt((1 - kappa) / size)

        def closure(backward=True, g=g):
            loss = g @ weight
            if backward:
                found.append(float(weight.detach() @ g / g.norm()))
                loss.backward()
            return loss

        optimizer.step(closure)
    return torch.tensor(found[1:])


@pytest.mark.parametrize("kappa", [0.0, 0.02, 0.3])
def test_the_cosine_follows_its_law(kappa):
    # g_t and g_{t-1} share G alone: their cosine has mean kappa and spread
    # sqrt(((1 - kappa)^2 + 2 kappa (1 - kappa)) / d); 3.5 standard errors: false alarm 5e-4
    found = noisy_run(kappa, 400)
    spread = math.sqrt(((1 - kappa) ** 2 + 2 * kappa * (1 - kappa)) / 4000)
    error = found.std().item() / math.sqrt(len(found))
    assert abs(found.mean().item() - expected_cosine(kappa, spread=spread)) < 3.5 * error
    assert (found > 0).all()  # a linear loss is never descended


@given(st.floats(-1, 1), st.floats(0, 1))
def test_asking_for_the_sign_never_costs_alignment(kappa, spread):
    assert expected_cosine(kappa, spread=spread) >= abs(kappa) - 1e-12
    assert expected_cosine(kappa, spread=spread) <= math.hypot(kappa, spread) + 1e-12


def test_guides_stay_inside_the_masks_as_these_change(network, closure_of):
    model = network(dropout=0.0)
    masker = create_masker("rigl", model, sparsity=0.7, total_steps=30, interval=2)
    optimizer = create_optimizer("zo-sam-guided", model, masker=masker, lr=0.1, queries=3)
    for _ in range(9):
        optimizer.step(closure_of(model))
        masker.check(optimizer)
    assert len(masker.events) >= 3
    guides = torch.stack([optimizer.vectors[name] for name in sorted(optimizer.vectors)])
    assert guides.shape == (3, optimizer.space.dimension)


def test_remembered_directions_survive_a_gradient_that_overflows(network, closure_of):
    model = network(dropout=0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimizer = GuidedZOSAM(model.parameters(), lr=0.1, queries=2, scaler=scaler)
    inner, factors = closure_of(model), iter([1.0, math.inf, 1.0, 1.0])

    def closure(backward=True):
        loss = inner(backward=False)
        if backward:
            (scaler.scale(loss) * next(factors)).backward()
        return loss

    for _ in range(4):
        optimizer.step(closure)
        scaler.update()
        assert all(vector.isfinite().all() for vector in optimizer.vectors.values())
    assert all(p.isfinite().all() for p in model.parameters())


def test_parallel_gradients_do_no_harm(quadratic):
    weight = nn.Parameter(torch.ones(4, dtype=torch.float64))

    def closure(backward=True):
        loss = weight.sum()
        if backward:
            closure.seen = weight.detach().clone()
            loss.backward()
        return loss

    optimizer = GuidedZOSAM([weight], lr=0.0, rho=0.2, queries=3)
    for _ in range(5):
        optimizer.step(closure)
        assert closure.seen.isfinite().all()
    assert torch.allclose(closure.seen - 1, torch.full((4,), 0.1, dtype=torch.float64), atol=1e-6)


def test_it_needs_no_more_passes_than_zo_sam(network, closure_of):
    model = network()
    optimizer = GuidedZOSAM(model.parameters(), lr=0.1, queries=2)
    for _ in range(3):
        optimizer.step(closure_of(model))
    assert (optimizer.cost.forwards, optimizer.cost.backwards) == (15, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guides": 2}, "guides is 2, but there are 1 queries"),
        ({"guides": -1}, "guides is -1"),
        ({"probe_radius": 0.0}, "probe_radius is 0.0"),
        ({"queries": 0}, "queries is 0"),
        ({"support": "dense"}, "support"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options, message):
    with pytest.raises(InputError, match=message):
        GuidedZOSAM([nn.Parameter(torch.ones(2))], lr=0.1, **options)


def test_the_state_of_sam_is_refused():
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(InputError, match="one of SAM"):
        GuidedZOSAM([weight], lr=0.1).load_state_dict(SAM([weight], lr=0.1).state_dict())
