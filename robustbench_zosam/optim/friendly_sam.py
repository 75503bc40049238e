"""Friendly-SAM: perturb along what is particular to the mini-batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_number
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.two_calls import TwoCalls


class FriendlySAM(TwoCalls):
    """Friendly SAM: epsilon = rho * d / |d|, d = g_t - sigma m_{t-1}, without the common part.

    m_t = decay m_{t-1} + (1 - decay) g_t averages the clean gradients themselves, from m_1 = g_1;
    the first step perturbs along g_1. Two forward and two backward passes per step. With a
    gradient scaler the average is kept unscaled, and a gradient that overflowed is left out.

    Source: Li et al. 2024, "Friendly Sharpness-Aware Minimization", algorithm 1.

    Args:
        rho: radius of the perturbation.
        sigma: fraction of the average that is taken away.
        decay: of the average, lambda in the paper.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        sigma: float = 1.0,
        decay: float = 0.9,
        **options: Any,
    ) -> None:
        self.sigma = require_number("sigma", sigma, least=0)
        self.decay = require_number("decay", decay, least=0, below=1)
        super().__init__(params, base, rho=rho, **options)

    def _memory(self) -> tuple[str, ...]:
        return ("average",)

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        gradient = self.clean_gradient(passes).mul_(self._inverse_scale())
        average = self.vectors.get("average")
        if average is None:
            self._remember("average", gradient)
            return self.to_radius(gradient.clone())
        self._remember("average", torch.lerp(gradient, average, self.decay))
        return self.to_radius(gradient.sub_(average, alpha=self.sigma))
