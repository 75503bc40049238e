"""Every optimizer is saved, loaded and copied by torch's tools as a torch optimizer is."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS, SAM, create_optimizer, make_closure

SMALL = {"samples": 20, "interval": 2, "update_epochs": 1}
NAMES = OPTIMIZERS.names()


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 4, generator=generator), torch.randint(3, (8,), generator=generator)


def build(name, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 3))
    known = {key: SMALL[key] for key in OPTIMIZERS[name].options if key in SMALL}
    if OPTIMIZERS[name].base is None:
        options = {"base": "adamw", **options}
    return model, create_optimizer(name, model, lr=0.05, steps_per_epoch=3, **known, **options)


def steps(model, optimizer, count=3):
    def loss_of(x, y):
        return nn.functional.cross_entropy(model(x), y, reduction="none")

    for _ in range(count):
        optimizer.step(make_closure(loss_of, *data()))
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_goes_on_as_the_original(name, how):
    model, optimizer = build(name)
    steps(model, optimizer)
    twin, copied = how((model, optimizer))
    assert copied.param_groups is copied.base.param_groups
    assert copied.state is copied.base.state
    assert all(a is b for a, b in zip(copied.space.params, twin.parameters(), strict=True))
    assert torch.equal(steps(model, optimizer), steps(twin, copied))
    assert copied.diagnostics == optimizer.diagnostics


@pytest.mark.parametrize("name", NAMES)
def test_distributed_checkpoints_hold_everything(name):
    model, optimizer = build(name)
    steps(model, optimizer)
    saved = copy.deepcopy(get_optimizer_state_dict(model, optimizer))
    twin, fresh = build(name)
    twin.load_state_dict(model.state_dict())
    template = get_optimizer_state_dict(twin, fresh)  # filled in place by checkpoint.load
    for fqn, state in template["state"].items():
        assert state.keys() == saved["state"][fqn].keys()
    set_optimizer_state_dict(twin, fresh, saved)
    assert torch.equal(steps(model, optimizer), steps(twin, fresh))


def test_a_flattened_state_that_lost_the_memory_is_refused():
    from torch.distributed.checkpoint.state_dict import StateDictOptions

    model, optimizer = build("s2-sam")
    steps(model, optimizer)
    flat = StateDictOptions(flatten_optimizer_state_dict=True)
    saved = get_optimizer_state_dict(model, optimizer, options=flat)
    with pytest.raises(InputError, match="flatten_optimizer_state_dict"):
        set_optimizer_state_dict(model, optimizer, saved, options=flat)


@pytest.mark.parametrize("name", NAMES)
def test_hooks_run(name):
    model, optimizer = build(name)
    called = []
    for register in (
        "register_state_dict_pre_hook",
        "register_load_state_dict_post_hook",
    ):
        getattr(optimizer, register)(lambda _, register=register: called.append(register))
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "extra": 3})
    optimizer.register_load_state_dict_pre_hook(lambda _, state: called.append(state["extra"]))
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))
    steps(model, optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert called == [
        "before",
        "after",
        "register_state_dict_pre_hook",
        3,
        "register_load_state_dict_post_hook",
    ]


def test_a_step_without_closure_makes_state_only_where_it_changes_nothing():
    weight = nn.Parameter(torch.ones(3))
    optimizer = SAM([weight], lr=0.0, momentum=0.9)
    with pytest.raises(InputError, match="needs a closure"):
        optimizer.step()
    weight.grad = torch.zeros(3)
    optimizer.step()
    assert torch.equal(optimizer.state[weight]["momentum_buffer"], torch.zeros(3))
