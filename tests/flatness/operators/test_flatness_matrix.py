"""Eigenvalues and density of the Gauss-Newton matrix beside those of the Hessian."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import Curvature


def dense_gauss_newton(model, images):
    logits = model(images)
    p = logits.softmax(1).detach()
    rows = [
        torch.cat([
            g.flatten() for g in torch.autograd.grad(z, list(model.parameters()), retain_graph=True)
        ])
        for z in logits.flatten()
    ]
    j = torch.stack(rows).view(*logits.shape, -1)
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.einsum("nap,nab,nbq->pq", j, inner, j) / len(images)


def test_both_matrices_by_one_switch(tools, images, labels):
    net = tools.settle(tools.Residual(activation=nn.GELU)).double()
    expected = torch.linalg.eigvalsh(dense_gauss_newton(net, images.double()))
    curvature = Curvature(net, images, labels, chunk=4)
    found = curvature.eigenvalues(k=3, steps=60, tol=1e-6, smallest=False, matrix="gauss-newton")
    assert list(found.values) == pytest.approx(expected[-3:].flip(0).tolist(), rel=1e-6)
    assert found.stored()["matrix"] == "gauss-newton"
    assert found.se > 0
    density = curvature.density(starts=2, steps=40, matrix="gauss-newton")
    assert density.nodes.min() > -1e-8
    hessian = curvature.eigenvalues(k=1, steps=40, smallest=False)
    assert hessian.stored()["matrix"] == "hessian"
    assert hessian.lambda_1 != pytest.approx(found.lambda_1, rel=1e-6)
    with pytest.raises(InputError, match="matrix"):
        curvature.eigenvalues(matrix="fisher")
