"""Which optimizers stand beside which; an unknown one, of a missing plug-in, beside none."""

from __future__ import annotations

from robustbench_zosam.optim.info import OptimizerInfo
from robustbench_zosam.optim.registry import OPTIMIZERS


def baseline() -> OptimizerInfo:
    """Returns the optimizer that every method is compared with."""
    return next(info for info in OPTIMIZERS if info.role == "baseline")


def compared_with(name: str) -> tuple[str, ...]:
    """Returns the optimizers that one stands beside, other than the baseline."""
    return OPTIMIZERS[name].compared_with if name in OPTIMIZERS else ()


def parent(name: str) -> str | None:
    """Returns the optimizer that one derives from, the last it is compared with."""
    return next(reversed(compared_with(name)), None)


def has_control(name: str) -> bool:
    """Tells whether an optimizer stands beside a control."""
    return any(OPTIMIZERS[other].role == "control" for other in compared_with(name))
