"""Sharpness measures that are closed forms of derivatives at theta."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import jacrev, vmap

from robustbench_zosam.flatness.operators.derivatives import gradient
from robustbench_zosam.flatness.sharpness.neighbourhood import Neighbourhood, Transform


def fisher_rao(around: Neighbourhood) -> Tensor:
    """Returns the squared Fisher-Rao norm theta^T G theta of the active parameters, image by image.

    The variance under p_n of the derivative of the logits in the direction theta, (n,) float64.

    Source: Liang et al., "Fisher-Rao metric, geometry, and complexity of neural networks", 2019.
    """
    network, active = around.model.network, around.model.active
    direction = active.scatter(around.model.theta)
    rows: list[Tensor] = []
    for part in around.chunks():
        logits = around.transform(network(part.images))
        seed = torch.zeros_like(logits, requires_grad=True)
        pulled = gradient(logits, network.select(active.masks), seed)
        live = [(g, direction[name]) for g, name in zip(pulled, active.masks, strict=True)]
        live = [pair for pair in live if pair[0].requires_grad]
        slope = torch.zeros_like(logits)
        if live:  # the derivative of J^T s with respect to s, along theta, is J theta
            outputs, along = zip(*live, strict=True)
            (slope,) = torch.autograd.grad(outputs, [seed], along, materialize_grads=True)
        p, slope = logits.detach().double().softmax(1), slope.double()
        centred = slope - (p * slope).sum(1, keepdim=True)
        rows.append((p * centred.square()).sum(1))
    return torch.cat(rows)


def relative_flatness(around: Neighbourhood) -> Tensor | str:
    """Returns relative flatness of the last linear layer, (n,) float64, or why there is none.

    sum over its neurons s, s' of <w_s, w_s'> tr(H_ss'), where the block H_ss' of the Hessian is
    lambda_ss' a a^T for the layer's input a and the Hessian lambda of the loss in the logits.

    Source: Petzka et al., "Relative flatness and generalization", 2021.
    """
    network = around.model.network
    rows: list[Tensor] = []
    for part in around.chunks():
        found = _last_layer(around, part.images)
        if isinstance(found, str):
            return found
        name, a, logits = found
        mask = around.model.active.masks.get(f"{name}.weight")
        if mask is None:
            return f"the last layer {name!r} is not among the selected parameters"
        keep = mask.double()
        w = network.parameters[f"{name}.weight"].detach().double() * keep
        inner = torch.einsum("si,ni,ti->nst", keep, a.double().square(), keep)
        curvature = _logit_hessians(logits.double(), part.labels.to(a.device), around.transform)
        rows.append((curvature * (w @ w.T) * inner).sum((1, 2)))
    return torch.cat(rows)


@torch.no_grad()
def _last_layer(around: Neighbourhood, images: Tensor) -> tuple[str, Tensor, Tensor] | str:
    """Returns name, input and output of the linear layer whose output the logits are."""
    seen: list[tuple[str, Tensor, Tensor]] = []
    handles = []
    for name, module in around.model.network.module.named_modules():
        if isinstance(module, nn.Linear):

            def record(
                _: nn.Module, args: tuple[Tensor, ...], out: Tensor, name: str = name
            ) -> None:
                seen.append((name, args[0], out))

            handles.append(module.register_forward_hook(record))
    try:
        logits = around.model.network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not seen or seen[-1][2].shape != logits.shape or not torch.equal(seen[-1][2], logits):
        return "the model's logits are not the output of a linear layer"
    return seen[-1]


def _logit_hessians(logits: Tensor, labels: Tensor, transform: Transform) -> Tensor:
    """Returns the Hessian of each image's loss in its logits, (n, C, C)."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(transform(z[None]), y[None])

    # reverse over reverse: torch takes seconds to compile its forward-mode rules
    found: Tensor = vmap(jacrev(jacrev(loss)))(logits, labels)
    return found
