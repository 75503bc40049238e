"""The length of a random perturbation: of all of it, or per perturbed weight."""

from __future__ import annotations

import math

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.sharp import SharpnessAware

RHO = 0.05


class RandomRadius(SharpnessAware):
    """A radius that can be given per coordinate: rho = sigma sqrt(d), d the perturbed weights.

    These are the active ones in the scope.
    A random direction spreads over all d coordinates, so that its length means something only
    beside sqrt(d): with sigma a setting carries over between networks and sparsities.

    Attributes:
        sigma: standard deviation of the perturbation of one weight; None where rho is the radius.
    """

    sigma: float | None = None

    def _set_sigma(self, sigma: float | None, rho: float) -> None:
        if sigma is None:
            return
        self.sigma = require_number("sigma", sigma, least=0)
        if rho != RHO:
            raise InputError(f"rho {rho!r} and sigma {sigma!r} both set the radius: give one")

    def _radius(self) -> float:
        if self.sigma is None:
            return self.rho
        return self.sigma * math.sqrt(max(self.support()[1], 1))
