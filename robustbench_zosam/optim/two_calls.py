"""Steps in two calls, as in davda54/sam: for loops that were written for it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.forms import Away
from robustbench_zosam.optim.guards import BufferGuard
from robustbench_zosam.optim.passes import PassCounts, Passes
from robustbench_zosam.optim.sharp import SharpnessAware


class TwoCalls(SharpnessAware):
    """A method with a gradient at w and one at w + epsilon: the caller may make both passes.

        loss_function(model(inputs), labels).backward()
        optimizer.first_step(zero_grad=True)  # from w to w + epsilon
        loss_function(model(inputs), labels).backward()
        optimizer.second_step(zero_grad=True)  # back to w, and the update

    `step()` instead of the second call is the same, for loops that make it themselves. The update
    is that of `step(closure)`, and buffers (batch-norm statistics) come from the first pass here
    too, so that nothing is to be switched off before the second. The two passes draw their own
    random numbers, though, where those of a closure draw the same (dropout).
    """

    _forms: ClassVar[str] = "call step(closure), or first_step() and second_step()"

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False) -> None:
        """Moves the weights to w + epsilon by the gradient at w, which is in `grad`.

        Args:
            zero_grad: clear the gradients then; else they must be before the second pass.

        Raises:
            InputError: the second call of the last step is missing, or the method needs more.
        """
        self._check_first()
        away = Away(self.space)
        try:
            clean = self.masks.gradient_source() == "clean" or self._radius() == 0
            away.move(None if clean else self.perturbation(_Made(self)))
            away.guards.enter_context(self._buffers.frozen())
        except BaseException:
            away.end()
            raise
        self._away = away
        if zero_grad:
            self.zero_grad()

    def _check_first(self) -> None:
        if self._away is not None:
            raise InputError("first_step() was called twice: call second_step() after it")
        obstacle = self._needs_more()
        if obstacle:
            raise InputError(
                f"{type(self).__name__} has no first_step() {obstacle}: call step(closure)"
            )
        if self.ranks.mode == "own" and self.ranks.count > 1:
            raise InputError(
                "ranks='own' averages gradients after the second pass: call step(closure)"
            )
        if self._begin():
            raise InputError(
                "a round of training begins with this step, at other weights than the gradient's: "
                "call step(closure)"
            )

    def _needs_more(self) -> str | None:
        """Returns with which options there are more passes than two; None if there are not."""
        return None

    @torch.no_grad()
    def second_step(self, zero_grad: bool = False) -> None:
        """Moves the weights back to w, and updates them with the gradient at w + epsilon.

        Args:
            zero_grad: clear the gradients then.

        Raises:
            InputError: there was no `first_step()`.
        """
        if self._away is None:
            raise InputError("second_step() has no first_step() before it: call that first")
        if self._away.epsilon is not None:
            self.perturbed_gradient(_Made(self), self._away.epsilon)
        self.restore()
        self.last_loss = self.last_clean_loss = None
        self.cost.forwards += 2
        self.cost.backwards += 2
        self._conclude()
        if zero_grad:
            self.zero_grad()

    def _finish(self, closure: Closure | None) -> Tensor | None:
        if self._away is None:
            return super()._finish(closure)
        if closure is not None:
            raise InputError(
                "step(closure) after first_step(): make the second pass, then call second_step()"
            )
        self.second_step()
        return None


class _Made(Passes):
    """The one pass that the caller has made; its gradients are in `grad`."""

    def __init__(self, optimizer: SharpnessAware) -> None:
        space = optimizer.space
        super().__init__(_no_closure, space.params, PassCounts(), BufferGuard(), space.device)
        self._unknown = torch.full((), torch.nan, device=space.device)

    def gradient(
        self, examples: Tensor | None = None, *, each: bool = False, separate: bool = False
    ) -> Tensor:
        """Returns nan: the loss is the caller's."""
        assert examples is None
        assert not each
        assert not separate
        return self._unknown


def _no_closure() -> Tensor:
    raise AssertionError("a method in two calls asks for nothing but the two gradients")
