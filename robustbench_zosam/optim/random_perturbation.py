"""Random perturbation: the control for every method that estimates a direction."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_choice, require_integer
from robustbench_zosam.optim.directions import DISTRIBUTIONS, draw_direction
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.random_radius import RHO, RandomRadius


class RandomPerturbation(RandomRadius):
    """Takes the gradient at a random point of the sphere of radius rho: epsilon = rho * u / |u|.

    One forward and one backward pass per step. With the same seed, u is the direction `ZOSAM`
    draws for its first query, so that the two differ by the sign the loss queries choose.

    Args:
        rho: radius of the perturbation.
        sigma: the radius per weight instead: rho = sigma sqrt(d) (see `RandomRadius`).
        directions: distribution of u: `"gaussian"`, `"rademacher"` or `"sphere"`.
        seed: of the directions; together with the step it determines them.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = RHO,
        sigma: float | None = None,
        directions: str = "gaussian",
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.directions = require_choice("directions", directions, DISTRIBUTIONS)
        self.seed = require_integer("seed", seed, least=0)
        self._set_sigma(sigma, rho)
        super().__init__(params, base, rho=rho, **options)

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        del passes  # no loss is asked for
        support, _ = self.support()
        key = self.ranks.seed(self.seed), self.cost.steps, 0
        return self.to_radius(draw_direction(self.space.zeros(), self.directions, key, support))
