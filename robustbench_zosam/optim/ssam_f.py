"""SSAM-F: perturb where the Fisher information is large."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_integer
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.ssam import SparseSAM


class SSAMF(SparseSAM):
    """Sparse SAM that perturbs the weights with the largest empirical Fisher information.

    From the beginning of every period, the squared gradients of single examples are summed over
    the running mini-batches until there are `samples` of them; p follows the sum while it grows.
    Each example is a pass of its own in the model's present mode, buffers left as they were; with
    `model=` they run together where `torch.func.vmap` has rules for what the model does. p is thus
    never empty, while the authors' code leaves the first step unperturbed.

    The closure must take parts of the mini-batch, `closure(backward, examples, reduction)`. A
    gradient scaler works: its scale is taken out, and sums that overflowed are left out.

    Source: Mi et al. 2022, "Make Sharpness-Aware Minimization Stronger", algorithm 2, and the
    authors' code.

    Args:
        samples: examples in the sum.
        **options: like `params` and `base`, as in `SparseSAM`.
    """

    _saved: ClassVar[tuple[str, ...]] = (*SparseSAM._saved, "remaining")

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        samples: int = 1024,
        **options: Any,
    ) -> None:
        self.samples = require_integer("samples", samples, least=1)
        self.remaining = 0
        super().__init__(params, base, **options)
        self._model: nn.Module | None = options.get("model")

    def _memory(self) -> tuple[str, ...]:
        return ("perturbed", "fisher") if self.sparsity > 0 else ()

    def reset_state(self) -> None:
        """Drops all memory of earlier steps, and a choice of p that is under way."""
        super().reset_state()
        self.remaining = 0

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        if self.sparsity == 0:
            return self._ascend(self.clean_gradient(passes), None)
        losses = passes.gradient(each=True)
        self.last_clean_loss = losses.mean()
        gradient = self.scoped_gradient()
        if self._new_period(self.update_epochs):
            self.remaining = self.samples
            self.vectors["fisher"] = self.space.zeros()
        if self.remaining > 0:
            share = -(-self.remaining // self.ranks.count) if self.ranks.shared else self.remaining
            self._collect(passes, min(len(losses), share))
        return self._ascend(gradient, self.vectors["perturbed"])

    def _collect(self, passes: Passes, count: int) -> None:
        squares = self._together(passes, count)
        if squares is None:
            squares = self._one_by_one(passes, count)
        self._remember("fisher", self.ranks.total(squares).add_(self.vectors["fisher"]))
        seen = self.ranks.total(torch.tensor(count, device=self.space.device))
        self.remaining = max(self.remaining - int(seen), 0)
        self.vectors["perturbed"] = self._choose(self.vectors["fisher"], self._count())
        if self.remaining == 0:
            del self.vectors["fisher"]

    def _together(self, passes: Passes, count: int) -> Tensor | None:
        if self._model is None:
            return None
        squares = passes.squared_gradients(self._model, self.space, count)
        if squares is None:
            self._model = None  # and so at the next step
            return None
        return self._restricted(squares, self.support()[0])

    def _one_by_one(self, passes: Passes, count: int) -> Tensor:
        squares, unit = self.space.zeros(), self._inverse_scale()
        for position in range(count):
            example = torch.tensor([position], device=self.space.device)
            passes.gradient(example, separate=True)
            gradient = self.scoped_gradient().mul_(unit)
            squares.addcmul_(gradient, gradient)
        return squares
