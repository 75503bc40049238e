"""SAM: perturb along the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_integer
from robustbench_zosam.optim.grouped import grouped
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.two_calls import TwoCalls


class SAM(TwoCalls):
    """Sharpness-aware minimization: epsilon = rho * g / |g|, with g the clean gradient.

    Two forward and two backward passes per step; batch-norm statistics come from the clean pass.
    A gradient scaler works, since epsilon does not depend on the scale.

    With m (m-sharpness) each group of m examples has an epsilon of its own, along the gradient of
    its mean loss, and the step goes along the mean of the perturbed gradients over all examples.
    The passes together are over two mini-batches still, in 2 n / m calls of a closure that takes
    `examples` (`make_closure`); batch norm sees one group at a time, its statistics come from the
    first, and both passes of a group have the same random draws.

    Source: Foret et al. 2021, "Sharpness-Aware Minimization", equation 2 with p = 2; section 4.1
    for m-sharpness.

    Args:
        rho: radius of the perturbation.
        m: examples per perturbation; None is all of the mini-batch.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        m: int | None = None,
        **options: Any,
    ) -> None:
        self.m = None if m is None else require_integer("m", m, least=1)
        super().__init__(params, base, rho=rho, **options)

    def _gradient(self, passes: Passes) -> Tensor:
        if self.m is None or self._radius() == 0:
            return super()._gradient(passes)
        mean, params = self.space.zeros(), self.space.params
        reached: set[int] = set()
        clean, perturbed = [], []
        for group, share in grouped(passes, self.m):
            perturbed.append(super()._gradient(group) * share)
            assert self.last_clean_loss is not None
            clean.append(self.last_clean_loss * share)
            mean.add_(self.space.gather_gradients(), alpha=share)
            reached |= {index for index, p in enumerate(params) if p.grad is not None}
        for index in reached:
            if params[index].grad is None:
                params[index].grad = torch.zeros_like(params[index])
        self.space.set_gradients(mean)
        self.last_clean_loss = torch.stack(clean).sum()
        return torch.stack(perturbed).sum()

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        return self.to_radius(self.clean_gradient(passes))

    def _needs_more(self) -> str | None:
        return None if self.m is None else f"with m {self.m}"
