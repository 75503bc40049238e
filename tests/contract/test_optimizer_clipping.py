"""Clipping: of the gradient the base optimizer gets, once per step, whatever the method."""

import pytest
import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS, SAM, create_optimizer

STEPS = 4


def gradients_of_base(name, setup, closure_for, sparsifier="random", **options):
    """The gradients that the base optimizer got, step by step, at weights that stay."""
    model, masker, optimizer = setup(name, sparsifier, lr=0.0, weight_decay=0.0, **options)
    closure, base, seen = closure_for(model), optimizer.base.step, []

    def record(*arguments):
        seen.append(torch.cat([p.grad.flatten().clone() for p in optimizer.space.params]))
        return base(*arguments)

    optimizer.base.step = record
    torch.manual_seed(0)
    for _ in range(STEPS):
        optimizer.step(closure)
    masker.check(optimizer)
    return seen, optimizer


def test_the_base_optimizer_gets_the_same_gradient_scaled_to_the_norm(name, setup, closure_for):
    # the momentum, along which this one perturbs, is of clipped gradients
    options = {"rho": 1e-12} if name == "momentum-sam" else {}
    whole, free = gradients_of_base(name, setup, closure_for, **options)
    norms = torch.stack([gradient.norm() for gradient in whole])
    largest = float(norms.sort().values[1:3].mean())  # two steps are clipped, two are not
    clipped, optimizer = gradients_of_base(name, setup, closure_for, clip_norm=largest, **options)
    assert len(clipped) == len(whole) == STEPS  # so memories saw the gradients as they were
    for before, after in zip(whole, clipped, strict=True):
        factor = min(1.0, largest / float(before.norm()))
        assert torch.allclose(after, before * factor, rtol=1e-4, atol=1e-9)
        assert after.norm() <= largest * (1 + 1e-5)
    assert optimizer.diagnostics["clipped"] == 2
    assert "clipped" not in free.diagnostics


@pytest.mark.parametrize("sparsifier", ["rigl", "sr-ste"])
def test_masked_or_replaced_gradients_do_not_count(sparsifier, setup, closure_for):
    seen, optimizer = gradients_of_base("sam", setup, closure_for, sparsifier, clip_norm=1e-3)
    assert all(float(gradient.norm()) == pytest.approx(1e-3, rel=1e-3) for gradient in seen)
    assert optimizer.diagnostics["clipped"] == len(seen)
    assert len(seen) == (STEPS if sparsifier == "sr-ste" else STEPS - 1)  # rigl replaces one


def test_a_scale_is_taken_out_before_clipping(network, closure_for):
    updates = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=2.0**10)):
        model = network()
        optimizer = create_optimizer("sgd", model, lr=1.0, clip_norm=0.1, scaler=scaler)
        inner = closure_for(model)

        def closure(inner=inner, scaler=scaler):
            loss = inner(False)
            (loss if scaler is None else scaler.scale(loss)).backward()
            return loss.detach()

        torch.manual_seed(0)
        optimizer.step(closure)
        updates.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*updates, atol=1e-6)


def test_counts_of_clipped_steps_go_on_after_a_restart(setup, closure_for):
    _, optimizer = gradients_of_base("zo-sam", setup, closure_for, clip_norm=1e-3)
    other = gradients_of_base("zo-sam", setup, closure_for, clip_norm=1e-3)[1]
    other.load_state_dict(optimizer.state_dict())
    assert other.diagnostics == optimizer.diagnostics


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), "much"])
def test_the_norm_must_be_a_positive_number(wrong):
    with pytest.raises(InputError, match="clip_norm is"):
        SAM([torch.zeros(1, requires_grad=True)], lr=0.1, clip_norm=wrong)


def test_it_is_no_option_of_a_method():
    assert not any("clip_norm" in entry.options for entry in OPTIMIZERS)
