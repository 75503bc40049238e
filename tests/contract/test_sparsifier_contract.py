"""What every registered sparsifier must do."""

import inspect
import subprocess
import sys

import pytest
import torch

import robustbench_zosam.sparsity
from robustbench_zosam.checks import constructor_options
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity import SPARSIFIERS, create_masker

SCHEDULED = {
    "magnitude",
    "gmp",
    "granet",
    "lth",
    "lrr",
    "mest-ems",
}  # reach their sparsity during training


@pytest.fixture(params=SPARSIFIERS.names())
def entry(request):
    return SPARSIFIERS[request.param]


@pytest.fixture
def masker_of(network, examples):
    def build(entry, seed=0, **options):
        sparsity = 0 if entry.name == "dense" else 0.75
        settings = {"sparsity": sparsity, "total_steps": 50, "seed": seed, "examples": examples}
        return create_masker(entry.name, network(), **settings | options)

    return build


def test_facts_tell_what_the_constructor_does(entry):
    policy = entry.load()
    assert set(entry.options) == set(constructor_options(policy))
    assert entry.dynamic == policy.dynamic
    defaults = {
        name: parameter.default
        for owner in reversed(policy.__mro__[:-1])
        if "__init__" in vars(owner)
        for name, parameter in inspect.signature(owner).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert entry.defaults == {name: defaults[name] for name in entry.options}
    assert entry.summary
    assert inspect.getdoc(policy)


def test_masks_are_bool_named_and_exact(entry, masker_of):
    masker = masker_of(entry)
    report = masker.report()
    # SR-STE leaves the convolution of three channels dense
    expected = {"sr-ste": report.maskable - 0.75 * (576 + 1280)}
    target = round((1 - masker.sparsity) * report.maskable)
    if entry.name in SCHEDULED:
        assert report.active > target
    else:
        assert report.active == expected.get(entry.name, target)
    assert all(mask.dtype == torch.bool and mask.any() for mask in masker.masks.values())
    assert set(masker.masks) in ({"0.weight", "3.weight", "7.weight"}, set())
    masker.check()


def test_masks_depend_on_the_seed_and_not_on_the_global_stream(entry, masker_of):
    before = torch.get_rng_state()
    masks = [masker_of(entry).masks for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


def test_the_model_keeps_its_weights_on_the_masks_and_everything_else(
    entry, network, examples, snapshot
):
    model = network()
    before = snapshot(model)
    sparsity = 0 if entry.name == "dense" else 0.75
    masker = create_masker(entry.name, model, sparsity=sparsity, total_steps=50, examples=examples)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    for name, value in snapshot(model).items():
        assert torch.equal(value, before[name] * masker.masks.get(name, torch.ones(())))


def test_layouts_in_memory_do_not_matter(entry, network, examples):
    counts = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = network().to(memory_format=layout)
        sparsity = 0 if entry.name == "dense" else 0.75
        masker = create_masker(
            entry.name, model, sparsity=sparsity, total_steps=3, examples=examples
        )
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            masker.before_update(lambda _: [])
            masker.mask_gradients()
            masker.after_update(lambda _: [])
        masker.check()
        counts.append(masker.report().active)
    assert counts[0] == counts[1]


def test_state_round_trips(entry, masker_of):
    one, other = masker_of(entry, seed=0), masker_of(entry, seed=1)
    other.load_state_dict(one.state_dict())
    assert other.report() == one.report()
    assert all(torch.equal(other.masks[name], mask) for name, mask in one.masks.items())


def test_every_option_is_validated(entry):
    kind = entry.load()
    for option in entry.options:
        for wrong in ("nothing-like-it", float("nan"), -1):
            with pytest.raises(InputError):
                kind(**{option: wrong})


def test_examples_are_asked_for_where_they_are_needed(network):
    for name in ("snip", "grasp", "synflow", "shuffle"):
        with pytest.raises(InputError, match="give create_masker"):
            create_masker(name, network(), sparsity=0.5, total_steps=9)


def test_the_package_exports_what_it_lists():
    package = robustbench_zosam.sparsity
    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_the_registry_does_not_import_torch():
    code = "import sys, robustbench_zosam.sparsity.registry as r; r.SPARSIFIERS.names(); print('torch' in sys.modules)"  # noqa: E501 - one program
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
