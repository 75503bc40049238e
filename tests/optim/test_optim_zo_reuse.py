"""A probe that is the forward pass of the gradient pass: same bits, fewer passes."""

import math

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import ZOSAM, GuidedZOSAM, make_closure
from robustbench_zosam.sparsity import create_masker

KINDS = [ZOSAM, GuidedZOSAM]
STEPS = 50


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.3),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 5),
    )


def train(kind, reuse, *, steps=STEPS, micro_batches=2, closure_of=None, **options):
    """Trains on changing batches; returns all that could differ, and the optimizer."""
    model = network()
    masker = create_masker("rigl", model, sparsity=0.8, total_steps=100, seed=1, interval=5)
    optimizer = kind(
        model.parameters(), lr=0.05, momentum=0.9, rho=0.5, mask=masker, reuse=reuse, **options
    )
    generator = torch.Generator().manual_seed(3)
    losses = []
    for _ in range(steps):
        x = torch.randn(8, 3, 6, 6, generator=generator)
        y = torch.randint(5, (8,), generator=generator)

        def loss_of(a, b):
            return nn.functional.cross_entropy(model(a), b, reduction="none")

        if closure_of is None:
            closure = make_closure(loss_of, x, y, micro_batches=micro_batches)
        else:
            closure = closure_of(optimizer, lambda x=x, y=y: loss_of(x, y).mean())
        losses.append(optimizer.step(closure))
    state = [*model.state_dict().values(), torch.stack(losses), torch.get_rng_state()]
    return [value.clone() for value in state], optimizer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reuse", ["both", "late"])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_weights_buffers_losses_and_draws_are_those_of_three_passes(kind, reuse, micro_batches):
    plain, slow = train(kind, "none", micro_batches=micro_batches)
    found, fast = train(kind, reuse, micro_batches=micro_batches)
    assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))
    probed = slow.diagnostics["probes"]  # steps on which the masks do not ask for a clean gradient
    assert slow.cost.forwards == STEPS + 2 * probed
    assert fast.cost.forwards == STEPS + probed + fast.diagnostics.get("repeated", 0)
    assert fast.cost.backwards == slow.cost.backwards == STEPS
    shared = {"probes", "equal", "nonfinite", "below_noise"}
    assert {k: fast.diagnostics[k] for k in shared} == {k: slow.diagnostics[k] for k in shared}


def test_guides_make_the_likelier_side_the_winner_more_often():
    _, random = train(ZOSAM, "late")
    _, guided = train(GuidedZOSAM, "late")
    assert guided.diagnostics["repeated"] < random.diagnostics["repeated"] < STEPS


def test_any_closure_of_torch_can_be_put_off():
    def standard(optimizer, mean_loss):
        def closure():
            optimizer.zero_grad()
            loss = mean_loss()
            loss.backward()
            return loss

        return closure

    plain, _ = train(ZOSAM, "none", closure_of=standard)
    for reuse in ("both", "late"):
        found, _ = train(ZOSAM, reuse, closure_of=standard)
        assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))


@pytest.mark.parametrize("reuse", ["both", "late", "none"])
def test_a_scaler_sees_one_backward_pass(reuse):
    weight = nn.Parameter(torch.ones(4))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    data = torch.arange(8.0).reshape(2, 4)
    closure = make_closure(lambda x: (x @ weight).square(), data, scaler=scaler)
    optimizer = ZOSAM([weight], lr=0.01, scaler=scaler, reuse=reuse, rho=0.3)
    optimizer.step(closure)
    twin = nn.Parameter(torch.ones(4))
    other = ZOSAM([twin], lr=0.01, reuse="none", rho=0.3)
    other.step(make_closure(lambda x: (x @ twin).square(), data))
    assert torch.equal(weight, twin)


