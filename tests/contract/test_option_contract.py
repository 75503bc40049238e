"""What the registries say of options is what the constructors do."""

import json
import math

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS
from robustbench_zosam.options import Choice, Integer
from robustbench_zosam.sparsity import SPARSIFIERS

PROBES = (-1, -0.01, 0, 0.01, 0.5, 1, 1.5, 2, 10**6, math.nan, math.inf, "nothing", True, False)
LINKED = {  # their upper bound is another option
    ("xsam", "alpha_max"),
    ("xsam", "alpha_step"),
    ("zo-sam-guided", "guides"),
    ("gmp", "start_fraction"),
    ("gmp", "stop_fraction"),
    ("granet", "start_fraction"),
    ("rigl-itop", "drop_fraction"),
    ("rigl-itop", "drop_floor"),
}
OPTIONS = [
    pytest.param(info, option, id=f"{info.name}-{option}")
    for registry in (OPTIMIZERS, SPARSIFIERS)
    for info in registry
    for option in info.options
]


def build(info, options):
    if info.name in SPARSIFIERS:
        return info.load()(**options)
    return info.load()([nn.Parameter(torch.ones(2))], lr=0.1, **options)


def refused(call, *arguments):
    try:
        call(*arguments)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("info", "name"), OPTIONS)
def test_ranges_are_those_of_the_constructor(info, name):
    option = info.options[name]
    values = [*PROBES, option.default, *getattr(option, "choices", ())]
    if isinstance(option, Integer):
        values += [option.least, option.least - 1]
    for value in values:
        early = refused(info.check_options, {name: value})
        late = refused(build, info, {name: value})
        if early is not None:
            assert late is not None, value
            assert early.startswith(f"{name} of {info.name} is {value!r}")
        elif option.type != "text" and (info.name, name) not in LINKED:
            assert late is None, value


@pytest.mark.parametrize(("info", "name"), OPTIONS)
def test_options_are_described(info, name):
    told = json.loads(json.dumps(info.as_dict()))["options"][name]
    assert told["default"] == info.defaults[name]
    assert told["meaning"]
    assert told["type"] in {"number", "integer", "true or false", "choice", "text"}
    if isinstance(info.options[name], Choice):
        assert told["default"] is None or told["default"] in told["range"].split(", ")


def test_optimizers_stand_beside_registered_ones():
    for info in OPTIMIZERS:
        assert all(name in OPTIMIZERS and name != info.name for name in info.compared_with)
    assert [info.name for info in OPTIMIZERS if info.role == "baseline"] == ["sgd"]
    assert [info.name for info in OPTIMIZERS if info.role == "control"] == ["random-perturbation"]
