"""RigL as in-time over-parametrization tunes it."""

from __future__ import annotations

from typing import Any, ClassVar

from robustbench_zosam.checks import require_number
from robustbench_zosam.sparsity.policies.rigl import RigL


class RigLITOP(RigL):
    """RigL with rare, large updates until the end of training, so that more weights are explored.

    With `interval=None` it is 4000 steps, or a twenty-fourth of the training where that is shorter.

    Source: Liu et al. 2021, "Do We Actually Need Dense Over-Parameterization?", and the authors'
        code (4000 steps at batch size 128 of 250 epochs on CIFAR).
    """

    _published: ClassVar[tuple[int, int]] = 4000, 24

    def __init__(
        self,
        drop_fraction: float = 0.5,
        drop_floor: float = 0.005,
        interval: int | None = None,
        stop_fraction: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(
            drop_fraction=drop_fraction, interval=interval, stop_fraction=stop_fraction, **options
        )
        self.drop_floor = require_number("drop_floor", drop_floor, least=0, most=drop_fraction)
