"""GSAM: also shrink the gap between the perturbed and the clean loss."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_flag, require_number
from robustbench_zosam.optim.directions import orthogonal_part
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.two_calls import TwoCalls


class GSAM(TwoCalls):
    """Surrogate-gap guided SAM: steps along g_p - alpha g_o.

    g_p is SAM's gradient, and g_o the part of the clean gradient orthogonal to it, over all active
    weights as one vector, in the scope and out of it. The radius follows the learning rate of the
    first group: rho_t = rho_min + (rho - rho_min) * lr_t / lr_0. Two forward and two backward
    passes per step. A gradient scaler works, since both gradients have its scale.

    Source: Zhuang et al. 2022, "Surrogate Gap Minimization Improves Sharpness-Aware Training",
    algorithm 1.

    Args:
        rho: radius of the perturbation at the learning rate given here.
        rho_min: radius at learning rate zero; None keeps the radius constant.
        alpha: weight of the orthogonal part.
        adaptive: scales the perturbation as `ASAM` does, with T = |w| for every parameter.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    _saved: ClassVar[tuple[str, ...]] = (*TwoCalls._saved, "full_lr")

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        rho_min: float | None = None,
        alpha: float = 0.4,
        adaptive: bool = False,
        **options: Any,
    ) -> None:
        self.rho_min = None if rho_min is None else require_number("rho_min", rho_min, least=0)
        self.alpha = require_number("alpha", alpha, least=0)
        self.adaptive = require_flag("adaptive", adaptive)
        self.full_lr = 0.0
        super().__init__(params, base, rho=rho, **options)
        self._clean = self.space.zeros()[:0]  # within a step alone
        self.full_lr = float(self.param_groups[0]["lr"])

    def radius(self) -> float:
        """The radius of the first group at the present learning rate."""
        return self._lengths()[0]

    def _lengths(self) -> list[float]:
        lengths = super()._lengths()
        if self.rho_min is None:
            return lengths
        share = float(self.param_groups[0]["lr"]) / self.full_lr if self.full_lr > 0 else 1.0
        return [self.rho_min + (rho - self.rho_min) * share for rho in lengths]

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
        perturbed = self._active_gradient()
        excess = orthogonal_part(self._clean, perturbed)
        self._replace_gradient(perturbed.sub_(excess, alpha=self.alpha), self.active()[0])
        return loss
