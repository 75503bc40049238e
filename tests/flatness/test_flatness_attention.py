"""Networks with attention: the gate refuses, the general methods are right."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustbench_zosam.flatness import SharpnessMeasure, hessian_trace, sharpness, top_eigenvalues
from robustbench_zosam.landscape import line


class Attention(nn.Module):
    """Patches, one attention layer by the fused function, a head."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.head = nn.Linear(30, 4), nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x):
        x = self.embed(x.transpose(1, 2).flatten(2))
        q, k, v = self.mix(x).unflatten(2, (1, 12)).transpose(1, 2).chunk(3, -1)
        return self.head((x + F.scaled_dot_product_attention(q, k, v).squeeze(1)).mean(1))


def test_trace_eigenvalues_sharpness_and_slices(tools, images, labels):
    # one comparison at 4 standard errors: false alarm below 7e-5
    net = tools.settle(Attention())
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        dense = tools.dense_hessian(net, images, labels)
    trace = hessian_trace(net, images, labels, probes=100, chunk=6, dtype=torch.float64)
    assert trace.method in {"hvp", "control-variate", "xtrace"}
    assert "not affine" in trace.reason
    assert abs(trace.value - dense.trace().item()) < 4 * trace.se_probes
    top = top_eigenvalues(net, images, labels, k=1, steps=40, tol=1e-8, dtype=torch.float64)
    assert top.values[0] == pytest.approx(torch.linalg.eigvalsh(dense)[-1].item(), rel=1e-8)
    found = sharpness(
        net,
        images,
        labels,
        measures=[SharpnessMeasure("fisher-rao"), SharpnessMeasure("sam", 0.05)],
    )
    assert all(one.raw.value > 0 for one in found.measures)
    assert line(net, images, labels, points=3, seeds=1).nonfinite == 0
