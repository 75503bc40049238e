"""Sparse tensors as a bit mask and the values under it.

The mask is stored, never guessed from the values: an active weight may be exactly zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def encode(name: str, value: Tensor, mask: Tensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splits a masked tensor into packed mask and active values.

    Args:
        name: of the tensor.
        value: any shape; exactly zero off the mask.
        mask: bool, same shape.

    Returns:
        `name.mask` (uint8, 8 entries a byte) and `name.values` (row-major order), and the facts
        needed to put them together again.
    """
    assert mask.shape == value.shape
    assert not value[~mask].any()
    bits = np.packbits(mask.cpu().numpy().ravel())
    tensors = {
        f"{name}.mask": torch.from_numpy(bits),
        f"{name}.values": value[mask].detach().cpu().contiguous(),
    }
    return tensors, {"encoding": "bitmask", "shape": list(value.shape)}


def decode(name: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Puts a masked tensor together again.

    Args:
        name: of the tensor.
        tensors: holds `name.mask` and `name.values`.
        facts: what `encode` returned.

    Returns:
        The tensor and its bool mask.

    Raises:
        ValueError: the parts do not fit each other.
    """
    if facts.get("encoding") != "bitmask":
        raise ValueError(f"{name} has the unknown encoding {facts.get('encoding')!r}")
    shape = tuple(facts["shape"])
    bits, values = tensors[f"{name}.mask"], tensors[f"{name}.values"]
    size = int(np.prod(shape))
    if len(bits) != (size + 7) // 8:
        raise ValueError(f"the mask of {name} has {len(bits)} bytes where {shape} needs another")
    mask = torch.from_numpy(np.unpackbits(bits.numpy(), count=size).astype(bool)).view(shape)
    if int(mask.sum()) != len(values):
        raise ValueError(f"{name} has {len(values)} values for {int(mask.sum())} active weights")
    value = torch.zeros(shape, dtype=values.dtype)
    value[mask] = values
    return value, mask
