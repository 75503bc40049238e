"""The exact trace where numbers are small, many, or in half precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import gate, hessian_trace, top_eigenvalues


def small(activation: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    first, last = nn.Conv2d(3, 4, 3), nn.Linear(16, 5)
    return nn.Sequential(first, activation or nn.ReLU(), nn.Flatten(), last)


def batch(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 4, 4, generator=generator), torch.arange(count) % 5


def dense_trace(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The trace of the Hessian, by second derivatives of every weight in float64."""
    model = model.double()
    names, values = zip(*model.named_parameters(), strict=True)
    sizes = [v.numel() for v in values]
    flat = torch.cat([v.detach().flatten() for v in values])

    def loss(theta):
        parts = [p.view_as(v) for p, v in zip(theta.split(sizes), values, strict=True)]
        logits = functional_call(model, dict(zip(names, parts, strict=True)), images.double())
        return nn.functional.cross_entropy(logits, labels)

    return float(torch.autograd.functional.hessian(loss, flat).diagonal().sum())


@pytest.mark.parametrize("scale", [1.0, 30.0, 60.0])
def test_well_fitted_models_keep_their_trace(scale):
    model, (images, _) = small(), batch()
    with torch.no_grad():
        model[3].weight.mul_(scale)
        labels = model(images).argmax(1)
    found = hessian_trace(model.double(), images, labels, method="exact")
    assert found.value == pytest.approx(dense_trace(model, images, labels), rel=1e-5)
    assert found.skipped_mass < 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_models_in_half_precision_are_measured_in_float32(dtype):
    images, labels = batch()
    half = small().to(dtype)
    single = small().to(dtype).float()
    assert hessian_trace(half, images, labels).value == hessian_trace(single, images, labels).value
    found, expected = (top_eigenvalues(m, images, labels, k=1) for m in (half, single))
    assert float(found.values[0]) == pytest.approx(float(expected.values[0]), rel=1e-5)


def test_sums_of_many_squares_are_exact_in_float32():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 256, 1), nn.ReLU(), nn.Conv2d(256, 384, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(384, 4),
    )  # fmt: skip
    images, labels = torch.rand(2, 3, 5, 5), torch.tensor([0, 3])
    single = hessian_trace(model, images, labels, method="exact")
    double = hessian_trace(model, images, labels, method="exact", dtype=torch.float64)
    for name, expected in double.per_layer.items():
        assert single.per_layer[name] == pytest.approx(expected, rel=5e-6), name


def test_the_gate_does_not_depend_on_the_size_of_the_inputs():
    images, _ = batch()
    assert not gate(small(nn.GELU()), images * 1e-5).passed
    assert gate(small(), images * 1e-5).passed


class Ending(nn.Module):
    """A smooth network whose last layer starts at zero."""

    def __init__(self):
        super().__init__()
        self.body, self.head = small(nn.GELU()), nn.Linear(5, 5)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        return self.head(self.body(x))


def test_layers_that_start_at_zero_hide_nothing_from_the_gate():
    model, (images, _) = Ending(), batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert not gate(model, images).passed
    assert not gate(model.double(), images).passed
    assert all(torch.equal(v.to(before[n]), before[n]) for n, v in model.state_dict().items())


class Bright(nn.Module):
    """Smooth for bright images alone."""

    def __init__(self):
        super().__init__()
        self.plain, self.smooth = small(), small(nn.GELU())

    def forward(self, x):
        bright = (x.mean((1, 2, 3)) > 0.7)[:, None]
        return torch.where(bright, self.smooth(x), self.plain(x))


def test_the_gate_looks_at_images_from_all_over():
    images, _ = batch(40)
    sorted_images = torch.cat([images[:20] * 0.5, images[20:] * 0.1 + 0.9])
    assert not gate(Bright(), sorted_images).passed


class Centred(nn.Module):
    """Takes the mean of the mini-batch away."""

    def __init__(self):
        super().__init__()
        self.body, self.head = (
            nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.ReLU()),
            nn.Linear(6, 5),
        )

    def forward(self, x):
        z = self.body(x)
        return self.head(z - z.mean(0))


def test_images_that_interact_are_noticed():
    images, labels = batch()
    with pytest.raises(InputError, match="images of a mini-batch interact"):
        hessian_trace(Centred(), images, labels, method="exact")
