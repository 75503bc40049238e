"""SSAM-D: the perturbed weights change as in dynamic sparse training."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.perturbed import highest
from robustbench_zosam.optim.ssam import SparseSAM
from robustbench_zosam.optim.two_calls import TwoCalls
from robustbench_zosam.seeds import derive_seed

SCORES = ("gradient", "weight", "random")


class SSAMD(TwoCalls, SparseSAM):
    """Sparse SAM that drops perturbed weights of low score and takes others in.

    p starts at random. In the first step of every period, after that step's perturbation, the
    fraction drop_rate * (1 + cos(pi e / epochs)) / 2 of p, in epoch e, is dropped by the lowest
    score and as many others grow by the highest; the number of perturbed weights stays the same.
    Scores are magnitudes of the clean gradient or of the weights, or random numbers. For the
    structured and N:M patterns, published for SSAM-F alone, the pattern is applied to the weights
    so chosen. A gradient scaler works, since nothing depends on the scale.

    Source: Mi et al. 2022, "Make Sharpness-Aware Minimization Stronger", algorithm 3, and the
    authors' code.

    Args:
        drop_rate: fraction dropped at the beginning.
        drop_score: `"gradient"`, `"weight"` or `"random"`.
        growth_score: likewise.
        epochs: length of the training.
        seed: of the random choices; together with the step it determines them.
        **options: like `params` and `base`, as in `SparseSAM`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        drop_rate: float = 0.5,
        drop_score: str = "gradient",
        growth_score: str = "random",
        epochs: int = 200,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.drop_rate = require_number("drop_rate", drop_rate, least=0, most=1)
        self.drop_score = require_choice("drop_score", drop_score, SCORES)
        self.growth_score = require_choice("growth_score", growth_score, SCORES)
        self.epochs = require_integer("epochs", epochs, least=1)
        self.seed = require_integer("seed", seed, least=0)
        super().__init__(params, base, **options)

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        gradient = self.clean_gradient(passes)
        if self.sparsity == 0:
            return self._ascend(gradient, None)
        if "perturbed" not in self.vectors:
            self.vectors["perturbed"] = self._choose(self._random("start"), self._count())
        perturbed = self.vectors["perturbed"]
        if self._new_period(self.update_epochs):
            self.vectors["perturbed"] = self._changed(perturbed > 0, gradient)
        return self._ascend(gradient, perturbed)

    def drop_fraction(self) -> float:
        """Fraction of the perturbed weights to drop in the running epoch."""
        done = min(self.epoch / self.epochs, 1.0)
        return self.drop_rate * (1 + math.cos(math.pi * done)) / 2

    def _changed(self, live: Tensor, gradient: Tensor) -> Tensor:
        support, dimension = self.support()
        dead = ~live if support is None else ~live & support
        wanted, free = self._count(), int(dead.sum())
        keep = min(dimension - free, wanted - min(int(wanted * self.drop_fraction()), free))
        grow = min(wanted - keep, free)
        kept = highest(self._score(self.drop_score, gradient).where(live, -torch.inf), keep)
        grown = highest(self._score(self.growth_score, gradient).where(dead, -torch.inf), grow)
        ties = self._random("ties").mul_(0.5)
        return self._choose(ties.add_(kept, alpha=2).add_(grown), keep + grow)

    def _score(self, kind: str, gradient: Tensor) -> Tensor:
        if kind == "random":
            scores = self._random("scores")
        else:
            scores = (gradient if kind == "gradient" else self.space.gather_weights()).abs()
        return self.pattern.level(scores, self.space, self.support()[0])

    def _random(self, purpose: str) -> Tensor:
        seed = derive_seed("perturbed", purpose, self.ranks.seed(self.seed), self.cost.steps)
        generator = torch.Generator(self.space.device).manual_seed(seed)
        return self.space.zeros().uniform_(generator=generator)
