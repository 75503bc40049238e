"""SAM and the random control against closed forms and a plain loop."""

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import SAM, ZOSAM, RandomPerturbation


def epsilon(closure, start):
    return closure.passes[-1][1] - start


def test_sam_perturbs_along_the_gradient(quadratic):
    weight, closure = quadratic()
    start = weight.detach().clone()
    optimizer = SAM([weight], lr=0.1, rho=0.3)
    loss = optimizer.step(closure)
    gradient = closure.gradient(start)
    expected = 0.3 * gradient / gradient.norm()
    assert torch.allclose(epsilon(closure, start), expected, rtol=1e-12)
    moved = start - 0.1 * closure.gradient(start + expected)
    assert torch.allclose(weight.detach(), moved, rtol=1e-12)
    assert loss == closure.passes[0][2] == optimizer.last_clean_loss
    assert optimizer.last_loss == closure.passes[1][2]


def test_sam_follows_a_plain_loop(network, closure_of):
    model, twin = network(dropout=0.0), network(dropout=0.0)
    optimizer = SAM(model.parameters(), lr=0.1, rho=0.05, momentum=0.9, weight_decay=1e-2)
    plain = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    closure, twin_closure = closure_of(model), closure_of(twin)
    for _ in range(5):
        optimizer.step(closure)
        plain.zero_grad()
        twin_closure()
        norm = torch.stack([p.grad.norm() for p in twin.parameters()]).norm()
        saved = [p.detach().clone() for p in twin.parameters()]
        with torch.no_grad():
            for p in twin.parameters():
                p += 0.05 * p.grad / norm
        plain.zero_grad()
        twin_closure()
        with torch.no_grad():
            for p, value in zip(twin.parameters(), saved, strict=True):
                p.copy_(value)
        plain.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-6)


def test_sam_takes_its_norm_over_active_weights(quadratic):
    weight, closure = quadratic()
    mask = torch.tensor([True, False, True, True, False, False])
    optimizer = SAM([weight], lr=0.1, rho=0.3, mask={weight: mask})
    start = weight.detach().clone()
    assert not start[~mask].any()
    optimizer.step(closure)
    found = epsilon(closure, start)
    gradient = closure.gradient(start) * mask
    assert torch.allclose(found, 0.3 * gradient / gradient.norm())
    assert not weight[~mask].any()


def test_a_parameter_without_gradient_is_restored_and_unmoved(network, closure_of):
    model = network()
    unused = nn.Parameter(torch.randn(3, generator=torch.Generator().manual_seed(0)))
    frozen = model[5].bias.requires_grad_(False)
    before = unused.detach().clone(), frozen.detach().clone()
    for kind in (SAM, RandomPerturbation, ZOSAM):
        closure = closure_of(model)
        kind([*model.parameters(), unused], lr=0.1, rho=0.5).step(closure)
        assert torch.equal(unused, before[0])
        assert torch.equal(frozen, before[1])
        assert all(torch.equal(weights[-1], before[1]) for _, weights, _ in closure.passes)


def test_the_random_control_has_the_radius_and_one_pass(network, closure_of):
    model = network()
    closure = closure_of(model)
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    optimizer = RandomPerturbation(model.parameters(), lr=0.1, rho=0.05)
    optimizer.step(closure)
    (_, weights, loss), *rest = closure.passes
    assert not rest
    moved = torch.cat([w.flatten() for w in weights]) - before
    assert moved.norm().item() == pytest.approx(0.05, rel=1e-4)
    assert optimizer.last_clean_loss is None
    assert optimizer.last_loss == loss


@pytest.mark.parametrize("directions", ["gaussian", "rademacher", "sphere"])
def test_the_random_control_and_zo_sam_differ_by_a_sign(quadratic, directions):
    signs = []
    for step in range(8):
        found = []
        for kind, options in ((RandomPerturbation, {}), (ZOSAM, {"reuse": "none"})):
            weight, closure = quadratic()
            optimizer = kind([weight], lr=0.0, rho=0.2, directions=directions, seed=5, **options)
            optimizer.cost.steps = step
            start = weight.detach().clone()
            optimizer.step(closure)
            found.append(epsilon(closure, start))
        signs.append(torch.sign(found[0] @ found[1]).item())
        assert torch.allclose(found[0], signs[-1] * found[1])
    assert set(signs) == {-1.0, 1.0}
