"""A step keeps the device busy: the host reads no value from it, and all tensors live on it."""

import functools
import gc
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from robustbench_zosam.optim import (
    OPTIMIZERS,
    SAM,
    ZOSAM,
    asking,
    create_optimizer,
    guards,
    make_closure,
    passes,
)

READS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
    torch.ops.aten._unique2.default,
}
NAMES = [name for name in OPTIMIZERS.names() if name != "adamw"]  # torch's keeps steps on the CPU
USUAL = {"interval": 2, "samples": 4, "sides": "two"}
WAITS = {"zo-sam": 1, "zo-sam-guided": 1}  # which probe's backward pass to run
VARIANTS = [
    ("zo-sam", {"reuse": "none"}, 0),
    ("zo-sam", {"reuse": "late"}, 2),  # and which side to probe first
    ("zo-sam-guided", {"reuse": "none"}, 0),
    ("zo-sam", {"queries": 3, "directions": "sphere"}, 0),
    ("zo-sam-guided", {"queries": 3}, 0),
    ("zo-sam", {"sigma": 0.01, "scope": "norm", "probe_precision": "fp32"}, 0),
    ("zo-sgd", {"queries": 2, "shared": False}, 0),
    ("sam", {"scope": "norm"}, 0),
    ("gsam", {"adaptive": True, "rho_min": 0.01}, 0),
    ("xsam", {"ascent_steps": 2}, 0),
    ("esam", {"gamma": 1.0}, 0),
]


class Reads(TorchDispatchMode):
    """Counts operations whose result the host has to wait for."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_mask = func is torch.ops.aten.index.Tensor and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if func in READS or by_mask:
            self.found.append(func)
        return func(*args, **(kwargs or {}))


def network(device="cpu"):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)
    ).to(device)


def closure_of(model, device="cpu"):
    images = torch.randn(8, 3, 6, 6, device=device)
    labels = torch.zeros(8, dtype=torch.long, device=device)
    return make_closure(
        lambda x, y: nn.functional.cross_entropy(model(x), y, reduction="none"), images, labels
    )


def usual(name, model, **options):
    options = {k: v for k, v in USUAL.items() if k in OPTIMIZERS[name].options} | options
    return create_optimizer(name, model, lr=0.1, steps_per_epoch=100, **options)


@pytest.mark.parametrize(
    ("name", "options", "waits"), [*((n, {}, WAITS.get(n, 0)) for n in NAMES), *VARIANTS]
)
def test_a_usual_step_reads_nothing_from_the_device(name, options, waits):
    model = network()
    mask = {model[4].weight: torch.rand(model[4].weight.shape) < 0.5}
    optimizer = usual(name, model, masker=mask, **options)
    for _ in range(3):  # the first steps choose, search and count
        optimizer.step(closure_of(model))
    for _ in range(2):
        closure = closure_of(model)
        with Reads() as reads:
            optimizer.step(closure)
        assert len(reads.found) == waits, reads.found


FAKES = {"xsam": {"alpha": 1.0}, "zo-sam": {"reuse": "none"}, "zo-sam-guided": {"reuse": "none"}}


@pytest.mark.parametrize("name", NAMES)
def test_all_tensors_of_a_step_are_where_the_parameters_are(name, monkeypatch):
    """On a device without storage, whose tensors have no values to read and mix with no others."""
    monkeypatch.setattr(guards, "random_state", lambda device: [])
    monkeypatch.setattr(guards, "set_random_state", lambda states, device: None)
    monkeypatch.setattr(passes, "arithmetic", lambda *_: nullcontext())
    generator = functools.partial(torch.Generator, "cpu")
    monkeypatch.setattr(torch, "Generator", lambda device="cpu": generator())
    model = network("meta")
    optimizer = usual(name, model, **FAKES.get(name, {}))
    optimizer.period = 0  # a step that begins no period
    if name == "ssam-d":
        optimizer.vectors["perturbed"] = optimizer.space.zeros()
    if name == "ssam-f":
        optimizer.vectors |= {k: optimizer.space.zeros() for k in ("perturbed", "fisher")}
    for _ in range(2):
        loss = optimizer.step(closure_of(model, "meta"))
    tensors = [loss, *optimizer.vectors.values(), *optimizer.counters.values()]
    tensors += [p.grad for p in model.parameters()]
    assert {t.device.type for t in tensors} == {"meta"}


def test_the_signature_of_a_closure_is_looked_at_once(monkeypatch):
    looked = []
    real = asking._argument_names
    monkeypatch.setattr(asking, "_argument_names", lambda c: looked.append(1) or real(c))
    model = network()
    optimizer = ZOSAM(model.parameters(), lr=0.1, queries=4, model=model)
    for _ in range(3):
        optimizer.step(_closure_like(model))
    assert len(looked) == 1  # one function, made anew each time

    class Callable:
        def __call__(self, backward=True):
            return _closure_like(model)(backward)

    closure = Callable()
    kept = weakref.ref(closure)
    optimizer.step(closure)
    assert len(looked) == 2
    del closure
    gc.collect()
    assert kept() is None


def _closure_like(model):
    images = torch.randn(4, 3, 6, 6)

    def closure(backward=True):
        loss = model(images).square().mean()
        if backward:
            loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(("kind", "options"), [(SAM, {}), (ZOSAM, {"queries": 4})])
def test_buffers_are_saved_once_a_step(kind, options, given, monkeypatch):
    model, saved = network(), []
    real = guards.SavedBuffers.extend

    def extend(self, modules):
        saved.extend(m for m in modules if m not in self._seen)
        real(self, modules)

    monkeypatch.setattr(guards.SavedBuffers, "extend", extend)
    optimizer = kind(model.parameters(), lr=0.1, model=model if given else None, **options)
    optimizer.step(closure_of(model))
    assert saved == [model[1]]
    assert model[1].num_batches_tracked == 1
