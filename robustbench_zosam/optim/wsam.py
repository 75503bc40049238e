"""WSAM: sharpness as a regularisation term with a weight of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_flag, require_number
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.two_calls import TwoCalls


class WSAM(TwoCalls):
    """Weighted SAM: minimises L(w) + gamma / (1 - gamma) * (L(w + epsilon) - L(w)).

    epsilon is SAM's, g the clean gradient and g_p the perturbed one. Decoupled, as published, the
    base optimizer steps along g alone, and the weights move by -lr * gamma / (1 - gamma) *
    (g_p - g) besides, so that momentum and second moments do not see the sharpness. Else the base
    optimizer steps along g + gamma / (1 - gamma) * (g_p - g), which is SAM with gamma = 1/2.
    gamma = 0 is the base optimizer. Two forward and two backward passes per step. A gradient
    scaler works: its scale is taken out, and a sharpness term that overflowed is left out.
    `clip_norm` acts on what the base optimizer gets, which is g where decoupled.

    Source: Yue et al. 2023, "Sharpness-Aware Minimization Revisited: Weighted Sharpness as a
    Regularization Term" (KDD; arXiv 2305.15817), algorithm 1, and the authors' code.

    Args:
        rho: radius of the perturbation.
        gamma: weight of the sharpness, in [0, 1).
        decouple: whether the sharpness stays out of the base optimizer.
        adaptive: scales the perturbation as `ASAM` does, with T = |w| for every parameter.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        gamma: float = 0.9,
        decouple: bool = True,
        adaptive: bool = False,
        **options: Any,
    ) -> None:
        self.gamma = require_number("gamma", gamma, least=0, below=1)
        self.decouple = require_flag("decouple", decouple)
        self.adaptive = require_flag("adaptive", adaptive)
        super().__init__(params, base, rho=rho, **options)
        self._clean = self.space.zeros()[:0]  # within a step alone
        self._sharpness: Tensor | None = None  # likewise

    @property
    def weight(self) -> float:
        """Of the sharpness, beside the loss."""
        return self.gamma / (1 - self.gamma)

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        self.last_clean_loss = passes.gradient()
        self._clean = self._active_gradient()
        gradient = self._restricted(self._clean.clone(), self.support()[0])
        if self.adaptive:
            scales = self.space.gather_weights().abs_()
            return self.to_radius(gradient.mul_(scales)).mul_(scales)
        return self.to_radius(gradient)

    @override
    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        loss = super().perturbed_gradient(passes, epsilon)
        sharpness = self._active_gradient().sub_(self._clean)
        if self.decouple:
            # gradients are averaged later, and this is none
            self._sharpness = self.ranks.mean_of_own(sharpness.mul_(self._inverse_scale()))
            self._replace_gradient(self._clean, self.active()[0])
        else:
            self._clean.add_(sharpness, alpha=self.weight)
            self._replace_gradient(self._clean, self.active()[0])
        return loss

    def _update(self) -> None:
        super()._update()
        self._sharpness = None  # a topology update may have replaced the step

    def _base_step(self) -> None:
        super()._base_step()
        if self._sharpness is None:
            return
        finite = self._sharpness.isfinite().all()
        sharpness = self._sharpness.where(finite, 0.0).mul_(self.weight)
        active, _ = self.active()
        if active is not None:
            sharpness.mul_(active)
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                moves = [self.space.view_of(sharpness, p) for p in params]
                torch._foreach_add_(params, moves, alpha=-float(group["lr"]))
