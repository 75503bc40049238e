"""S2-SAM: perturb along the gradient of the step before, at no extra pass."""

from __future__ import annotations

from torch import Tensor

from robustbench_zosam.optim.directions import scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.sharp import SharpnessAware


class S2SAM(SharpnessAware):
    """Single-step SAM: epsilon = rho * g' / |g'|, with g' the perturbed gradient one step ago.

    One forward and one backward pass per step; the first step is not perturbed. The loss at the
    unperturbed weights is not known. A gradient scaler works, since epsilon does not depend on
    the scale; a gradient that overflowed is not remembered.

    Source: Ji et al. 2024, "A Single-Step, Sharpness-Aware Minimization is All You Need to Achieve
    Efficient and Accurate Sparse Training", section 3.

    Args as in `SharpnessAware`.
    """

    def _perturbation(self, passes: Passes) -> Tensor:
        del passes  # the direction is known already
        if "previous" not in self.vectors:
            return self.space.zeros()
        previous = self.vectors["previous"].clone()
        support, _ = self.support()  # a parameter may have been frozen since
        return scale_to(previous if support is None else previous.mul_(support), self.rho)

    def _perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        loss = super()._perturbed_gradient(passes, epsilon)
        self._remember("previous", self._scoped_gradient())
        return loss
