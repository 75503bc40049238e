"""SAM: perturb along the gradient."""

from __future__ import annotations

from torch import Tensor

from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.two_calls import TwoCalls


class SAM(TwoCalls):
    """Sharpness-aware minimization: epsilon = rho * g / |g|, with g the clean gradient.

    Two forward and two backward passes per step; batch-norm statistics come from the clean pass.
    A gradient scaler works, since epsilon does not depend on the scale.

    Source: Foret et al. 2021, "Sharpness-Aware Minimization", equation 2 with p = 2.

    Args as in `SharpnessAware`.
    """

    def _perturbation(self, passes: Passes) -> Tensor:
        return self._to_radius(self._clean_gradient(passes))
