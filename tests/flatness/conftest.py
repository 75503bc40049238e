"""Small networks with dense Hessians as oracles."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, hessian


class Residual(nn.Module):
    """Grouped, strided, dilated and pointwise convolutions, batch norms, a skip, a linear layer."""

    def __init__(self, *, activation=nn.ReLU, inplace=False, classes=4, running=True):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm1 = nn.BatchNorm2d(4, track_running_stats=running)
        self.grouped = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False)
        self.norm2 = nn.BatchNorm2d(4)
        self.point = nn.Conv2d(4, 4, 1, stride=2)
        self.head = nn.Linear(4, classes)
        self.act = activation(inplace=True) if inplace else activation()

    def forward(self, x):
        x = self.act(self.norm1(self.stem((x - 0.5) / 0.25)))
        y = self.norm2(self.grouped(x))
        y += x
        return self.head(self.point(F.max_pool2d(self.act(y), 1)).mean((2, 3)))


def settle(model, seed=0):
    """Random affine batch norms with plausible running statistics, in evaluation mode."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.2, 0.8)
        else:
            nn.init.kaiming_uniform_(parameter)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def random_masks(model, density=0.5, seed=3):
    draw = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(p.shape, generator=draw) < density
        for name, p in model.named_parameters()
        if p.ndim >= 2
    }


def dense_hessian(model, images, labels):
    """Returns the Hessian of the mean cross-entropy over all parameters, in float64, by name."""
    model = copy.deepcopy(model).double()
    names = [name for name, _ in model.named_parameters()]
    sizes = [p.numel() for p in model.parameters()]
    shapes = [p.shape for p in model.parameters()]
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(theta):
        parts = (part.view(s) for part, s in zip(theta.split(sizes), shapes, strict=True))
        logits = functional_call(model, dict(zip(names, parts, strict=True)), (images.double(),))
        return F.cross_entropy(logits, labels)

    with warnings.catch_warnings():
        # torch compiles its forward-mode rules by a deprecated route at the first use
        warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
        return hessian(loss)(flat)


def flat_masks(model, masks):
    return torch.cat([
        masks.get(name, torch.ones_like(p, dtype=torch.bool)).flatten()
        for name, p in model.named_parameters()
    ])


def state(model):
    """Everything a measurement must leave alone, as comparable values."""
    return (
        {
            n: (p.data_ptr(), p.detach().clone(), p.requires_grad)
            for n, p in model.named_parameters()
        },
        {name: buffer.clone() for name, buffer in model.named_buffers()},
        [module.training for module in model.modules()],
        {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()},
        torch.get_rng_state(),
    )


def same_state(one, two):
    """Whether two states are bit-identical."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same_state(one[k], two[k]) for k in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(two) and all(map(same_state, one, two))
    return one == two


class Toolbox:
    """The helpers above, for tests, which cannot import from each other."""

    Residual = Residual
    settle = staticmethod(settle)
    random_masks = staticmethod(random_masks)
    dense_hessian = staticmethod(dense_hessian)
    flat_masks = staticmethod(flat_masks)
    state = staticmethod(state)
    same_state = staticmethod(same_state)


@pytest.fixture(scope="session")
def tools():
    return Toolbox


@pytest.fixture
def model():
    return settle(Residual())


@pytest.fixture(scope="session")
def images():
    return torch.rand(12, 3, 10, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def labels():
    return torch.randint(0, 4, (12,), generator=torch.Generator().manual_seed(2))
