"""The length of a random perturbation: of all of it, or per perturbed weight."""

from __future__ import annotations

import math

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.one_gradient import OnePerturbed

RHO = 0.05


class RandomRadius(OnePerturbed):
    """A radius that can be given per coordinate: rho = sigma sqrt(d), d the perturbed weights.

    These are the active ones in the scope.
    A random direction spreads over all d coordinates, so that its length means something only
    beside sqrt(d): with sigma, the standard deviation of the perturbation of one weight, a setting
    carries over between networks and sparsities. Groups may have a sigma of their own, as a rho.
    """

    _sigma: float | None = None

    def _set_sigma(self, sigma: float | None, rho: float) -> None:
        if sigma is None:
            return
        self._sigma = require_number("sigma", sigma, least=0)
        if rho != RHO:
            raise InputError(f"rho {rho!r} and sigma {sigma!r} both set the radius: give one")

    @property
    def sigma(self) -> float | None:
        """The radius per weight of the first group; what is assigned goes to every group."""
        return None if self._sigma is None else float(self.param_groups[0]["sigma"])

    @sigma.setter
    def sigma(self, sigma: float) -> None:
        self._sigma = sigma
        for group in self.param_groups:
            group["sigma"] = sigma

    def _set_radius(self, rho: float) -> None:
        if self._sigma is None:
            super()._set_radius(rho)
            return
        self._rho = rho
        self._set_default("sigma", self._sigma)
        for group in self.param_groups:
            if "rho" in group:
                raise InputError(
                    f"a group has rho {group['rho']!r}, and sigma {self._sigma!r} sets the radius "
                    "of the others: give groups a sigma"
                )

    def _lengths(self) -> list[float]:
        if self._sigma is None:
            return super()._lengths()
        root = math.sqrt(max(self.support()[1], 1))
        found = [float(group["sigma"]) for group in self.param_groups]
        return [require_number("sigma", sigma, least=0) * root for sigma in found]
