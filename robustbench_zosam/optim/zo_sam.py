"""ZO-SAM: the ascent direction is estimated from losses alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_choice, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.directions import draw_direction, scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.random_radius import RHO
from robustbench_zosam.optim.zo_sharp import ZeroOrderSharpness


class ZOSAM(ZeroOrderSharpness):
    """Zero-order sharpness-aware minimization: epsilon = rho * g / |g|, with g estimated.

    g = (1/m) sum_i (L(w + delta u_i) - L(w - delta u_i)) / (2 delta) u_i, over m random
    directions u_i, all on one mini-batch with the same random draws. 2m + 1 forward passes and
    one backward pass per step. For m = 1 epsilon is rho * sign(L+ - L-) * u / |u|.

    The only gradient there is belongs to w + epsilon: a sparsifier that grows by gradients sees
    that one (`grow_grad="update"`), or has a plain pass at w on its steps (`grow_grad="clean"`).
    Batch-norm statistics come from the gradient pass. In half precision noise drowns the
    differences of small radii, as `diagnostics` tells: `probe_precision="fp32"` buys them at a
    third forward pass. A gradient scaler works, since there is one backward pass.

    Besides weights, gradients and the base optimizer's state it keeps a copy of the weights and
    one direction, and a second one while it averages if m > 1.

    Source: Ji et al. 2026, "ZO-SAM" (arXiv 2603.13115), section 3. Published without code: the
    restriction of u to active weights and the probe radius are choices of this implementation.

    Args:
        rho: radius of the perturbation.
        sigma: the radius per weight instead: rho = sigma sqrt(d) (see `RandomRadius`).
        queries: number m of directions per step.
        probe_radius: length of the probes: delta = probe_radius / sqrt(d), d the number of
            perturbed coordinates; None means rho.
        delta: finite-difference step per coordinate instead.
        directions: distribution of u: `"gaussian"`, `"rademacher"` or `"sphere"`.
        support: coordinates of u in the scope: `"active"` under the masks, or `"dense"`, all.
        sides: `"two"` as above, or `"one"` for (L(w + delta u) - L(w)) / delta, with m + 2 forward
            passes in all.
        probe_fraction: of the mini-batch that the probes see (see `ZeroOrder`).
        seed: of the directions.
        reuse: which probe is the forward pass of the gradient pass (see `ZeroOrderSharpness`).
        probe_precision: of the probes (likewise).
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = RHO,
        sigma: float | None = None,
        queries: int = 1,
        probe_radius: float | None = None,
        delta: float | None = None,
        directions: str = "gaussian",
        support: str = "active",
        sides: str = "two",
        probe_fraction: float = 1.0,
        reuse: str | None = None,
        probe_precision: str | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if probe_radius is not None and delta is not None:
            raise InputError(
                f"probe_radius {probe_radius!r} and delta {delta!r} both set the probes: give one"
            )
        self.delta = None if delta is None else require_number("delta", delta, above=0)
        self.dense = require_choice("support", support, ("active", "dense")) == "dense"
        super().__init__(
            params,
            base,
            rho=rho,
            sigma=sigma,
            queries=queries,
            probe_radius=probe_radius,
            directions=directions,
            sides=sides,
            probe_fraction=probe_fraction,
            reuse=reuse,
            probe_precision=probe_precision,
            seed=seed,
            **options,
        )

    def _obstacle(self) -> str | None:
        if self.delta is not None:
            return f"with delta {self.delta} the probes are elsewhere"
        return super()._obstacle()

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        direction = self.space.zeros()
        if self.queries == 1 and self.delta is None:
            return self._signed(passes, self.to_radius(self._draw(direction, 0)))
        step = self._probe_radius() if self.delta is None else self.delta
        slopes = self._slopes(passes, lambda query: self._draw(direction, query), step)
        estimate = self.space.zeros()
        for query, slope in enumerate(slopes.to(estimate)):
            estimate.addcmul_(self._draw(direction, query), slope)
        return self.to_radius(estimate)

    @override
    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        loss = super().perturbed_gradient(passes, epsilon)
        self._learn()
        return loss

    def _learn(self) -> None:
        if self.reuse == "late":
            self._remember("last", self.scoped_gradient())

    def _memory(self) -> tuple[str, ...]:
        return ("last",) if self.reuse == "late" else ()

    def _draw(self, out: Tensor, query: int) -> Tensor:
        """Draws a direction: of length 1, or as `delta` takes it."""
        support, _ = self.support()
        key = self.ranks.seed(self.seed), self.cost.steps, query
        draw_direction(out, self.directions, key, support)
        return out if self.delta is not None else scale_to(out, 1.0)

    def _perturbable(self) -> Callable[[Tensor], Tensor | None]:
        if self.dense:
            return self._scope.within(lambda _: None, self.param_groups)
        return super()._perturbable()
