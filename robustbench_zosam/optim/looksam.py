"""LookSAM: SAM every few steps, remembered in between."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.optim.directions import orthogonal_part, scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.sharp import SharpnessAware


class LookSAM(SharpnessAware):
    """A SAM step every few steps; in between, steps along g + alpha (|g| / |g_v|) g_v.

    g_v is the part of the last SAM gradient orthogonal to the clean gradient of that step, over
    all active weights as one vector, in the scope and out of it. A step in between costs one
    forward and one backward pass. A gradient scaler works, since g_v enters by its direction; one
    that overflowed is not kept.

    Source: Liu et al. 2022, "Towards Efficient and Scalable Sharpness-Aware Minimization",
    algorithm 1.

    Args:
        rho: radius of the perturbation.
        alpha: weight of the remembered part.
        interval: steps from one SAM step to the next, k in the paper.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        alpha: float = 0.7,
        interval: int = 10,
        **options: Any,
    ) -> None:
        self.alpha = require_number("alpha", alpha, least=0)
        self.interval = require_integer("interval", interval, least=1)
        super().__init__(params, base, rho=rho, **options)
        self._clean = self.space.zeros()[:0]  # within a step alone

    def _memory(self) -> tuple[str, ...]:
        return ("sideways",) if self.interval > 1 else ()

    @override
    def perturbation(self, passes: Passes) -> Tensor | None:
        self.last_clean_loss = passes.gradient()
        clean = self._active_gradient()
        if self.cost.steps % self.interval == 0 or "sideways" not in self.vectors:
            self._clean = clean
            return self.to_radius(self._restricted(clean.clone(), self.support()[0]))
        sideways = scale_to(self.vectors["sideways"].clone(), self.alpha)
        sideways.mul_(torch.linalg.vector_norm(clean))
        self._replace_gradient(clean.add_(sideways), self.active()[0])
        return None

    @override
    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        loss = super().perturbed_gradient(passes, epsilon)
        if self.interval > 1:
            self._remember("sideways", orthogonal_part(self._active_gradient(), self._clean))
        self._clean = epsilon[:0]
        return loss
