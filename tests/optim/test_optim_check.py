"""optimizer.check(closure): what it finds, and that it leaves everything as it was."""

import copy

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import OPTIMIZERS, SAM, ZOSAM, Finding, create_optimizer, make_closure

NAMES = OPTIMIZERS.names()


def closure_of(model):
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(8, 4, generator=generator), torch.randint(3, (8,), generator=generator)

    def loss_of(a, b):
        return nn.functional.cross_entropy(
            model(a.to(model[0].weight)).float(), b, reduction="none"
        )

    return make_closure(loss_of, x, y)


def build(norm=nn.LayerNorm):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), norm(6), nn.Dropout(0.2), nn.Linear(6, 3))


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_every_method_is_well_and_stays_as_it_was(name, given):
    model = build(nn.LayerNorm if name == "ssam-f" else nn.BatchNorm1d)
    optimizer = OPTIMIZERS[name].load()(
        model.parameters(), lr=0.1, **({"model": model} if given else {})
    )
    closure = closure_of(model)
    optimizer.step(closure)
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict(), torch.get_rng_state()))
    gradients = [(p.grad, p.grad.clone()) for p in model.parameters()]
    check = optimizer.check(closure)
    assert check.good, str(check)
    assert check["buffers"].found.startswith("none" if name == "ssam-f" else "updated by 1 of")
    after = model.state_dict(), optimizer.state_dict(), torch.get_rng_state()
    assert same(after, before)
    for p, (grad, values) in zip(model.parameters(), gradients, strict=True):
        assert p.grad is grad
        assert torch.equal(grad, values)
    optimizer.step(closure)  # gradients are still known as its own


def test_the_table_has_lengths_and_losses():
    model = build()
    check = SAM(model.parameters(), lr=0.1, rho=0.3).check(closure_of(model))
    assert check["perturbation"].found.startswith("length 0.3 of 0.3, ")
    assert check["second pass"].found.endswith(" there")
    assert "+" in check["second pass"].found
    assert check["ranks"].found == "one process"
    assert str(check).splitlines()[0].startswith("ok    gradient      length ")


def test_a_perturbation_that_rounding_swallows_is_found():
    model = build().bfloat16()
    check = SAM(model.parameters(), lr=0.1, rho=1e-4).check(closure_of(model))
    assert "float32" in check["perturbation"].advice
    assert not check.good


def test_a_closure_of_another_model_is_found():
    model, other = build(), build()
    inner = closure_of(other)

    def closure(backward=True):
        loss = inner(backward=backward)
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.grad = q.grad
        return loss

    check = SAM(model.parameters(), lr=0.1).check(closure)
    assert "anew at each call" in check["second pass"].advice


def test_a_closure_that_sees_other_examples_at_each_call_is_found():
    model = build()
    calls = []

    def closure(backward=True):
        calls.append(0)
        loss = model(torch.full((8, 4), float(len(calls)))).square().mean()
        if backward:
            loss.backward()
        return loss

    check = ZOSAM(model.parameters(), lr=0.1, rho=0.01).check(closure)
    assert "same examples" in check["noise"].advice


def test_statistics_updated_twice_are_found():
    model = build(nn.BatchNorm1d)
    check = SAM(model.parameters(), lr=0.1, model=model[0]).check(closure_of(model))
    assert check["buffers"] == Finding(
        "buffers", "updated by 2 of 2 passes", "give the optimizer model=, the whole network"
    )
    assert model[1].num_batches_tracked == 0


def test_what_a_step_refuses_is_what_to_mend():
    model = build()
    check = create_optimizer("sam", model, lr=0.1).check(lambda: model(torch.ones(2, 4)).mean())
    assert not check.good
    assert "backward()" in check["step"].advice
