"""What every registered sparsifier must do."""

import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

import robustbench_zosam.sparsity
from robustbench_zosam.checks import constructor_options
from robustbench_zosam.sparsity import SPARSIFIERS, create_masker


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 10))


@pytest.fixture(params=SPARSIFIERS.names())
def entry(request):
    return SPARSIFIERS[request.param]


def masker_of(entry, seed=0):
    sparsity = 0 if entry.name == "dense" else 0.75
    return create_masker(entry.name, network(), sparsity=sparsity, total_steps=50, seed=seed)


def test_facts_tell_what_the_constructor_does(entry):
    policy = entry.load()
    assert set(entry.facts["options"]) == set(constructor_options(policy))
    assert entry.facts["dynamic"] == policy.dynamic
    defaults = {
        name: parameter.default
        for owner in reversed(policy.__mro__[:-1])
        if "__init__" in vars(owner)
        for name, parameter in inspect.signature(owner).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert entry.facts["options"] == defaults
    assert entry.summary
    assert inspect.getdoc(policy)


def test_masks_are_bool_named_and_exact(entry):
    masker = masker_of(entry)
    report = masker.report()
    assert report.active == round((1 - masker.sparsity) * report.maskable)
    assert report.sparsity_maskable == masker.sparsity
    assert all(mask.dtype == torch.bool and mask.any() for mask in masker.masks.values())
    assert set(masker.masks) in ({"0.weight", "3.weight"}, set())
    masker.check()


def test_masks_depend_on_the_seed_and_not_on_the_global_stream(entry):
    before = torch.get_rng_state()
    masks = [masker_of(entry).masks for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


def test_state_round_trips(entry):
    one, other = masker_of(entry, seed=0), masker_of(entry, seed=1)
    other.load_state_dict(one.state_dict())
    assert other.report() == one.report()
    assert all(torch.equal(other.masks[name], mask) for name, mask in one.masks.items())


def test_the_package_exports_what_it_lists():
    package = robustbench_zosam.sparsity
    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_the_registry_does_not_import_torch():
    code = "import sys, robustbench_zosam.sparsity.registry as r; r.SPARSIFIERS.names(); print('torch' in sys.modules)"  # noqa: E501 - one program
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
