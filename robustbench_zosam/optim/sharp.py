"""Sharpness-aware methods: the gradient is taken at perturbed weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_number
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.directions import scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.scope import Scope


class SharpnessAware(WrappedOptimizer):
    """Steps along the gradient at w + epsilon; a method says what epsilon is.

    With rho = 0 nothing is perturbed and the base optimizer runs as if alone.

    Args:
        rho: radius of the perturbation, in the L2 norm over all perturbed weights; an option of
            parameter groups too, `{"params": ..., "rho": 0.1}`, which schedules may write: a group
            is moved by its own rho times its part of the direction, whose length over all groups
            is one.
        scope: which parameters are perturbed: `"all"`, `"weights"`, `"norm"` or a pattern of names
            (see `Scope`), under the masks; all norms are taken over these alone.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        scope: str = "all",
        **options: Any,
    ) -> None:
        require_number("rho", rho, least=0)
        self.scope = scope
        self._scope = Scope(scope, options.get("model"))
        super().__init__(params, base, **options)
        self._set_radius(rho)
        self._lengths()  # those of groups are checked
        self._scope.members(self.param_groups)

    def _gradient(self, passes: Passes) -> Tensor:
        if self._radius() == 0:
            self.last_clean_loss = passes.gradient()
            return self.last_clean_loss
        with self.space.excursion():
            epsilon = self.perturbation(passes)
            if epsilon is None:
                assert self.last_clean_loss is not None
                return self.last_clean_loss
            self.space.displace(epsilon)
            return self.perturbed_gradient(passes, epsilon)

    @property
    def rho(self) -> float:
        """The radius of the first group; what is assigned goes to every group."""
        return float(self.param_groups[0].get("rho", self._rho))

    @rho.setter
    def rho(self, rho: float) -> None:
        for group in self.param_groups:
            group["rho"] = rho

    def _set_radius(self, rho: float) -> None:
        self._rho = rho
        self._set_default("rho", rho)

    def _lengths(self) -> list[float]:
        """Returns the radius of each group."""
        found = [float(group["rho"]) for group in self.param_groups]
        return [require_number("rho", rho, least=0) for rho in found]

    def _radius(self) -> float:
        """Returns the largest radius of a group."""
        return max(self._lengths())

    def to_radius(self, direction: Tensor, times: float = 1.0) -> Tensor:
        """Scales a direction (d,) to the radius, in place, each group to its own."""
        lengths = self._lengths()
        if len(set(lengths)) == 1:
            return scale_to(direction, lengths[0] * times)
        sizes = [sum(p.numel() for p in group["params"]) for group in self.param_groups]
        torch._foreach_mul_(list(torch.split(scale_to(direction, times), sizes)), lengths)
        return direction

    @abstractmethod
    def perturbation(self, passes: Passes) -> Tensor | None:
        """Returns epsilon, shape (d,), zero off the support; called inside an excursion.

        None if nothing is to be perturbed because the gradient to step along is in `grad` already.
        Sets `last_clean_loss` where a pass reveals it.
        """

    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        """Leaves the gradient to step along in `grad`, at the weights + epsilon; gives the loss."""
        del epsilon
        return passes.gradient()

    def clean_gradient(self, passes: Passes) -> Tensor:
        """Returns the gradient (d,) at the unperturbed weights, masked before any norm is taken."""
        self.last_clean_loss = passes.gradient()
        return self.scoped_gradient()

    def _perturbable(self) -> Callable[[Tensor], Tensor | None]:
        return self._scope.within(super()._perturbable(), self.param_groups)

    def scoped_gradient(self) -> Tensor:
        """Returns the gradients of the last pass, new, shape (d,), zero off the support."""
        return self._restricted(self.space.gather_gradients(), self.support()[0])

    def _active_gradient(self) -> Tensor:
        """Returns the gradients of the last pass, new, (d,), in the scope and out of it."""
        return self._restricted(self.space.gather_gradients(), self.active()[0])

    def _restricted(self, vector: Tensor, support: Tensor | None) -> Tensor:
        return vector if support is None else vector.mul_(support)

    def _replace_gradient(self, vector: Tensor, where: Tensor | None) -> None:
        """Sets the gradient (d,) to step along; elsewhere, where masks may grow, it stays.

        Args:
            where: bool, (d,): of `support` or `active`; None is everywhere.
        """
        self.space.set_gradients(vector, where)
