"""Each method with the setting that makes it SAM."""

import pytest
import torch

from robustbench_zosam.optim import OPTIMIZERS, create_optimizer, make_closure

SETTINGS = {
    "xsam": {"alpha": 1.0},
    "gsam": {"alpha": 0.0},
    "looksam": {"interval": 1},
    "friendly-sam": {"sigma": 0.0},
    "esam": {"beta": 1.0, "gamma": 1.0},
    "ssam-f": {"sparsity": 0.0},
    "ssam-d": {"sparsity": 0.0},
}


def follow(name, model, steps=20, **options):
    generator = torch.Generator().manual_seed(1)
    optimizer = create_optimizer(name, model, lr=0.1, rho=0.1, steps_per_epoch=5, **options)
    torch.manual_seed(0)
    for _ in range(steps):
        images = torch.randn(16, 3, 4, 4, generator=generator)
        labels = torch.randint(10, (16,), generator=generator)
        closure = make_closure(
            lambda x, y: torch.nn.functional.cross_entropy(model(x), y, reduction="none"),
            images.double(),
            labels,
        )
        optimizer.step(closure)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), optimizer


@pytest.mark.parametrize(("name", "options"), SETTINGS.items())
def test_it_equals_sam_over_20_steps(network, name, options):
    expected, sam = follow("sam", network().double())
    found, optimizer = follow(name, network().double(), **options)
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)
    assert (optimizer.cost.forwards, optimizer.cost.backwards) == (40, 40)
    assert sam.cost == optimizer.cost


@pytest.mark.parametrize("name", SETTINGS)
def test_its_default_does_not_equal_sam(network, name):
    expected, _ = follow("sam", network().double(), steps=12)
    found, _ = follow(name, network().double(), steps=12)
    assert not torch.allclose(found, expected, rtol=0, atol=1e-4)


def test_asam_equals_sam_where_all_weights_are_one(blocks):
    moved = []
    for name in ("sam", "asam"):
        params, closure = blocks()
        with torch.no_grad():
            for p in params:
                p.copy_(p.sign())
        options = {"eta": 0.0} if name == "asam" else {}
        OPTIMIZERS[name].load()(params, lr=0.1, rho=0.3, **options).step(closure)
        moved.append(closure.flat())
    assert torch.allclose(*moved, rtol=1e-12)
