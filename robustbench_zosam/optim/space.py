"""All parameters of an optimizer as one vector: where perturbations live."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError


class ParameterSpace:
    """The parameters of an optimizer in one flat vector space of dimension d.

    Directions are flat tensors of shape (d,), so that norms and products are global and one
    kernel each. The parameters themselves stay where they are.

    Args:
        params: floating-point leaf tensors on one device.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        _validate(params)
        self.params = list(params)
        self.device = params[0].device
        double = any(p.dtype == torch.float64 for p in params)
        self.dtype = torch.float64 if double else torch.float32
        self._types = [p.dtype for p in params]
        self._sizes = [p.numel() for p in params]
        self.dimension = sum(self._sizes)
        ends = itertools.accumulate(self._sizes, initial=0)
        self._places = {
            id(p): place
            for p, place in zip(params, zip(ends, self._sizes, strict=False), strict=True)
        }
        self._saved: list[Tensor] | None = None

    def fits(self, params: Sequence[Tensor]) -> bool:
        """Returns whether this is the space of these parameters, as they are now."""
        return (
            len(params) == len(self.params)
            and all(map(operator.is_, params, self.params))
            and [p.dtype for p in params] == self._types
            and [p.numel() for p in params] == self._sizes
            and params[0].device == self.device
        )

    def has(self, param: Tensor) -> bool:
        """Returns whether a parameter is one of this space's."""
        return id(param) in self._places

    def types(self) -> list[torch.dtype]:
        """Returns the types that the parameters had when this space was made."""
        return list(self._types)

    def adopt(self, vector: Tensor, old: ParameterSpace) -> Tensor:
        """Returns a direction of another space, (d_old,), in this one, (d,); zero where new."""
        adopted = self.zeros()
        for view, param in zip(self.views(adopted), self.params, strict=True):
            piece = old._piece(vector, param)
            if piece.numel() == param.numel():
                view.copy_(piece.view(param.shape))
        return adopted

    def zeros(self) -> Tensor:
        """Returns a new direction of zeros, (d,)."""
        return torch.zeros(self.dimension, dtype=self.dtype, device=self.device)

    def views(self, vector: Tensor) -> list[Tensor]:
        """Splits a direction (d,) into views of the parameters' shapes."""
        pieces = torch.split(vector, self._sizes)
        return [piece.view(p.shape) for piece, p in zip(pieces, self.params, strict=True)]

    def view_of(self, vector: Tensor, param: Tensor) -> Tensor:
        """Returns the piece of a direction (d,) that belongs to a parameter, as a view."""
        return self._piece(vector, param).view(param.shape)

    def _piece(self, vector: Tensor, param: Tensor) -> Tensor:
        start, size = self._places.get(id(param), (0, 0))
        return vector[start : start + size]

    def gather_gradients(self) -> Tensor:
        """Returns the gradients as a new vector (d,); a parameter without one contributes zeros."""
        return self._gather([p.grad for p in self.params])

    def gather_weights(self) -> Tensor:
        """Returns the parameters' values as a new vector (d,)."""
        return self._gather(self.params)

    def _gather(self, tensors: Sequence[Tensor | None]) -> Tensor:
        vector = self.zeros()
        pairs = [
            (view, tensor)
            for view, tensor in zip(self.views(vector), tensors, strict=True)
            if tensor is not None
        ]
        if pairs:
            torch._foreach_copy_([view for view, _ in pairs], [tensor for _, tensor in pairs])
        return vector

    def set_gradients(self, vector: Tensor, support: Tensor | None = None) -> None:
        """Writes a vector (d,) into the gradients; a parameter without one keeps having none.

        Args:
            support: bool, (d,): where to write; None is everywhere.
        """
        if support is not None:
            vector = torch.where(support, vector, self.gather_gradients())
        pairs = [
            (p.grad, view)
            for view, p in zip(self.views(vector), self.params, strict=True)
            if p.grad is not None
        ]
        if pairs:
            torch._foreach_copy_([grad for grad, _ in pairs], [view for _, view in pairs])

    def support(self, mask_of: Callable[[Tensor], Tensor | None]) -> Tensor | None:
        """Returns where weights are trainable and active, bool (d,); None if that is everywhere.

        Args:
            mask_of: bool mask of a parameter, None where it is dense.
        """
        masks = [mask_of(param) for param in self.params]
        if all(m is None and p.requires_grad for m, p in zip(masks, self.params, strict=True)):
            return None  # without asking the device
        vector = torch.ones(self.dimension, dtype=torch.bool, device=self.device)
        for view, param, mask in zip(self.views(vector), self.params, masks, strict=True):
            if not param.requires_grad:
                view.zero_()
            elif mask is not None:
                view.copy_(mask)
        return None if vector.all() else vector

    @contextmanager
    def excursion(self) -> Iterator[None]:
        """Leaves every parameter, on leaving, bit-identical to what it was on entering."""
        if self._saved is None:
            self._saved = [torch.empty_like(p) for p in self.params]
        torch._foreach_copy_(self._saved, self.params)
        try:
            yield
        finally:
            self.return_home()

    def return_home(self) -> None:
        """Moves the parameters to where the excursion began."""
        home = self.at_home()
        torch._foreach_copy_([p.data for p, _ in home], [weights for _, weights in home])

    def at_home(self) -> list[tuple[Tensor, Tensor]]:
        """Returns each parameter and its value where the excursion began."""
        assert self._saved is not None, "an excursion has begun"
        return list(zip(self.params, self._saved, strict=True))

    def displace(self, direction: Tensor, scale: float = 1.0) -> None:
        """Moves the parameters to (where the excursion began) + scale * direction, (d,).

        A graph that was built elsewhere stays usable: autograd is not told of the move, and whoever
        runs its backward pass moves back to where it was built.
        """
        assert self._saved is not None, "displace() belongs inside excursion()"
        weights = [p.data for p in self.params]
        torch._foreach_copy_(weights, self._saved)
        torch._foreach_add_(weights, self.views(direction), alpha=scale)


_SHARDED = ("placements", "_fsdp_flattened", "ds_id")
"""Attributes of parameters that are in pieces: of DTensor (FSDP2), FSDP and DeepSpeed."""


def _validate(params: Sequence[Tensor]) -> None:
    kinds = {p.dtype for p in params if not p.dtype.is_floating_point}
    if kinds:
        raise InputError(f"a parameter has type {kinds.pop()}: perturbations need real numbers")
    if any(hasattr(p, mark) for p in params for mark in _SHARDED):
        raise InputError(
            "parameters are sharded over devices (FSDP, ZeRO, tensor parallelism), where a "
            "perturbation of one norm over all weights is not supported: use "
            "DistributedDataParallel"
        )
    devices = {str(p.device) for p in params}
    if len(devices) > 1:
        raise InputError(
            f"parameters are on {', '.join(sorted(devices))}: put them on one device, "
            "because a perturbation has one norm"
        )
