"""XSAM: step along a direction chosen in the plane of displacement and perturbed gradient."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.directions import scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.periods import Periodic
from robustbench_zosam.optim.two_calls import TwoCalls

_MOST_ALPHAS = 1000  # a search makes a forward pass for each


class XSAM(TwoCalls, Periodic):
    """Explicit SAM: steps along |g_k| v(alpha), where v(alpha) leads to the highest loss.

    k ascent steps of length rho / k along the gradients end at w_k, with the gradient g_k. On the
    arc through v_0, the direction of w_k - w, and v_1, that of g_k, v(alpha) is at the angle alpha
    * psi from v_0, psi being the angle between them. alpha = 1 is SAM. Once per epoch, on its first
    mini-batch, alpha becomes the one of 0, alpha_step, ..., alpha_max with the largest loss at w +
    rho_max v(alpha), found by forward passes in full precision; losses that are not finite are left
    out, and if all are, alpha stays. The arc is in the scope; elsewhere the step is g_k. k + 1
    forward and backward passes per step else. A gradient scaler works, since g_k keeps its length.

    Source: "XSAM", arXiv 2603.10048 (ICLR 2026), and the authors' code.

    Args:
        rho: length of the ascent.
        rho_max: radius at which directions are compared.
        ascent_steps: k.
        alpha: fixed instead of searched.
        alpha_max: largest alpha of the search.
        alpha_step: distance between two of its values.
        **options: like `params` and `base`, as in `Periodic`.

    Attributes:
        found_alpha: in use now.
    """

    _saved: ClassVar[tuple[str, ...]] = (*Periodic._saved, "found_alpha")

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.15,
        rho_max: float = 0.3,
        ascent_steps: int = 1,
        alpha: float | None = None,
        alpha_max: float = 2.0,
        alpha_step: float = 0.1,
        **options: Any,
    ) -> None:
        self.rho_max = require_number("rho_max", rho_max, above=0)
        self.ascent_steps = require_integer("ascent_steps", ascent_steps, least=1)
        self.alpha = None if alpha is None else require_number("alpha", alpha)
        count = require_number("alpha_max", alpha_max, above=0) / require_number(
            "alpha_step", alpha_step, above=0
        )
        if not math.isclose(count, round(count)):
            raise InputError(
                f"alpha_max {alpha_max!r} is no multiple of alpha_step {alpha_step!r}: "
                "give one that is"
            )
        if count > _MOST_ALPHAS:
            raise InputError(
                f"alpha_max {alpha_max!r} and alpha_step {alpha_step!r} make {count + 1:.0f} "
                f"forward passes per search: give at most {_MOST_ALPHAS} steps"
            )
        self.alphas = [round(index * alpha_step, 12) for index in range(round(count) + 1)]
        self.found_alpha = 1.0 if self.alpha is None else self.alpha
        super().__init__(params, base, rho=rho, **options)

    def _needs_more(self) -> str | None:
        if self.alpha is None:
            return "while it searches alpha"
        return None if self.ascent_steps == 1 else f"with ascent_steps {self.ascent_steps}"

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        share = 1 / self.ascent_steps
        epsilon = self.to_radius(self.clean_gradient(passes), share)
        for _ in range(self.ascent_steps - 1):
            self.space.displace(epsilon)
            passes.gradient()
            epsilon += self.to_radius(self.scoped_gradient(), share)
        return epsilon

    @override
    def perturbed_gradient(self, passes: Passes, epsilon: Tensor) -> Tensor:
        loss = super().perturbed_gradient(passes, epsilon)
        arc = _Arc(epsilon, self.scoped_gradient())
        if self.alpha is None and self._new_period():
            self._search(passes, arc)
        self._replace_gradient(arc(self.found_alpha).mul_(arc.length), self.support()[0])
        return loss

    def _search(self, passes: Passes, arc: _Arc) -> None:
        losses = []
        for alpha in self.alphas:
            self.space.displace(arc(alpha), self.rho_max)
            losses.append(passes.loss())
        found = self.ranks.mean(torch.stack(losses))
        found = found.where(found.isfinite(), -torch.inf)
        if bool(found.isfinite().any()):
            self.found_alpha = self.alphas[int(found.argmax())]


class _Arc:
    """Directions on the great circle through those of two vectors (d,), which are overwritten."""

    def __init__(self, first: Tensor, second: Tensor) -> None:
        self.length = torch.linalg.vector_norm(second)
        self._first, self._second = scale_to(first, 1.0), scale_to(second, 1.0)
        cosine = torch.dot(self._first, self._second).clamp(-1, 1)  # rounding may exceed one
        self._angle = torch.arccos(cosine)

    def __call__(self, alpha: float) -> Tensor:
        """Returns the unit vector (d,) at alpha times the angle: 0 is the first, 1 the second."""
        sine = torch.sin(self._angle)
        parallel = sine < 1e-6
        safe = sine.where(~parallel, 1.0)
        weights = [
            (torch.sin(share * self._angle) / safe).where(~parallel, 0.5)
            for share in (1 - alpha, alpha)
        ]
        return self._first * weights[0] + self._second * weights[1]