def test_resuming_goes_on_with_the_last_gradient():
    weight = nn.Parameter(torch.ones(6))
    data = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))

    def step(w, optimizer, count):
        for _ in range(count):
            optimizer.step(make_closure(lambda x: (x @ w).square(), data))

    optimizer = ZOSAM([weight], lr=1e-3, reuse="late")
    step(weight, optimizer, 3)
    twin = nn.Parameter(weight.detach().clone())
    other = ZOSAM([twin], lr=1e-3, reuse="late")
    other.load_state_dict(optimizer.state_dict())
    step(weight, optimizer, 5)
    step(twin, other, 5)
    assert torch.equal(weight, twin)
    assert other.diagnostics == optimizer.diagnostics
    assert other.cost.forwards == optimizer.cost.forwards


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"queries": 2}, "2 queries"),
        ({"sides": "one"}, "sides='one'"),
        ({"probe_fraction": 0.5}, "probe_fraction 0.5"),
        ({"probe_radius": 0.1}, "probe_radius 0.1"),
        ({"delta": 0.01}, "delta 0.01"),
    ],
)
@pytest.mark.parametrize("reuse", ["both", "late"])
def test_probes_elsewhere_are_no_gradient_passes(options, reason, reuse):
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(InputError, match=reason):
        ZOSAM([weight], lr=0.1, reuse=reuse, **options)
    assert ZOSAM([weight], lr=0.1, **options).reuse == "none"
    assert ZOSAM([weight], lr=0.1).reuse == "both"


def test_other_reuses_are_refused():
    with pytest.raises(InputError, match="reuse is 'always'"):
        ZOSAM([nn.Parameter(torch.ones(3))], lr=0.1, reuse="always")


def test_gradients_taken_otherwise_are_refused_in_a_sentence():
    weight = nn.Parameter(torch.ones(3))

    def closure(backward=True):
        loss = weight.square().sum()
        if backward:
            (weight.grad,) = torch.autograd.grad(loss, weight)
        return loss

    with pytest.raises(InputError, match="without calling backward"):
        ZOSAM([weight], lr=0.1, reuse="both").step(closure)
    assert torch.equal(weight, torch.ones(3))
    ZOSAM([weight], lr=0.1, reuse="none").step(closure)


def test_autocast_rules_the_probes_as_it_rules_the_gradient():
    model = network()
    x = torch.randn(4, 3, 6, 6)
    seen = []

    def loss_of(a):
        seen.append((torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()))
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.is_grad_enabled()):
            return model(a).float().square().mean(1)

    for reuse in ("both", "late"):
        optimizer = ZOSAM(model.parameters(), lr=0.0, reuse=reuse)
        seen.clear()
        optimizer.step(make_closure(loss_of, x))
        assert all(grad for _, grad in seen), reuse


@pytest.mark.parametrize("reuse", ["both", "late", "none"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_say_nothing_perturb_nothing(reuse, bad):
    for values in ([2.0, 2.0], [bad, 1.0], [1.0, bad]):
        weight = nn.Parameter(torch.ones(5))
        given = iter([*values, 0.0])
        at = []

        def closure(backward=True, weight=weight, given=given, at=at):
            loss = weight.sum() * 0 + next(given)
            at.append(weight.detach().clone())
            if backward:
                loss.backward()
            return loss

        optimizer = ZOSAM([weight], lr=0.1, reuse=reuse)
        optimizer.step(closure)
        assert torch.equal(at[-1], torch.ones(5))
        assert optimizer.cost.forwards == 3
        assert optimizer.cost.backwards == 1


@pytest.mark.parametrize("kind", KINDS)
def test_sigma_is_a_radius_per_weight(kind):
    lengths = []
    for size in (16, 64):
        weight = nn.Parameter(torch.zeros(size))
        data = torch.ones(1, size)
        optimizer = kind([weight], lr=0.0, sigma=0.25, reuse="none")
        at = []

        def closure(backward=True, weight=weight, data=data, at=at):
            at.append(weight.detach().norm().item())
            loss = (data @ weight).sum()
            if backward:
                loss.backward()
            return loss

        optimizer.step(closure)
        lengths.append(at[-1])
    assert lengths == pytest.approx([0.25 * 4, 0.25 * 8])
    with pytest.raises(InputError, match="both set the radius"):
        kind([weight], lr=0.1, rho=0.1, sigma=0.1)
