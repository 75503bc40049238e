"""ZO-SGD: steps along a direction estimated from losses alone; no backward pass."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_flag, require_number
from robustbench_zosam.optim.directions import draw_direction
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.zo_probes import ZeroOrder


class ZOSGD(ZeroOrder):
    """Zero-order SGD (MeZO's estimator): the base optimizer steps along estimated gradients.

    With c_i = (L(w + delta u_i) - L(w - delta u_i)) / (2 delta) and m random directions u_i of unit
    variance, the gradient is (1/m) sum_i c_i u_i: unbiased up to O(delta^2), with about d/m times
    the squared length of the true one, so that learning rates must be about d/m times smaller. 2m
    forward passes, no backward pass: no activations are kept. Besides the weights it keeps a copy
    of them and one direction, which becomes the gradient; it needs a second one if m > 1.

    With `shared=False` the step goes along a second, independent direction v_i: c_i (u_i.v_i) v_i.
    That is unbiased too, with about d times the variance; it is the case of independent vectors in
    the kernel view of Zhang et al. Their case of a single shared vector carries one more factor
    |u|^2, which a learning rate d + 2 times as large imitates.

    Batch norm computes in training mode; its statistics are updated by the first probe of a step.
    A parameter that is frozen stays so. On the steps of a topology update that grows by gradients
    the estimate covers all weights, but it is as random as its direction: such a sparsifier grows
    nearly at random here, unless `grow_grad="clean"` adds a backward pass on those steps.

    Source: Malladi et al. 2023, "Fine-Tuning Language Models with Just Forward Passes", section 2,
    except that weights are restored by copying (adding and subtracting would leave rounding
    errors); Zhang et al. 2026 (arXiv 2603.21169) for the two cases.

    Args:
        queries: number m of directions per step.
        delta: finite-difference step per coordinate.
        directions: distribution of the directions: `"gaussian"`, `"rademacher"` or `"sphere"`.
        shared: whether the step goes along the direction that was probed.
        sides: `"two"` as above, or `"one"` for (L(w + delta u) - L(w)) / delta, with m + 1 forward
            passes.
        probe_precision: of the probes (see `ZeroOrder`).
        seed: of the directions.
        **options: like `params` and `base`, as in `WrappedOptimizer`; a `scaler` is not needed,
            and harmless.
    """

    _updates_buffers: ClassVar[bool] = True

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        queries: int = 1,
        delta: float = 1e-3,
        directions: str = "gaussian",
        shared: bool = True,
        sides: str = "two",
        probe_precision: str = "fp32",
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.delta = require_number("delta", delta, above=0)
        self.shared = require_flag("shared", shared)
        super().__init__(
            params,
            base,
            queries=queries,
            directions=directions,
            sides=sides,
            probe_fraction=1.0,
            probe_precision=probe_precision,
            seed=seed,
            **options,
        )

    def _gradient(self, passes: Passes) -> Tensor:
        support = self._reach()
        for param in self.space.params:
            param.grad = None  # makes room
        vector = self.space.zeros()
        with self.space.excursion():
            slopes = self._slopes(
                passes, lambda query: self._draw(vector, query, support), self.delta
            )
        estimate = self._average(vector, slopes.to(vector), support)
        if self.scaler is not None:  # there is no backward pass to do it, but it will be undone
            estimate = self.scaler.scale(estimate)
        self._point_gradients(estimate)
        assert self.last_clean_loss is not None
        return self.last_clean_loss

    def _average(self, vector: Tensor, slopes: Tensor, support: Tensor | None) -> Tensor:
        """Returns the estimated gradient (d,) from slopes (m,).

        Args:
            vector: the last direction probed; overwritten.
            support: of the directions.
        """
        if self.shared and self.queries == 1:
            return vector.mul_(slopes[0])
        estimate = self.space.zeros()
        for query, slope in enumerate(slopes / self.queries):
            probed = self._draw(vector, query, support)
            if self.shared:
                estimate.addcmul_(probed, slope)
            else:
                second = self._draw(self.space.zeros(), -1 - query, support)
                estimate.addcmul_(second, slope * torch.dot(probed, second))
        return estimate

    def _reach(self) -> Tensor | None:
        """Coordinates of the directions; everywhere when a topology update looks at gradients."""
        if self.masks.gradient_source() is None:
            return self.support()[0]
        return self.space.support(lambda param: None)

    def _draw(self, out: Tensor, query: int, support: Tensor | None) -> Tensor:
        key = self.ranks.seed(self.seed), self.cost.steps, query
        return draw_direction(out, self.directions, key, support)

    def _point_gradients(self, vector: Tensor) -> None:
        """Lets the gradients be pieces of a vector, without copying where the types agree."""
        for view, param in zip(self.space.views(vector), self.space.params, strict=True):
            param.grad = view.to(param.dtype) if param.requires_grad else None
