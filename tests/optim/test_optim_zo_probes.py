"""What the zero-order methods have in common: sides, fractions, reduction, closures, noise."""

import math

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SAM, ZOSAM, ZOSGD, GuidedZOSAM, make_closure
from robustbench_zosam.optim.directions import draw_direction

KINDS = [ZOSAM, GuidedZOSAM, ZOSGD]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queries", [1, 3])
def test_one_sided_probes_need_one_clean_pass(quadratic, kind, queries):
    weight, closure = quadratic()
    start = weight.detach().clone()
    with torch.no_grad():
        clean = closure(backward=False)
    closure.passes.clear()
    optimizer = kind([weight], lr=0.0, sides="one", queries=queries)
    loss = optimizer.step(closure)
    probes = [at for backward, at, _ in closure.passes if not backward]
    assert torch.equal(probes[0], start)
    assert len(probes) == queries + 1
    assert loss == clean  # exactly known
    assert optimizer.cost.forwards == len(closure.passes)
    assert optimizer.diagnostics["probes"] == queries


@pytest.mark.parametrize(("sides", "order"), [("one", 1), ("two", 2)])
def test_two_sides_are_exact_on_a_quadratic_and_one_side_is_not(quadratic, sides, order):
    errors = []
    for delta in (0.1, 0.05):
        weight, closure = quadratic()
        gradient = closure.gradient(weight.detach())
        optimizer = ZOSGD([weight], lr=0.0, delta=delta, sides=sides, seed=5)
        optimizer.step(closure)
        u = draw_direction(torch.zeros(6, dtype=torch.float64), "gaussian", (5, 0, 0))
        errors.append(float((weight.grad / u)[0] - gradient @ u))
    if order == 2:
        assert max(map(abs, errors)) < 1e-10
    else:
        assert errors[0] == pytest.approx(2 * errors[1])  # half of delta u'Au
        assert abs(errors[0]) > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_averaged_once_a_step_and_all_together(quadratic, monkeypatch, kind):
    weight, closure = quadratic()
    seen = []

    def mean(losses):
        seen.append(losses.clone())
        return losses + 3.0  # differences stay

    twin, twin_closure = quadratic()
    optimizer = kind([weight], lr=0.1, queries=2)
    monkeypatch.setattr(optimizer.ranks, "mean", mean)
    plain = kind([twin], lr=0.1, queries=2)
    shifted, loss = optimizer.step(closure), plain.step(twin_closure)
    assert [losses.shape for losses in seen] == [(4,)]
    assert torch.equal(seen[0], torch.stack([p[2] for p in twin_closure.passes][:4]))
    assert torch.allclose(weight, twin, rtol=1e-9)
    assert shifted == pytest.approx(float(loss) + 3.0)


def data(count=12):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return inputs, torch.randn(count, generator=generator, dtype=torch.float64)


def linear():
    return nn.Parameter(torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64))


def squares(weight):
    return lambda x, y: (x @ weight - y).square()


@pytest.mark.parametrize("kind", [ZOSAM, GuidedZOSAM])
def test_probes_see_the_first_part_of_the_batch_and_the_gradient_all_of_it(kind):
    x, y = data(10)
    weight = linear()
    sizes = []

    def losses(inputs, targets):
        sizes.append((len(inputs), torch.is_grad_enabled()))
        assert torch.equal(inputs, x[: len(inputs)])
        return squares(weight)(inputs, targets)

    optimizer = kind([weight], lr=0.1, probe_fraction=0.25, queries=2)
    optimizer.step(make_closure(losses, x, y))
    assert sizes == [(3, False)] * 4 + [(10, True)]  # 2.5 examples are 3
    assert optimizer.cost.forwards == 2.0
    state = optimizer.state_dict()
    other = kind([linear()], lr=0.1, probe_fraction=0.25, queries=2)
    other.load_state_dict(state)
    assert other.cost.forwards == 2.0


