"""Methods that do something once every few epochs."""

from __future__ import annotations

from typing import Any, ClassVar

from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_integer
from robustbench_zosam.optim.sharp import SharpnessAware


class Periodic(SharpnessAware):
    """Counts epochs by its steps.

    Args:
        steps_per_epoch: mini-batches in an epoch; the default is CIFAR's at batch size 128.
        **options: like `params` and `base`, as in `SharpnessAware`.

    Attributes:
        period: number of the last period something was done in, -1 before the first.
        began: step at which training, or this round of it, began.
    """

    _saved: ClassVar[tuple[str, ...]] = (*SharpnessAware._saved, "period", "began")

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        steps_per_epoch: int = 391,
        **options: Any,
    ) -> None:
        self.steps_per_epoch = require_integer("steps_per_epoch", steps_per_epoch, least=1)
        self.period, self.began = -1, 0
        super().__init__(params, base, **options)

    @property
    def epoch(self) -> int:
        """Number of the running epoch, from 0."""
        return (self.cost.steps - self.began) // self.steps_per_epoch

    def reset_state(self) -> None:
        """Drops all memory of earlier steps; epochs are counted from here."""
        super().reset_state()
        self.period, self.began = -1, self.cost.steps

    def _new_period(self, epochs: int = 1) -> bool:
        """Returns whether a period of some epochs has begun: once, at its first perturbed step."""
        period = self.epoch // epochs
        begun = period != self.period
        self.period = period
        return begun
