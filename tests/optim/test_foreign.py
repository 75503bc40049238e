"""Optimizers named by their class: torch's, and other packages' where code is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.optim.foreign import register_class
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.runs.methods import expand
from robustbench_zosam.sparsity import create_masker

OUTSIDE = """
import torch

class HalfSGD(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.mul_(0.5)
        return super().step(closure)

def function():
    pass
"""


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered here is seen by no other test."""
    OPTIMIZERS.names()
    monkeypatch.setattr(OPTIMIZERS, "_entries", dict(OPTIMIZERS._entries))


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "outside_optimizers.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    return "outside_optimizers"


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture(scope="module")
def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator))
        for _ in range(5)
    ]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batches) -> None:
    for images, labels in batches:

        def closure(images=images, labels=labels):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()
            return loss

        optimizer.step(closure)


def test_a_class_of_torch_takes_the_steps_of_torch(batches):
    name = register_class("torch.optim:RMSprop", allow_code=False)
    mine, theirs = small_net(), small_net()
    train(mine, create_optimizer(name, mine, lr=0.01, alpha=0.9, weight_decay=0.1), batches)
    oracle = torch.optim.RMSprop(theirs.parameters(), lr=0.01, alpha=0.9, weight_decay=0.1)
    train(theirs, oracle, batches)
    for ours, wanted in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(ours, wanted)


def test_masked_weights_stay_zero(batches):
    name = register_class("torch.optim:Adamax", allow_code=False)
    model = small_net()
    masker = create_masker("random", model, sparsity=0.5, total_steps=10, seed=0)
    train(model, create_optimizer(name, model, masker=masker, lr=0.01), batches)
    weights = model[0].weight, model[2].weight
    for weight, mask in zip(weights, masker.masks.values(), strict=True):
        assert not weight[~mask].any()
        assert weight[mask].all()


def test_another_package_needs_permission(outside):
    with pytest.raises(InputError, match=r"is code that would run here"):
        register_class(f"{outside}:HalfSGD", allow_code=False)
    assert "outside_optimizers" not in __import__("sys").modules
    assert register_class(f"{outside}:HalfSGD", allow_code=True) == "halfsgd"


def test_an_experiment_takes_a_class_with_its_options(outside):
    settings = {
        "optimizers": ["sgd", f"{outside}:HalfSGD", "torch.optim:SGD"],
        "optimizer.halfsgd": {"dampening": 0.5},
        "model.allow_code": True,
    }
    methods = {method.id: method for method in expand(load_config(None, settings))}
    half = methods["halfsgd-rigl-0.9"]
    assert half.optimizer_class == f"{outside}:HalfSGD"
    assert half.options["dampening"] == 0.5
    assert methods["torch-sgd-rigl-0.9"].label.startswith("SGD (torch.optim:SGD)")
    assert methods["sgd-rigl-0.9"].optimizer_class == ""


def test_the_shared_part_of_a_grid_reaches_it():
    settings = {"optimizers": ["torch.optim:RMSprop"], "grid": {"optimizer.alpha": [0.9, 0.99]}}
    ids = [method.id for method in expand(load_config(None, settings))]
    assert "rmsprop-alpha0.9-rigl-0.9" in ids


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("torch.optim:Nothing", "cannot be imported: AttributeError"),
        ("torch.optim.nowhere:Adam", "cannot be imported: ModuleNotFoundError"),
        ("torch.optim.lr_scheduler:LambdaLR", "is no class of torch.optim.Optimizer"),
        ("outside_optimizers:function", "is no class of torch.optim.Optimizer"),
    ],
)
def test_what_is_no_optimizer_is_refused(outside, path, says):
    with pytest.raises(InputError, match=says):
        register_class(path, allow_code=True)


def test_two_classes_of_one_name_are_refused(outside, monkeypatch):
    first = register_class("torch.optim:Adadelta", allow_code=False)
    second = register_class("torch.optim.adadelta:Adadelta", allow_code=False)
    assert (first, second) == ("adadelta", "torch-adadelta")
    assert OPTIMIZERS[first].target != OPTIMIZERS[second].target
    with pytest.raises(InputError, match="would both be called"):
        register_class("torch.optim._functional:Adadelta", allow_code=False)
