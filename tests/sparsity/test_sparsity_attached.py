"""`masker.attach(optimizer)`: a loop of one's own, with any torch optimizer."""

import copy

import pytest
import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.sparsity import SPARSIFIERS, create_masker

STEPS = 14
QUICK = {
    name: {"interval": 3} for name in SPARSIFIERS.names() if "interval" in SPARSIFIERS[name].options
} | {"synflow": {"rounds": 3}}
QUICK |= {name: {"prunings": 2, "budget": "shared"} for name in ("lth", "lrr")}


def masked(name, model):
    def examples(per_class, generator):
        labels = torch.arange(10).repeat_interleave(per_class)
        return torch.randn(len(labels), 3, 4, 4, generator=generator), labels

    sparsity = 0 if name == "dense" else 0.5
    options = {"total_steps": STEPS, "examples": examples, **QUICK.get(name, {})}
    return create_masker(name, model, sparsity=sparsity, **options)


@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.parametrize("name", SPARSIFIERS.names())
def test_the_weights_are_those_of_the_optimizer_that_drives_masks(
    name, closure, network, closure_of
):
    ours, theirs = network(), network()
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}
    wrapped = create_optimizer("sgd", ours, masker=masked(name, ours), **settings)
    optimizer = torch.optim.SGD(theirs.parameters(), **settings)
    masker = masked(name, theirs)
    masker.attach(optimizer)
    loss_of = closure_of(theirs)

    def evaluated():
        optimizer.zero_grad()
        return loss_of()

    for _ in range(STEPS):
        wrapped.step(closure_of(ours))
        if closure:
            optimizer.step(evaluated)
        else:
            evaluated()
            optimizer.step()
        if masker.begins_round:
            continue  # a round begins at the end of the step before, and not within the step
        pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    masker.check(optimizer)
    assert masker.step == STEPS


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
def test_any_optimizer_with_a_scaler_and_a_scheduler(kind, network, closure_of):
    model = network()
    optimizer = kind(model.parameters(), lr=1e-3)
    masker = masked("rigl", model)
    masker.attach(optimizer)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    scaler = torch.amp.GradScaler("cpu")
    loss_of = closure_of(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        scaler.scale(loss_of(backward=False)).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
    masker.check(optimizer)
    assert len(masker.events) > 1
    assert masker.report().astray == 0


def test_removed_hooks_leave_the_optimizer_alone(network, closure_of):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    masker = masked("random", model)
    masker.attach(optimizer).remove()
    closure_of(model)()
    optimizer.step()
    assert masker.report().astray > 0


def test_optimizers_that_cannot_be_driven_are_refused(network):
    model = network()
    masker = masked("random", model)
    with pytest.raises(InputError, match="SGD has none of the masked weights"):
        masker.attach(torch.optim.SGD(network().parameters(), lr=0.1))
    with pytest.raises(InputError, match="drives masks itself: give it mask=masker"):
        masker.attach(create_optimizer("sam", model, lr=0.1))
    with pytest.raises(InputError, match="calls its closure several times"):
        masker.attach(torch.optim.LBFGS(model.parameters()))


def test_averages_are_masked(network):
    model = network()
    average = torch.optim.swa_utils.AveragedModel(model)
    masker = masked("random", model)
    masker.apply_to(average.state_dict())
    for name, mask in masker.masks.items():
        assert not average.module.get_parameter(name)[~mask].any()
    state = copy.deepcopy(model.state_dict())
    del state["0.weight"]
    with pytest.raises(InputError, match=r"lacks 0\.weight"):
        masker.apply_to(state)
