"""Sparse tensors as their mask and the values under it; the mask as bits or as gaps.

The mask is stored, never guessed from the values: an active weight may be exactly zero. Of the two
encodings each tensor gets the smaller one:

* `mask`: one bit for each entry, eight to a byte.
* `gaps`: the inactive entries before each active one, a byte each (255 means 255 inactive entries
  and no active one yet), deflated. For a large random mask this comes within a few percent of its
  entropy.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SKIP = 255
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def encode(name: str, value: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Returns `name.mask` or `name.gaps`, as bytes, and `name.values` in row-major order.

    Args:
        value: any shape; exactly zero off the mask.
        mask: bool, same shape.
    """
    assert mask.shape == value.shape
    assert not value[~mask].any()
    flat = mask.cpu().numpy().ravel()
    choices = {f"{name}.mask": np.packbits(flat), f"{name}.gaps": _to_gaps(flat)}
    part = min(choices, key=lambda kind: choices[kind].size)
    values = value[mask].detach().cpu().contiguous()
    return {part: torch.from_numpy(choices[part]), f"{name}.values": values}


def encode_state(
    state: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """Returns the tensors of a state dict as files hold them, and the shapes of the masked ones.

    Args:
        masks: bool tensors by the names in the state; other tensors are copied as they are.
    """
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, value in state.items():
        if name in masks:
            tensors |= encode(name, value, masks[name])
            shapes[name] = list(value.shape)
        else:
            tensors[name] = value.detach().cpu().contiguous().clone()  # tied tensors are refused
    return tensors, shapes


def decode(name: str, parts: dict[str, Tensor], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Returns a tensor and its bool mask, taking out of `parts` what `encode` returned.

    Raises:
        ValueError: the parts do not fit each other.
    """
    kind = "gaps" if f"{name}.gaps" in parts else "mask"
    absent = next((key for key in (f"{name}.{kind}", f"{name}.values") if key not in parts), None)
    if absent is not None:
        raise ValueError(f"{absent} is missing")
    stored, values = parts.pop(f"{name}.{kind}"), parts.pop(f"{name}.values")
    if stored.dtype != torch.uint8:
        raise ValueError(f"the mask of {name} is of type {stored.dtype}, not of bytes")
    try:
        read = _from_gaps if kind == "gaps" else _from_bits
        flat = read(stored.flatten().numpy(), math.prod(shape))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the mask of {name} does not fit its shape {shape} ({error})") from error
    mask = torch.from_numpy(flat).view(shape)
    if int(mask.sum()) != values.numel():
        raise ValueError(f"{name} has {values.numel()} values for {int(mask.sum())} active weights")
    value = torch.zeros(shape, dtype=values.dtype)
    value[mask] = values.flatten()
    return value, mask


def _to_gaps(mask: Bools) -> Bytes:
    active = np.flatnonzero(mask)
    gaps = np.diff(active, prepend=-1) - 1
    ends = np.cumsum(gaps // _SKIP + 1)  # each active entry's own byte comes after its skips
    steps = np.full(ends[-1] if len(ends) else 0, _SKIP, dtype=np.uint8)
    steps[ends - 1] = gaps % _SKIP
    # filtered: short matches, which random gaps are full of, cost more than they save
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    packed = deflate.compress(steps.tobytes()) + deflate.flush()
    return np.frombuffer(packed, dtype=np.uint8).copy()


def _from_gaps(stored: Bytes, size: int) -> Bools:
    inflate = zlib.decompressobj()
    raw = inflate.decompress(stored.tobytes(), size + 1)  # a byte steps over one entry at least
    if not inflate.eof or inflate.unused_data:
        raise ValueError(f"its {len(stored)} bytes are not {size} entries")
    steps = np.frombuffer(raw, dtype=np.uint8)
    active = np.cumsum(np.where(steps == _SKIP, _SKIP, steps.astype(np.int64) + 1)) - 1
    active = active[steps != _SKIP]
    if len(active) and active[-1] >= size:
        raise ValueError(f"it goes on to entry {active[-1]}")
    mask = np.zeros(size, dtype=bool)
    mask[active] = True
    return mask


def _from_bits(stored: Bytes, size: int) -> Bools:
    if len(stored) != (size + 7) // 8:
        raise ValueError(f"it has {len(stored)} bytes")
    return np.unpackbits(stored, count=size).astype(bool)
