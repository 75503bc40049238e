"""Floating-point operations of a network, by the weights they are made with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class ForwardFlops:
    """Operations of one forward pass; a multiplication and an addition are two.

    Counted are convolutions, matrix products and attention, as `torch.utils.flop_counter` does.

    Attributes:
        dense: all of them.
        by_weight: those of each parameter.
    """

    dense: int
    by_weight: dict[str, int]

    def at(self, densities: Mapping[str, float]) -> float:
        """Returns the operations where only active weights are computed with.

        Args:
            densities: fraction of active weights by parameter name; 1 where there is none.
        """
        return self.dense - sum(
            (1 - densities.get(name, 1.0)) * count for name, count in self.by_weight.items()
        )


@torch.no_grad()
def forward_flops(model: nn.Module, image_size: int) -> ForwardFlops:
    """Returns the operations of a forward pass of one image; the model stays as it is.

    Args:
        image_size: side length in pixels.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Flatten(), nn.Linear(16, 5))
        >>> forward_flops(model, 4)
        ForwardFlops(dense=1024, by_weight={'0.weight': 864, '2.weight': 160})
    """
    first = next(model.parameters())
    image = torch.full((1, 3, image_size, image_size), 0.5, device=first.device, dtype=first.dtype)
    training = {module: module.training for module in model.modules()}
    counter, fast = _Counter(model.named_parameters()), torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)  # whose fused operation nothing counts
    try:
        with counter:
            model(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in training.items():
            module.training = mode
    return ForwardFlops(counter.total, dict(counter.found))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Counts by the storage of what an operation reads: views of a weight are the weight."""

    def __init__(self, parameters: Iterable[tuple[str, Tensor]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = {p.untyped_storage()._cdata: name for name, p in parameters if p.ndim > 1}
        self.total = 0
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        given = kwargs or {}
        formula = flop_registry.get(getattr(func, "_overloadpacket", None))
        if formula is None:
            with self:  # what an operation is made of, where it is not counted as a whole
                parts = func.decompose(*args, **given) if hasattr(func, "decompose") else None
            if parts is not None and parts is not NotImplemented:
                return parts
            return func(*args, **given)
        result = func(*args, **given)
        count = formula(*args, **given, out_val=result)
        self.total += count
        for value in args:
            name = isinstance(value, Tensor) and self._names.get(value.untyped_storage()._cdata)
            if name:
                self.found[name] += count
                break
        return result
