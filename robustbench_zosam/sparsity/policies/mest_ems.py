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
    the second.

    Source: Yuan et al. 2021, and the authors' scripts for 90 and 95 %; the cap is this project's.

    Args:
        extra_density: extra weights in the first stage, as a fraction of a layer; never more than
            the layer keeps in the end.
    """

    conserves: ClassVar[Literal["layer", "total"] | None] = None

    def __init__(self, extra_density: float = 0.05, **options: Any) -> None:
        super().__init__(**options)
        self.extra_density = require_number("extra_density", extra_density, least=0, below=1)

    def prepare(self, total_steps: int) -> None:
        """Settles the interval.

        Args:
            total_steps: optimizer steps of the whole training.

        Raises:
            InputError: the training is too short for the stages.
        """
        super().prepare(total_steps)
        if stage_of(Moment(0, total_steps)) > 0:
            raise InputError(f"{total_steps} steps are too few for the stages: train longer")

    def bounds(self, count: int, size: int, stage: int) -> tuple[int, int]:
        """Numbers of active weights after dropping and after growing.

        Args:
            count: what the layer is to keep in the end.
            stage: 0, 1 or 2.

        Returns:
            The lower and the upper number.
        """
        extra = min(round(self.extra_density * size), count, size - count)
        return count, count + round(_EXTRA[stage] * extra)

    def due(self, moment: Moment) -> bool:
        """Tells whether the masks change after this step.

        Returns:
            True on multiples of the interval in the first two stages, and where a stage begins.
        """
        begins = moment.step > 0 and stage_of(moment) > stage_of(
            Moment(moment.step - 1, moment.total_steps)
        )
        return begins or super().due(moment)
