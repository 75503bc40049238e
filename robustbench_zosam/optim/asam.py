"""ASAM: the neighbourhood has the shape of the weights."""

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


class ASAM(TwoCalls):
    """Adaptive SAM: epsilon = rho * T^2 g / |T g|, with T = |w| + eta for each weight.

    T is one for parameters of at most one dimension (biases, norms); the authors' code tells them
    by name and scales norms too. Two forward and two backward passes per step. A gradient scaler
    works, since epsilon does not depend on the scale.

    Source: Kwon et al. 2021, "ASAM", equations 7 and 8 with p = 2.

    Args:
        rho: radius of the perturbation, as the length of epsilon / T.
        eta: added to |w|, so that small weights are perturbed too.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.5,
        eta: float = 0.01,
        **options: Any,
    ) -> None:
        self.eta = require_number("eta", eta, least=0)
        super().__init__(params, base, rho=rho, **options)

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        scales = self._scales()
        return self.to_radius(self.clean_gradient(passes).mul_(scales)).mul_(scales)

    def _scales(self) -> Tensor:
        space = self.space
        scales = space.gather_weights().abs_().add_(self.eta)
        thin = [space.view_of(scales, p) for p in space.params if p.ndim <= 1]
        if thin:
            torch._foreach_zero_(thin)
            torch._foreach_add_(thin, 1.0)
        return scales
