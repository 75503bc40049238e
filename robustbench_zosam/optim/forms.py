"""The forms of a step: with a closure, or in pieces around passes that the caller makes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.optim.asking import Closure
    from robustbench_zosam.optim.attached import Attachment, LossOf
    from robustbench_zosam.optim.space import ParameterSpace


class Forms:
    """Refuses every form of a step but `step(closure)`; methods that have others say so."""

    _forms: ClassVar[str] = "call step(closure)"
    _away: Away | None = None

    def attach(self, model: nn.Module, loss_of: LossOf | None = None) -> Attachment:
        """Perturbs the weights before each training pass of a model (see `OneGradient`)."""
        del model, loss_of
        self._refuse("attach")

    def perturb(self, closure: Closure | None = None) -> None:
        """Moves the weights to where the gradient is taken (see `OneGradient`)."""
        del closure
        self._refuse("perturb")

    def first_step(self, zero_grad: bool = False) -> None:
        """Moves the weights along the gradient in `grad` (see `TwoCalls`)."""
        del zero_grad
        self._refuse("first_step")

    def second_step(self, zero_grad: bool = False) -> None:
        """Moves the weights back and updates them with the gradient in `grad` (see `TwoCalls`)."""
        del zero_grad
        self._refuse("second_step")

    def restore(self) -> None:
        """Moves perturbed weights back without an update; nothing happens where none are."""
        if self._away is not None:
            self._away.end()
            self._away = None

    def _finish(self, closure: Closure | None) -> Tensor | None:
        """Makes the update of `step()` without a closure, or of a step whose weights are away."""
        del closure
        raise InputError(
            f"step() needs a closure that computes the loss for {type(self).__name__}: "
            f"{self._forms}"
        )

    def _refuse(self, method: str) -> NoReturn:
        raise InputError(f"{type(self).__name__} has no {method}(): {self._forms}")


class Away:
    """Weights that stay at w + epsilon until they are moved back.

    Args:
        space: of the weights, which are at w.
        asked: whether the caller moved them himself, rather than a model's forward pass.

    Attributes:
        epsilon: shape (d,); None where nothing is perturbed.
        guards: what else to undo on moving back.
    """

    def __init__(self, space: ParameterSpace, *, asked: bool = True) -> None:
        self.asked = asked
        self.epsilon: Tensor | None = None
        self.guards = ExitStack()
        self._space = space
        self.guards.enter_context(space.excursion())

    def move(self, epsilon: Tensor | None) -> None:
        """Moves the weights to w + epsilon."""
        self.epsilon = epsilon
        self.resume()

    def resume(self) -> None:
        """Moves the weights to w + epsilon again, bit by bit where they were."""
        torch.clear_autocast_cache()  # an open region would use weights cast before the move
        if self.epsilon is not None:
            self._space.displace(self.epsilon)

    def pause(self) -> None:
        """Moves the weights to w for a while."""
        torch.clear_autocast_cache()
        self._space.return_home()

    def end(self) -> None:
        """Moves the weights to w and undoes what else is to be undone."""
        self.guards.close()

    def home(self) -> dict[int, Tensor]:
        """Returns a copy of w by the `id` of each parameter."""
        return {id(p): w.clone() for p, w in self._space.at_home()}
