"""Sparse SAM: the perturbation moves some of the weights only."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.periods import Periodic
from robustbench_zosam.optim.perturbed import Pattern, perturbed_count

SPARSITY = 0.2


class SparseSAM(Periodic):
    """epsilon = rho * g / |g| * p, with p in {0, 1} and the norm taken before p is applied.

    p is not the mask of a sparse network: among the active weights it says which are perturbed.
    With sparsity 0 this is SAM. Two forward and two backward passes per step, and what the
    choice of p costs.

    Source: Mi et al. 2022, "Make Sharpness-Aware Minimization Stronger: A Sparsified Perturbation
    Approach", equation 5; patterns: Mi et al. 2023, arXiv 2306.17504.

    Args:
        rho: radius of the perturbation before p is applied.
        sparsity: fraction of the active weights in the scope that is not perturbed; None is 0.2, or
            what an N:M pattern says.
        pattern: `"unstructured"`, `"structured"` or N:M, as in `"2:4"` (see `Pattern`).
        update_epochs: epochs from one choice of p to the next.
        **options: like `params` and `base`, as in `Periodic`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        sparsity: float | None = None,
        pattern: str = "unstructured",
        update_epochs: int = 5,
        **options: Any,
    ) -> None:
        self.pattern = Pattern.parse(pattern)
        self.sparsity = self._sparsity(sparsity)
        self.update_epochs = require_integer("update_epochs", update_epochs, least=1)
        super().__init__(params, base, rho=rho, **options)

    def _sparsity(self, given: float | None) -> float:
        own = self.pattern.sparsity
        if given is None:
            return SPARSITY if own is None else own
        require_number("sparsity", given, least=0, below=1)
        if own is not None and abs(own - given) > 1e-9:
            raise InputError(
                f"pattern {self.pattern.n}:{self.pattern.m} has sparsity {own:g}, not {given!r}: "
                "leave sparsity out"
            )
        return given

    def _memory(self) -> tuple[str, ...]:
        return ("perturbed",) if self.sparsity > 0 else ()

    def _ascend(self, gradient: Tensor, perturbed: Tensor | None) -> Tensor:
        """Returns rho * g / |g| * p, (d,); overwrites the gradient, p None is one everywhere."""
        epsilon = self.to_radius(gradient)
        return epsilon if perturbed is None else epsilon.mul_(perturbed)

    def _choose(self, scores: Tensor, count: int) -> Tensor:
        return self.pattern.choose(scores, count, self.space, self.support()[0])

    def _count(self) -> int:
        return perturbed_count(self.support()[1], self.sparsity)
