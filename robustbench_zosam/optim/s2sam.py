"""S2-SAM: perturb along the gradient of the step before, at no extra pass."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from robustbench_zosam.optim.one_gradient import OnePerturbed
from robustbench_zosam.optim.passes import Passes


class S2SAM(OnePerturbed):
    """Single-step SAM: epsilon = rho * g' / |g'|, with g' the perturbed gradient one step ago.

    One forward and one backward pass per step; the first step is not perturbed. The loss at the
    unperturbed weights is not known. A gradient scaler works, since epsilon does not depend on
    the scale; a gradient that overflowed is not remembered.

    Source: Ji et al. 2024, "A Single-Step, Sharpness-Aware Minimization is All You Need to Achieve
    Efficient and Accurate Sparse Training", section 3.

    Args as in `SharpnessAware`.
    """

    def _memory(self) -> tuple[str, ...]:
        return ("previous",)

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        del passes  # the direction is known already
        if "previous" not in self.vectors:
            return self.space.zeros()
        previous = self.vectors["previous"].clone()
        support, _ = self.support()  # a parameter may have been frozen since
        return self.to_radius(previous if support is None else previous.mul_(support))

    @override
    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        loss = super().perturbed_gradient(passes, epsilon)
        self._learn()
        return loss

    def _learn(self) -> None:
        self._remember("previous", self.scoped_gradient())
