"""Between forward pass and `step()` the weights are moved; nobody else sees it."""

import copy
import io

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import (
    RandomPerturbation,
    make_closure,
)

IMAGES = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.randint(10, (16,), generator=torch.Generator().manual_seed(2))


def loss_of(model, rows=slice(None)):
    return nn.functional.cross_entropy(model(IMAGES[rows]), LABELS[rows])


@pytest.fixture
def moved(network):
    """A model in the middle of a step, its optimizer, and the state at the weights themselves."""
    model = network(dropout=0.0)
    optimizer = RandomPerturbation(model.parameters(), rho=1.0, lr=0.1)
    optimizer.attach(model)
    before = copy.deepcopy(model.state_dict())
    loss_of(model).backward()
    assert not torch.equal(model[0].weight, before["0.weight"])
    return model, optimizer, before


def same_weights(state, before):
    names = [name for name in before if name.endswith(("weight", "bias"))]
    return all(torch.equal(state[name], before[name]) for name in names)


@pytest.mark.parametrize("nested", [True, False])
def test_state_dicts_hold_the_weights_themselves(moved, nested):
    model, _, before = moved
    saver = nn.Sequential(model) if nested else model
    state = {
        name.removeprefix("0.") if nested else name: v for name, v in saver.state_dict().items()
    }
    assert same_weights(state, before)
    assert same_weights(
        {f"0.{k}": v for k, v in model[0].state_dict().items()}, {"0.weight": before["0.weight"]}
    )
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert same_weights(torch.load(file), before)


@pytest.mark.parametrize("training", [True, False], ids=["no_grad", "eval"])
def test_evaluation_in_the_middle_of_a_step_is_at_the_weights_themselves(moved, network, training):
    model, optimizer, before = moved
    away = model[0].weight.detach().clone()
    twin = network(dropout=0.0)
    twin.load_state_dict(model.state_dict())
    for each in (model, twin):
        each.train(training)
    with torch.set_grad_enabled(not training):
        assert torch.equal(model(IMAGES), twin(IMAGES))
    assert torch.equal(model[0].weight, away)
    optimizer.restore()
    assert same_weights(model.state_dict(), before)
    assert torch.equal(model[0].weight, before["0.weight"])


def test_a_loaded_state_dict_stays(moved, network):
    model, optimizer, _ = moved
    other = network(seed=5, dropout=0.0).state_dict()
    model.load_state_dict(other)
    optimizer.restore()
    assert same_weights(model.state_dict(), other)


def test_a_step_that_is_given_up_leaves_the_weights_as_they_were(moved):
    model, optimizer, before = moved
    optimizer.restore()
    optimizer.restore()
    assert same_weights(dict(model.named_parameters()), before)
    assert optimizer.cost.steps == 0


def test_a_pass_that_fails_does_no_harm(network):
    model = network(dropout=0.0)
    optimizer = RandomPerturbation(model.parameters(), rho=1.0, lr=0.1)
    optimizer.attach(model)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError):
        model(torch.ones(2, 5, 4, 4))
    assert same_weights(model.state_dict(), before)
    loss_of(model).backward()
    with pytest.raises(RuntimeError), torch.no_grad():
        model(torch.ones(2, 5, 4, 4))
    optimizer.step()
    twin = network(dropout=0.0)
    other = RandomPerturbation(twin.parameters(), rho=1.0, lr=0.1)
    other.step(
        make_closure(
            lambda x, y: nn.functional.cross_entropy(twin(x), y, reduction="none"), IMAGES, LABELS
        )
    )
    for key, value in twin.state_dict().items():
        if "weight" in key or "bias" in key:
            torch.testing.assert_close(model.state_dict()[key], value)


def test_micro_batches_are_all_at_one_perturbation(network):
    finals = []
    for closed in (True, False):
        model = network(dropout=0.0)
        model[1].momentum = 0.0  # its statistics see micro-batches in either form
        optimizer = RandomPerturbation(model.parameters(), rho=1.0, lr=0.1)
        optimizer.attach(model)
        for _ in range(3):
            if closed:
                optimizer.step(
                    make_closure(
                        lambda x, y, model=model: nn.functional.cross_entropy(
                            model(x), y, reduction="none"
                        ),
                        IMAGES,
                        LABELS,
                        micro_batches=2,
                    )
                )
            else:
                optimizer.zero_grad()
                for rows in (slice(8), slice(8, 16)):
                    (loss_of(model, rows) / 2).backward()
                optimizer.step()
        assert (optimizer.cost.forwards, optimizer.cost.steps) == (3, 3)
        finals.append(model.state_dict())
    for key, value in finals[0].items():
        torch.testing.assert_close(value, finals[1][key])


def test_a_closure_may_be_the_last_micro_batch(network):
    finals = []
    for closed in (True, False):
        model = network(dropout=0.0)
        optimizer = RandomPerturbation(model.parameters(), rho=1.0, lr=0.1)
        optimizer.attach(model)
        (loss_of(model, slice(8)) / 2).backward()

        def last(model=model):
            loss = loss_of(model, slice(8, 16)) / 2
            loss.backward()
            return loss

        if closed:
            assert torch.equal(optimizer.step(last), optimizer.last_loss)
        else:
            last()
            optimizer.step()
        finals.append(model.state_dict())
    assert all(torch.equal(value, finals[1][key]) for key, value in finals[0].items())


def test_the_module_in_evaluation_mode_is_perturbed_if_asked_for(network):
    finals = []
    for closed in (True, False):
        model = network().eval()
        optimizer = RandomPerturbation(model.parameters(), rho=1.0, lr=0.1)
        optimizer.attach(model)

        def closure(model=model):
            loss = loss_of(model)
            loss.backward()
            return loss

        if closed:
            optimizer.step(closure)
        else:
            optimizer.perturb()
            closure()
            optimizer.step()
        finals.append(model.state_dict())
    assert all(torch.equal(value, finals[1][key]) for key, value in finals[0].items())


def test_a_compiled_model_moves_the_weights_too(network):
    finals = []
    for compiled in (True, False):
        model = network(dropout=0.0)
        optimizer = RandomPerturbation(model.parameters(), rho=1.0, lr=0.1)
        optimizer.attach(model)
        called = torch.compile(model, backend="eager") if compiled else model
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(called).backward()
            assert optimizer._away is not None
            optimizer.step()
        finals.append(model.state_dict())
    assert all(torch.equal(value, finals[1][key]) for key, value in finals[0].items())
