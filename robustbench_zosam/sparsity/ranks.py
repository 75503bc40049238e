"""The processes of data-parallel training: masks are decided once, on the first of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError


def process_count() -> int:
    """Returns the size of the default process group; 1 where there is none."""
    import torch.distributed as dist  # not part of every build of torch

    if not (dist.is_available() and dist.is_initialized()):
        return 1
    return dist.get_world_size()


def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrites tensors by those of the first rank; alone, nothing happens."""
    if process_count() == 1:
        return
    for tensor in tensors:
        message = tensor.contiguous()
        numbers = message.view(torch.uint8) if message.dtype == torch.bool else message
        torch.distributed.broadcast(numbers, 0)
        tensor.copy_(message)


def take_generator_from_first(generator: torch.Generator, device: torch.device) -> None:
    """Puts a CPU generator into the state it has on the first rank; alone, nothing happens.

    Args:
        device: one that the process group can send from.
    """
    if process_count() > 1:
        state = generator.get_state().to(device)
        take_from_first([state])
        generator.set_state(state.cpu())


def require_same(masks: Sequence[Tensor]) -> None:
    """Refuses masks that differ between ranks; every rank makes the check.

    Raises:
        InputError: on every rank.
    """
    if process_count() == 1 or not masks:
        return
    digest = hashlib.sha256()
    for mask in masks:
        digest.update(mask.detach().cpu().contiguous().numpy().data)
    device = masks[0].device
    own = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).to(device)
    first = own.clone()
    torch.distributed.broadcast(first, 0)
    differ = (own != first).any().to(torch.int32)
    torch.distributed.all_reduce(differ)
    if differ:
        raise InputError(
            f"the masks of {int(differ)} of {process_count()} ranks are not those of rank 0: build "
            "the masker on every rank, after init_process_group"
        )
