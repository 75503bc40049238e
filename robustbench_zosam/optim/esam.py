"""ESAM: SAM on some of the parameters and some of the examples."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.sharp import SharpnessAware
from robustbench_zosam.seeds import derive_seed


class ESAM(SharpnessAware):
    """Efficient SAM: stochastic weight perturbation, and a second pass on sensitive examples.

    Each parameter tensor in the scope takes part in the ascent with probability beta (at least one
    does), and epsilon = rho / beta * g / |g| over those that do; no gradient of the others is
    computed in the first pass. The second pass is over the gamma * b examples whose loss the
    perturbation raises most; finding them takes one forward pass, which is left out for gamma = 1.
    beta = gamma = 1 is SAM. With several ranks each looks for sensitive examples in its own part of
    the batch.

    The closure must give the loss of each example, `closure(backward, examples, reduction)`, unless
    gamma = 1. With autocast in the closure the clean losses have its precision, the perturbed ones
    full precision. A gradient scaler works, since epsilon does not depend on the scale.

    Source: Du et al. 2022, "Efficient Sharpness-aware Minimization for Improved Training of Neural
    Networks", algorithm 1.

    Args:
        rho: radius of the perturbation for beta = 1.
        beta: probability of a parameter tensor to be perturbed.
        gamma: fraction of the mini-batch in the second pass.
        seed: of the choice of tensors; together with the step it determines them.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        beta: float = 0.6,
        gamma: float = 0.5,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.beta = require_number("beta", beta, above=0, most=1)
        self.gamma = require_number("gamma", gamma, above=0, most=1)
        self.seed = require_integer("seed", seed, least=0)
        super().__init__(params, base, rho=rho, **options)
        self._losses = self.space.zeros()[:0]  # of each example, within a step alone

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        support, _ = self.support()  # before some are set aside
        with self._set_aside():
            loss = passes.gradient(each=self.gamma < 1, separate=True)
        self._losses, self.last_clean_loss = loss, loss.mean()
        gradient = self.ranks.mean(self.space.gather_gradients())
        if support is not None:
            gradient.mul_(support)
        return self.to_radius(gradient, 1 / self.beta)

    @override
    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        if self.gamma == 1:
            return super().perturbed_gradient(passes, epsilon)
        rise = passes.loss(each=True) - self._losses
        count = max(round(self.gamma * len(rise)), 1)
        return passes.gradient(torch.topk(rise, count).indices.sort().values)

    @contextmanager
    def _set_aside(self) -> Iterator[None]:
        scope = self._scope.members(self.param_groups)
        trainable = [p for p in self.space.params if p.requires_grad and id(p) in scope]
        if self.beta == 1 or not trainable:
            yield
            return
        draw = random.Random(derive_seed("tensors", self.ranks.seed(self.seed), self.cost.steps))
        drawn = [draw.random() for _ in trainable]
        chosen = {
            id(p)
            for p, number in zip(trainable, drawn, strict=True)
            if number < self.beta or number == min(drawn)
        }
        aside = [p for p in self.space.params if p.requires_grad and id(p) not in chosen]
        for p in aside:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in aside:
                p.requires_grad_(True)
