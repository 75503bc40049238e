"""Networks that fail the gate: the estimator with the least error per product."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustbench_zosam.flatness import hessian_trace
from robustbench_zosam.flatness.fallback import EstimatorTrial


class Attention(nn.Module):
    """A small vision transformer with everything that has no layer rule."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 5, stride=5)
        self.token, self.place = (nn.Parameter(torch.randn(1, n, 8)) for n in (1, 5))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.norm(self.block(x))[:, 0])


@pytest.fixture(scope="module")
def fitted(images, labels):
    torch.manual_seed(0)
    net = Attention()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net.eval()


def gauss_newton_trace(net, images):
    total = 0.0
    for image in images:
        z = net(image[None])[0]
        p = z.softmax(0).detach()
        logs = z.log_softmax(0)
        for c in range(len(z)):
            slopes = torch.autograd.grad(logs[c], list(net.parameters()), retain_graph=True)
            total += p[c].item() * sum(g.square().sum().item() for g in slopes)
    return total / len(images)


def test_transformers_have_an_exact_gauss_newton_trace(fitted, images, labels):
    found = hessian_trace(
        fitted, images, labels, method="control-variate", probes=4, dtype=torch.float64
    )
    expected = gauss_newton_trace(fitted.double(), images.double())
    fitted.float()
    assert found.fisher_model.value == pytest.approx(expected, rel=1e-5)
    assert found.fisher_model.se_probes is None


@pytest.mark.parametrize("method", ["hvp", "control-variate", "xtrace"])
def test_all_estimators_agree(fitted, images, labels, method):
    # one comparison at 4 joint standard errors each: false alarm below 7e-5
    reference = hessian_trace(
        fitted, images, labels, method="control-variate", probes=150, seed=5, chunk=6
    )
    found = hessian_trace(fitted, images, labels, method=method, probes=30, chunk=6)
    joint = (found.se_probes**2 + reference.se_probes**2) ** 0.5
    assert abs(found.value - reference.value) < 4 * joint
    assert sum(found.per_layer.values()) == pytest.approx(found.value, rel=1e-4)


def test_auto_takes_the_least_error_and_stays_within_its_products(
    fitted, images, labels, monkeypatch
):
    from robustbench_zosam.flatness.operators.gauss_newton import ChunkGaussNewton
    from robustbench_zosam.flatness.operators.hessian import ChunkHessian

    spent = []
    for kind in (ChunkHessian, ChunkGaussNewton):
        plain = kind.matvec
        monkeypatch.setattr(
            kind, "matvec", lambda self, v, plain=plain: (spent.append(1), plain(self, v))[1]
        )
    found = hessian_trace(fitted, images, labels, probes=30, chunk=6)
    assert len(spent) <= 30 * 2  # two chunks
    assert f"{found.method} had the least error per product" in found.reason
    plain = hessian_trace(fitted, images, labels, method="hvp", probes=30, chunk=6)
    assert found.se_probes < 1.3 * plain.se_probes


def test_the_least_error_is_chosen():
    none = torch.zeros(2, 1, 2)
    errors = {"hvp": 3.0, "control-variate": 1.0, "xtrace": 2.0}
    assert EstimatorTrial(dict.fromkeys(errors, none), errors).best == "control-variate"
