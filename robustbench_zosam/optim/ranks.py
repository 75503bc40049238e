"""The processes of data-parallel training: what they decide together, and what each on its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from robustbench_zosam.checks import require_choice
from robustbench_zosam.optim.space import ParameterSpace
from robustbench_zosam.seeds import derive_seed
from robustbench_zosam.sparsity.ranks import process_count

MODES = ("shared", "own")


class Ranks:
    """The default process group, if there is one; alone, every method does nothing.

    Args:
        mode: `"shared"`: all ranks take one perturbation, of averaged losses and gradients;
            `"own"`: each takes one of its own part of the batch (m-sharpness), and the gradients
            they end with are averaged.
    """

    def __init__(self, mode: str = "shared") -> None:
        self.mode = require_choice("ranks", mode, MODES)
        self._local = False  # whether a DistributedDataParallel module was held back

    @property
    def count(self) -> int:
        """Number of ranks."""
        return process_count()

    @property
    def shared(self) -> bool:
        """Returns whether there are several ranks that decide together."""
        return self.mode == "shared" and self.count > 1

    def mean(self, values: Tensor) -> Tensor:
        """Returns the mean over ranks that decide together, equal on all; else the values."""
        return self.total(values) / self.count if self.shared else values

    def total(self, values: Tensor) -> Tensor:
        """Returns the sum over ranks that decide together, equal on all; else the values."""
        if not self.shared:
            return values
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    def mean_of_own(self, values: Tensor) -> Tensor:
        """Returns the mean over ranks that each made their own values in this step; else these."""
        if not (self.mode == "own" and self._local):
            return values
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total / self.count

    def seed(self, seed: int) -> int:
        """Returns a seed: one for all ranks that decide together, else one for each."""
        if self.shared or self.count == 1:
            return seed
        return derive_seed("rank", seed, torch.distributed.get_rank())

    @contextmanager
    def separate(self, *, always: bool = False) -> Iterator[None]:
        """Lets a pass leave the gradients of this rank alone, where each has its own perturbation.

        Args:
            always: also where ranks decide together; the caller averages.
        """
        if self.count == 1 or not (always or self.mode == "own"):
            yield
            return
        held: list[nn.parallel.DistributedDataParallel] = []

        def hold(module: nn.Module, _: object) -> None:
            if torch.compiler.is_compiling():
                return
            found = getattr(module, "_orig_mod", module)  # of torch.compile
            if isinstance(found, nn.parallel.DistributedDataParallel):
                if found.require_backward_grad_sync:
                    found.require_backward_grad_sync = False
                    held.append(found)
                self._local = True

        hook = register_module_forward_pre_hook(hold)
        try:
            yield
        finally:
            hook.remove()
            for module in held:
                module.require_backward_grad_sync = True

    @contextmanager
    def step(self, space: ParameterSpace) -> Iterator[None]:
        """Averages, at the end, the gradients that each rank made on its own."""
        self._local = False
        yield
        if self.mode == "own" and self._local:
            average_gradients(space)


def average_gradients(space: ParameterSpace) -> None:
    """Averages gradients over all ranks in one message; one that no rank has stays absent."""
    has = torch.tensor([p.grad is not None for p in space.params], device=space.device)
    message = torch.cat([space.gather_gradients(), has.to(space.dtype)])
    torch.distributed.all_reduce(message)
    vector, found = torch.split(message, [space.dimension, len(space.params)])
    for param, some in zip(space.params, found.tolist(), strict=True):
        if some and param.grad is None:
            param.grad = torch.zeros_like(param)
    space.set_gradients(vector.div_(torch.distributed.get_world_size()))


def spread(values: Sequence[Tensor]) -> float:
    """Returns the largest difference between the ranks of any of some numbers."""
    flat = torch.cat([v.detach().flatten().double() for v in values])
    low, high = flat.clone(), flat.clone()
    torch.distributed.all_reduce(low, torch.distributed.ReduceOp.MIN)
    torch.distributed.all_reduce(high, torch.distributed.ReduceOp.MAX)
    return float((high - low).max())