def test_a_closure_without_fractions_is_refused_in_a_sentence(quadratic):
    weight, closure = quadratic()
    with pytest.raises(InputError, match=r"closure\(backward=True, fraction=1.0\)"):
        ZOSAM([weight], lr=0.1, probe_fraction=0.5).step(closure)
    ZOSAM([weight], lr=0.1).step(closure)  # nobody asks for fractions


def test_dropout_goes_on_drawing_after_probes_of_a_part():
    x, y = data()
    weight, states = linear(), []
    optimizer = ZOSAM([weight], lr=0.1, probe_fraction=0.5)

    def losses(inputs, targets):
        return squares(weight)(inputs, targets) * torch.rand(len(inputs))

    for _ in range(3):
        optimizer.step(make_closure(losses, x, y))
        states.append(torch.get_rng_state())
    assert not torch.equal(states[0], states[1])
    assert not torch.equal(states[1], states[2])


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, math.nan, "half"])
def test_fractions_outside_the_batch_are_refused(fraction):
    with pytest.raises(InputError, match="probe_fraction"):
        ZOSAM([linear()], lr=0.1, probe_fraction=fraction)


@pytest.mark.parametrize("sides", ["both", 2])
def test_other_sides_are_refused(sides):
    with pytest.raises(InputError, match="sides"):
        ZOSAM([linear()], lr=0.1, sides=sides)


# closures


@pytest.mark.parametrize("micro_batches", [1, 2, 5, 12])
@pytest.mark.parametrize("kind", [*KINDS, SAM])
def test_accumulation_gives_the_steps_of_the_whole_batch(kind, micro_batches):
    x, y = data()
    finals = []
    for pieces in (1, micro_batches):
        weight = linear()
        optimizer = kind([weight], lr=0.01, momentum=0.9)
        for _ in range(4):
            loss = optimizer.step(make_closure(squares(weight), x, y, micro_batches=pieces))
        finals.append((weight.detach().clone(), loss))
    assert torch.allclose(finals[0][0], finals[1][0], rtol=1e-8)
    assert torch.allclose(finals[0][1], finals[1][1], rtol=1e-8)


def test_a_closure_gives_losses_of_examples_and_parts():
    x, y = data()
    weight = linear()
    closure = make_closure(squares(weight), x, y, micro_batches=4)
    each = squares(weight)(x, y).detach()
    some = torch.tensor([7, 1, 4, 2, 9])
    with torch.no_grad():
        assert torch.allclose(closure(backward=False, reduction="none"), each)
        assert torch.allclose(closure(backward=False, examples=some), each[some].mean())
        assert torch.allclose(closure(backward=False, fraction=0.3), each[:4].mean())
    assert weight.grad is None
    closure(examples=some)
    expected = torch.autograd.grad(squares(weight)(x[some], y[some]).mean(), weight)[0]
    assert torch.allclose(weight.grad, expected)


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_a_scaler_scales_the_gradient_and_not_the_loss(micro_batches):
    x, y = data()
    weight = linear()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    closure = make_closure(squares(weight), x, y, scaler=scaler, micro_batches=micro_batches)
    loss = closure()
    mean = squares(weight)(x, y).mean()
    assert torch.allclose(loss, mean)
    assert torch.allclose(weight.grad, 8 * torch.autograd.grad(mean, weight)[0])


@pytest.mark.parametrize(
    ("batch", "options", "message"),
    [
        ((), {}, "lengths none"),
        ((torch.zeros(3), torch.zeros(4)), {}, "lengths 3, 4"),
        ((torch.zeros(3),), {"micro_batches": 4}, "there are 3 examples"),
        ((torch.zeros(3),), {"micro_batches": 0}, "micro_batches is 0"),
    ],
)
def test_batches_that_cannot_be_used_are_refused(batch, options, message):
    with pytest.raises(InputError, match=message):
        make_closure(lambda x: x, *batch, **options)
