"""Zero-order perturbations: what ZO-SAM and its guided form have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_choice, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.deferred import PreparedGradient
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.random_radius import RandomRadius
from robustbench_zosam.optim.zo_probes import ZeroOrder

REUSES = ("both", "late", "none")


class ZeroOrderSharpness(RandomRadius, ZeroOrder):
    """Perturbs along directions whose slopes come from losses alone.

    With one query on both sides and probes as long as the perturbation, the gradient is taken at
    one of the two probes: the one with the larger loss. The pass that probes it can then be the
    forward pass of the gradient pass, and a step costs two forward passes and a backward pass:

    - `"both"` builds both graphs and goes back through the one that won: twice the activations.
    - `"late"` probes the side that is less likely to win without a graph, then the other with one;
      if the first one wins, it is run once more. The likelier side is that of the last gradient.
    - `"none"` probes both without a graph, then runs the gradient pass: three forward passes.

    The probes of the first two run in the precision of gradient passes. In float32 all three make
    the same weights, buffers and random draws, bit for bit. To compare the losses the host waits
    for the device once a step.

    Args:
        params: as for any torch optimizer.
        base: class of the optimizer that makes the update.
        rho: radius of the perturbation.
        sigma: the radius per weight instead (see `RandomRadius`).
        probe_radius: length of the probes; None means that of the perturbation.
        reuse: None takes `"both"` where it is possible.
        probe_precision: as in `ZeroOrder`; None is `"same"` where a probe is the forward pass of
            the gradient pass, else `"fp32"`.
        **options: of `ZeroOrder`.

    Attributes:
        reuse: `"both"`, `"late"` or `"none"`.
    """

    _asks_for_losses: ClassVar[bool] = True

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer],
        *,
        rho: float,
        sigma: float | None = None,
        probe_radius: float | None = None,
        reuse: str | None = None,
        probe_precision: str | None = None,
        **options: Any,
    ) -> None:
        if probe_radius is not None:
            require_number("probe_radius", probe_radius, above=0)
        self.probe_radius = probe_radius
        self._set_sigma(sigma, rho)
        self._won: PreparedGradient | None = None
        precision = "fp32" if probe_precision is None else probe_precision
        super().__init__(params, base, rho=rho, probe_precision=precision, **options)
        self._own_precision = probe_precision
        self.reuse = self._choose_reuse(reuse)
        if self.reuse != "none":
            self.probe_precision = "same"
        if self.reuse == "late":
            self._add_counters("repeated")

    def _choose_reuse(self, wanted: str | None) -> str:
        obstacle = self._obstacle()
        if wanted is None:
            return "none" if obstacle else "both"
        require_choice("reuse", wanted, REUSES)
        if wanted != "none" and obstacle:
            raise InputError(f"reuse is {wanted!r}, but {obstacle}: give reuse='none'")
        return wanted

    def _obstacle(self) -> str | None:
        """Returns why no probe is the forward pass of the gradient pass; None if one is."""
        if self.queries > 1:
            return f"with {self.queries} queries the gradient is taken at none of the probes"
        if self.sides == "one":
            return "with sides='one' one side is not probed"
        if self.probe_fraction < 1:
            return f"with probe_fraction {self.probe_fraction} the probes see a part of the batch"
        if self.probe_radius is not None:
            return f"with probe_radius {self.probe_radius} the probes are elsewhere"
        if self._own_precision in {"fp32", "tf32"}:
            return f"with probe_precision {self._own_precision!r} they have one of their own"
        return None

    def _probe_radius(self) -> float:
        return self._radius() if self.probe_radius is None else self.probe_radius

    def _probe_ratio(self, direction: Tensor) -> float:
        if self.probe_radius is None:
            return 1.0
        if len(set(self._lengths())) == 1:
            return self.probe_radius / self._radius()
        return self.probe_radius / float(torch.linalg.vector_norm(direction))

    def _signed(self, passes: Passes, direction: Tensor) -> Tensor:
        """Turns a direction of the perturbation's length to the side of the larger loss.

        Args:
            passes: runs the closure.
            direction: shape (d,); overwritten.

        Returns:
            The perturbation; zero where the losses say nothing.

        Raises:
            InputError: the closure takes gradients otherwise than by `backward`.
        """
        if self.reuse == "none":
            ratio = self._probe_ratio(direction)
            slopes = self._slopes(passes, lambda query: direction, ratio)
            return direction.mul_(slopes.sign().to(direction))
        signs = (1.0, -1.0)
        if self.reuse == "late" and not self._is_likely(direction):
            signs = (-1.0, 1.0)
        # without a graph first: only one is in memory
        order = signs if self.reuse == "both" else signs[::-1]
        prepared = {}
        for sign in order:
            self.space.displace(direction, sign)
            graph = self.reuse == "both" or sign == signs[0]
            found = passes.prepare(graph=graph)
            if found is None:
                raise InputError(
                    "the closure takes gradients without calling backward(), which cannot be put "
                    "off: give reuse='none'"
                )
            prepared[sign] = found
        losses = torch.stack([prepared[1.0].loss, prepared[-1.0].loss])
        sign = float(self._differences(passes, losses).sign())
        if sign and (self.reuse == "both" or sign == signs[0]):
            self._won = prepared[sign]
        elif sign:
            self.counters["repeated"] += 1
        return direction.mul_(sign)

    def _is_likely(self, direction: Tensor) -> bool:
        """Returns whether the loss should rise along a direction, by the last gradient."""
        last = self.vectors.get("last")
        return last is None or bool(torch.dot(last, direction) >= 0)

    def _offset(self, passes: Passes) -> Tensor | None:
        reuse, self.reuse = self.reuse, "none"  # the caller's pass is not one of the probes
        try:
            return super()._offset(passes)
        finally:
            self.reuse = reuse

    @override
    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        won, self._won = self._won, None
        if won is None:
            return super().perturbed_gradient(passes, epsilon)
        return passes.take(won)
