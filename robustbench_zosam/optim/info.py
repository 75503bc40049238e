"""What is known of an optimizer without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from robustbench_zosam.options import Configurable

if TYPE_CHECKING:
    from robustbench_zosam.optim.base import WrappedOptimizer

_Kind: TypeAlias = "type[WrappedOptimizer]"


class PassesPerStep(NamedTuple):
    """Passes of a mini-batch per step, on average over an epoch."""

    forwards: float
    backwards: float


@dataclass(frozen=True, kw_only=True)
class OptimizerInfo(Configurable[_Kind]):
    """What is known of an optimizer without importing it.

    Attributes:
        role: the baseline is what every method is compared with at equal sparsity (and dense, the
            reference of the sparse runs); a control leaves out what a method claims to help.
        compared_with: optimizers it stands beside, other than the baseline.
        passes: per step, or a function of the options by name, `batch_size` and
            `steps_per_epoch`; None where they are not known.
        base: name of the base optimizer, where it is not a choice.
        lr: learning rate, where the recipe's would be of another scale.
    """

    role: Literal["method", "baseline", "control"] = "method"
    compared_with: tuple[str, ...] = ()
    passes: PassesPerStep | Callable[..., PassesPerStep] | None = None
    base: str | None = None
    lr: float | None = None

    def passes_per_step(
        self,
        options: Mapping[str, object] | None = None,
        *,
        batch_size: int = 128,
        steps_per_epoch: int = 391,
    ) -> PassesPerStep | None:
        """Returns the passes of a step; the sizes are CIFAR's unless told otherwise.

        Args:
            options: those that are not the defaults; names of others are ignored.
        """
        if not callable(self.passes):
            return self.passes
        given = {name: value for name, value in (options or {}).items() if name in self.options}
        return self.passes(
            batch_size=batch_size, steps_per_epoch=steps_per_epoch, **self.defaults | given
        )

    def as_dict(self) -> dict[str, object]:
        """Returns all but the target, as JSON values; passes are those of the defaults."""
        facts, passes = super().as_dict(), self.passes_per_step()
        del facts["passes"]
        if passes is not None:
            facts |= {key: f"{count:.4g}" for key, count in passes._asdict().items()}
        return facts
