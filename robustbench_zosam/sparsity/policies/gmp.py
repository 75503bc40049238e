"""Gradual magnitude pruning."""

from __future__ import annotations

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.policies.pruning import Pruning
from robustbench_zosam.sparsity.policies.schedules import checked_interval, settled_interval
from robustbench_zosam.sparsity.policy import Moment


class GMP(Pruning):
    """Prunes by magnitude a little at a time; sparsity follows a cubic curve.

    With `interval=None` it is 100 steps, or a fiftieth of the phase where that is shorter.

    Source: Zhu & Gupta 2017, "To prune, or not to prune", equation 1.
    """

    def __init__(
        self,
        start_fraction: float = 0.2,
        stop_fraction: float = 0.75,
        interval: int | None = None,
        scope: str = "global",
    ) -> None:
        super().__init__(scope)
        self.start_fraction = require_number("start_fraction", start_fraction, least=0, below=1)
        self.stop_fraction = require_number("stop_fraction", stop_fraction, above=0, below=1)
        if self.start_fraction >= self.stop_fraction:
            raise InputError(
                f"start_fraction {start_fraction:g} is not before stop_fraction {stop_fraction:g}: "
                "make it smaller"
            )
        self.interval = checked_interval(interval)

    def phase(self, total_steps: int) -> tuple[int, int]:
        """Returns the first and the last step of pruning, in completed steps."""
        return int(self.start_fraction * total_steps), int(self.stop_fraction * total_steps)

    def prepare(self, total_steps: int) -> None:
        """Settles the interval; a training that is too short for it is an `InputError`."""
        super().prepare(total_steps)
        start, end = self.phase(total_steps)
        self.interval = settled_interval(self.interval, end - start, longest=100, events=50)

    def due(self, moment: Moment) -> bool:
        """Returns whether weights are pruned: every interval of the phase, and at its end."""
        assert self.interval is not None, "prepare() settles the interval"
        start, end = self.phase(moment.total_steps)
        since = moment.step - start
        return moment.step == end or (0 < since < end - start and since % self.interval == 0)
