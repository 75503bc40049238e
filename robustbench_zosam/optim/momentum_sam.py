"""Momentum-SAM: perturb along the momentum, at no extra pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.one_gradient import OnePerturbed
from robustbench_zosam.optim.passes import Passes

MOMENTA = ("momentum_buffer", "exp_avg")
"""Names of the momentum in the state of torch's optimizers."""


class MomentumSAM(OnePerturbed):
    """Momentum-SAM: epsilon = -rho * v / |v|, with v the momentum of the base optimizer.

    v is SGD's momentum buffer, or the first moment of Adam and its kin, after the last step, all
    active weights as one vector; the first step is not perturbed. One forward and one backward
    pass per step. -v is where the last steps led, as in Nesterov's look-ahead, and further: the
    published sign. The loss at the unperturbed weights is not known. A gradient scaler works.

    Source: Becker et al. 2024, "Momentum-SAM: Sharpness Aware Minimization without Computational
    Overhead" (arXiv 2401.12033), and the authors' code, which takes weight decay at w + epsilon;
    the base optimizer here takes it at w.

    Args:
        rho: radius of the perturbation.
        **options: like `params` and `base`, as in `WrappedOptimizer`; SGD's `momentum` is 0.9
            unless given.
    """

    def __init__(
        self, params: ParamsT, base: type[Optimizer] = SGD, *, rho: float = 0.3, **options: Any
    ) -> None:
        if base is SGD and options.setdefault("momentum", 0.9) == 0:
            raise InputError("momentum is 0, and there is nothing to perturb along: give one above")
        super().__init__(params, base, rho=rho, **options)

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        del passes  # the direction is known already
        momentum = self.space.zeros()
        if self.base.state:
            self._gather_momentum(momentum)
        support, _ = self.support()  # a parameter may have been frozen since
        return self.to_radius(momentum if support is None else momentum.mul_(support)).neg_()

    def _gather_momentum(self, momentum: Tensor) -> None:
        pairs: list[tuple[Tensor, Tensor]] = []
        for view, param in zip(self.space.views(momentum), self.space.params, strict=True):
            state = self.base.state.get(param, {})
            pairs += [(view, state[name]) for name in MOMENTA if state.get(name) is not None]
        if not pairs:
            raise InputError(
                f"{type(self.base).__name__} keeps no momentum under the names "
                f"{' or '.join(MOMENTA)}, to perturb along: choose another base"
            )
        torch._foreach_copy_([view for view, _ in pairs], [vector for _, vector in pairs])
