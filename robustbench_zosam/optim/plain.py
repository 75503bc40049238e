"""A base optimizer alone, behind the same interface."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from robustbench_zosam.optim.one_gradient import OneGradient
from robustbench_zosam.optim.passes import Passes


class Plain(OneGradient):
    """Runs the base optimizer as it is, with counters and masks (see `WrappedOptimizer`)."""

    _accumulates: ClassVar[bool] = True

    def _gradient(self, passes: Passes) -> Tensor:
        self.last_clean_loss = passes.gradient()
        return self.last_clean_loss

    def _offset(self, passes: Passes) -> None:
        del passes  # nothing is perturbed

    @property
    def _stays(self) -> bool:
        return True
