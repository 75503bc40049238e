"""MEST with elastic mutation and soft memory bound."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.policies.mest_em import MestEM, stage_of
from robustbench_zosam.sparsity.policy import Moment

_EXTRA = (1.0, 0.5, 0.0)  # of the extra weights, in each stage


class MestEMS(MestEM):
    """Grows more weights than it may keep, and gives them up in the third stage.

    Until then it is denser than asked for: by all extra weights in the first stage, half of them in
    the second; never by more than the layer keeps in the end.

    Source: Yuan et al. 2021, and the authors' scripts for 90 and 95 %; the cap is this project's.
    """

    conserves: ClassVar[Literal["layer", "total"] | None] = None

    def __init__(self, extra_density: float = 0.05, **options: Any) -> None:
        super().__init__(**options)
        self.extra_density = require_number("extra_density", extra_density, least=0, below=1)

    def prepare(self, total_steps: int) -> None:
        """Settles the interval; a training too short for the stages is an `InputError`."""
        super().prepare(total_steps)
        if stage_of(Moment(0, total_steps)) > 0:
            raise InputError(f"{total_steps} steps are too few for the stages: train longer")

    def bounds(self, count: int, size: int, stage: int) -> tuple[int, int]:
        """Returns how many of a layer's weights are active after dropping, and after growing."""
        extra = min(round(self.extra_density * size), count, size - count)
        return count, count + round(_EXTRA[stage] * extra)

    def due(self, moment: Moment) -> bool:
        """Returns whether this is an update of `MestEM`, or where a stage begins."""
        begins = moment.step > 0 and stage_of(moment) > stage_of(
            Moment(moment.step - 1, moment.total_steps)
        )
        return begins or super().due(moment)
