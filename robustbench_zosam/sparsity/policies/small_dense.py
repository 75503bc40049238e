"""Control: a narrower dense network with as many weights."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.sparsity.allocation import target_count
from robustbench_zosam.sparsity.layers import MaskableLayer
from robustbench_zosam.sparsity.policy import Policy, Start
from robustbench_zosam.sparsity.selection import keep_highest


class SmallDense(Policy):
    """Keeps the first channels of every layer, all connected, and no others.

    Kept are the weights between the first outputs and the first inputs of each layer, the same
    fraction of both; inputs of the first layer and outputs of the last are all kept. Channels that
    residual branches add up are the same ones in each. The fraction is such that the count is
    exact, so the widest channel may be incomplete. Grouped convolutions and attention do not become
    narrower networks this way.
    """

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Keeps the first channels, `round((1 - sparsity) * N)` weights in all."""
        last = len(start.layers) - 1
        scores = [
            _nearness(layer, all_inputs=i == 0, all_outputs=i == last)
            for i, layer in enumerate(start.layers)
        ]
        return keep_highest(scores, target_count(start.sizes, start.sparsity))


def _nearness(layer: MaskableLayer, *, all_inputs: bool, all_outputs: bool) -> Tensor:
    """Minus the fraction of channels up to which a weight belongs to the narrower network."""
    outputs, inputs, *kernel = layer.shape
    device = layer.weight.device
    rows = torch.arange(outputs, device=device, dtype=torch.float64) / outputs
    columns = torch.arange(inputs, device=device, dtype=torch.float64) / inputs
    rows, columns = rows * (not all_outputs), columns * (not all_inputs)
    level = torch.maximum(rows[:, None], columns[None, :])
    return -level.view(outputs, inputs, *(1 for _ in kernel)).expand(layer.shape)
