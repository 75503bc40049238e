"""Compiled models: their buffers are guarded, or the optimizer says what it needs."""

import warnings

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import SAM, ZOSAM, make_closure

KINDS = [(SAM, {}), (ZOSAM, {"reuse": "both"})]


def build(norm=nn.BatchNorm1d):
    torch.manual_seed(0)
    torch.compiler.reset()
    return nn.Sequential(nn.Linear(3, 4), norm(4), nn.Linear(4, 1))


def whole(model):
    return torch.compile(model, backend="eager")


def in_place(model):
    model.compile(backend="eager")
    return model


def in_part(model):
    model[1].compile(backend="eager")
    return model


def function(model):
    return torch.compile(lambda x: model(x), backend="eager")


def closure_of(call):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    return make_closure(lambda a: call(a)[:, 0].square(), x)


pytestmark = [  # torch's own, while it compiles
    pytest.mark.filterwarnings("ignore:Using `torch.compile.module.`:UserWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
]


@pytest.mark.parametrize("compiled", [whole, in_place, in_part])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_compiled_model_that_was_not_given_is_noticed(kind, options, compiled):
    model = build()
    closure = closure_of(compiled(model))
    with torch.no_grad():
        closure(backward=False)  # compiled before the optimizer sees it
    optimizer = kind(model.parameters(), lr=0.1, **options)
    before = model[0].weight.detach().clone()
    with pytest.raises(InputError, match="model=model"):
        optimizer.step(closure)
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("compiled", [whole, in_place, in_part, function])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_with_the_model_statistics_are_updated_once_a_step(kind, options, compiled):
    model = build()
    closure = closure_of(compiled(model))
    optimizer = kind(model.parameters(), lr=0.1, model=model, **options)
    for _ in range(3):
        optimizer.step(closure)
    assert model[1].num_batches_tracked == 3


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_compiled_function_is_refused_if_seen_and_suspected_if_not(kind, options):
    model = build()
    closure = closure_of(function(model))
    with torch.no_grad():
        closure(backward=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((InputError, UserWarning), match="model="):
            kind(model.parameters(), lr=0.1, **options).step(closure)


@pytest.mark.parametrize("compiled", [whole, in_place])
def test_a_compiled_model_without_buffers_needs_nothing(compiled):
    model = build(nn.LayerNorm)
    optimizer = SAM(model.parameters(), lr=0.1)
    assert optimizer.step(closure_of(compiled(model))).isfinite()
