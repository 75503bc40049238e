"""What the base optimizer gets and keeps: a clipped gradient, state in a fitting layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


def clip_gradients(params: Sequence[Tensor], largest: float) -> Tensor:
    """Scales the gradients of all parameters together to at most a norm.

    Returns:
        Whether they were longer, 0-d bool, without waiting for the device; where one gradient is
        not finite, all become not finite.
    """
    return clip_grad_norm_(params, largest) > largest


def match_layouts(optimizer: Optimizer) -> None:
    """Gives loaded state the memory layout of its parameters, as state made in training has."""
    for param, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == param.shape:
                state[name] = torch.empty_like(param, dtype=value.dtype).copy_(value)
