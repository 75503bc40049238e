"""A small network with everything that can go wrong, for batteries over optimizers."""

import math

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import OPTIMIZERS, create_optimizer
from robustbench_zosam.sparsity import SPARSIFIERS, create_masker

SHORT = {"set", "rigl", "rigl-itop", "granet", "dsr", "mest-em", "mest-ems", "gmp"}
QUICK = {name: {"interval": 2} for name in SHORT} | {"synflow": {"rounds": 3}}
QUICK |= {name: {"prunings": 2, "budget": "shared"} for name in ("lth", "lrr")}
PAIRS = dict.fromkeys(
    [(name, sparsifier) for name in OPTIMIZERS.names() for sparsifier in ("random", "rigl")]
    + [(name, sparsifier) for name in ("sgd", "gsam") for sparsifier in SPARSIFIERS.names()]
)


def pytest_generate_tests(metafunc):
    """Every optimizer; where `sparsifier` is asked for too, with some, and some with every one."""
    if "optimizer_pair" in metafunc.fixturenames:
        metafunc.parametrize("optimizer_pair", PAIRS, ids="+".join)
    elif "name" in metafunc.fixturenames and not _parametrized(metafunc, "name"):
        metafunc.parametrize("name", OPTIMIZERS.names())


def _parametrized(metafunc, argument):
    marks = metafunc.definition.iter_markers("parametrize")
    return any(argument in str(mark.args[0]) for mark in marks)


def _network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8, momentum=None),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


def _examples(per_class, generator):
    labels = torch.arange(10).repeat_interleave(per_class)
    return torch.randn(len(labels), 3, 4, 4, generator=generator), labels


def _closure_for(model, autocast=False):
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(12, 3, 4, 4, generator=generator).to(device)
    labels = torch.randint(10, (12,), generator=generator).to(device)

    def closure(backward=True, examples=None, reduction="mean", fraction=1.0):
        rows = slice(math.ceil(fraction * len(images))) if examples is None else examples
        closure.before(backward)
        closure.calls += 1
        share = len(images[rows]) / len(images)
        closure.shares.append((False, share))
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast and backward):
            logits = model(images[rows])
            loss = nn.functional.cross_entropy(logits, labels[rows], reduction=reduction)
        if backward:
            mean = loss.mean()
            mean.register_hook(lambda _: closure.shares.append((True, share)))
            mean.backward()
        return loss

    closure.shares, closure.calls = [], 0
    closure.before = lambda backward: None
    return closure


def _setup(name, sparsifier="dense", seed=0, device="cpu", steps=20, **options):
    model = _network(seed).to(device)

    def examples(per_class, generator):
        return tuple(tensor.to(device) for tensor in _examples(per_class, generator))

    masker = create_masker(
        sparsifier,
        model,
        sparsity=0 if sparsifier == "dense" else 0.75,
        total_steps=steps,
        seed=seed,
        examples=examples,
        **QUICK.get(sparsifier, {}),
    )
    context = {"lr": 0.05, "steps_per_epoch": 3, "epochs": 7}
    optimizer = create_optimizer(name, model, masker=masker, seed=seed, **context | options)
    return model, masker, optimizer


def _snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def _same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def network():
    """Builds the network; the same one for the same seed."""
    return _network


@pytest.fixture
def examples():
    """Draws random images of the network's classes."""
    return _examples


@pytest.fixture
def closure_for():
    """Builds a model's closure; `shares`: (is a backward pass, share of the mini-batch)."""
    return _closure_for


@pytest.fixture
def setup():
    """Builds (model, masker, optimizer) from an optimizer's and a sparsifier's name."""
    return _setup


@pytest.fixture
def snapshot():
    """Copies a model's state."""
    return _snapshot


@pytest.fixture
def same():
    """Compares two states bit by bit."""
    return _same
