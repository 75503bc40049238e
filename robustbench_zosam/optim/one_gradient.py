"""Steps along one gradient, which the caller's own backward pass can take."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.attached import Attachment, LossOf
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.forms import Away
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.sharp import SharpnessAware


class OneGradient(WrappedOptimizer):
    """A method with one gradient per step: `loss.backward()` and `step()` do without a closure.

    The weights move to w + epsilon before the forward pass and back to w in `step()`, so that the
    loop stays as it is for any torch optimizer, gradient accumulation (all micro-batches at one
    w + epsilon), `GradScaler.step(optimizer)` and clipping included:

        optimizer.attach(model)  # once: training passes of the model move the weights first

        loss = loss_function(model(inputs), labels)
        loss.backward()
        optimizer.step()  # moves the weights back, then updates them
        optimizer.zero_grad()

    Instead of `attach`, `perturb()` before each forward pass moves them. Weights, buffers, random
    draws and counters are those of `step(closure)`, bit for bit; a step counts as one forward and
    one backward pass, whatever the number of micro-batches.
    """

    _forms: ClassVar[str] = (
        "call step(closure), or attach(model) once and then step() after loss.backward()"
    )

    _asks_for_losses: ClassVar[bool] = False

    def attach(self, model: nn.Module, loss_of: LossOf | None = None) -> Attachment:
        """Lets the training passes of a model move the weights to where the gradient is taken.

        That is every call of `model` in training mode with gradients enabled; the weights stay
        there until `step()`, or `restore()`. Meanwhile calls in evaluation mode or without
        gradients compute at the weights themselves, and `state_dict()` holds those.

        Args:
            model: has parameters of this optimizer; its `__call__` must run (`torch.compile` and
                `DistributedDataParallel` around it do that).
            loss_of: from the model's output to the mean loss, for methods that choose the
                perturbation by losses and models that get their labels; the losses are those of
                the first micro-batch of a step.

        Returns:
            What `remove()` detaches.

        Raises:
            InputError: the model has none of the parameters.
        """
        mine = {id(p) for p in self.space.params}
        if not any(id(p) in mine for p in model.parameters()):
            raise InputError(
                "the model given to attach() has none of the optimizer's parameters: give the one "
                "whose parameters the optimizer got"
            )
        return Attachment(self, model, loss_of)

    @torch.no_grad()
    def perturb(self, closure: Closure | None = None) -> None:
        """Moves the weights to w + epsilon, where the next gradient is to be taken.

        Nothing happens if they are there already, as with a later micro-batch.

        Args:
            closure: as for `step`, for methods that choose epsilon by losses; only losses are
                asked for, and the random draws of the pass that follows are theirs.

        Raises:
            InputError: the method needs losses, and there is no closure.
        """
        self._move(closure, asked=True)

    def _move(self, closure: Closure | None, *, asked: bool) -> None:
        if self._away is not None:
            return
        self._begin()
        passes = self._passes(self._no_losses if closure is None else closure)
        away = Away(self.space, asked=asked)
        self.last_clean_loss = None
        try:
            clean = self.masks.gradient_source() == "clean"
            away.move(None if clean else self._offset(passes))
        except BaseException:
            away.end()
            raise
        passes.rewind()
        self._away = away

    @abstractmethod
    def _offset(self, passes: Passes) -> Tensor | None:
        """Returns epsilon, shape (d,), from losses alone; None where nothing is perturbed."""

    def _learn(self) -> None:
        """Remembers what later steps need of the gradient at w + epsilon, which is in `grad`."""

    @property
    def _stays(self) -> bool:
        """Whether the gradient is taken at the weights themselves."""
        return False

    def _no_losses(self, **_: object) -> Tensor:
        raise InputError(
            f"{type(self).__name__} chooses its perturbation by losses: call perturb(closure) "
            "before the forward pass, or attach(model, loss_of=...)"
        )

    def _finish(self, closure: Closure | None) -> Tensor | None:
        self._refuse_second_scaler()
        if self._away is None:
            self._begin_late()
        elif closure is not None:  # the last micro-batch of a loop that hands its passes over
            with torch.enable_grad():
                self.last_loss = closure().detach()
        moved = self._away is not None and self._away.epsilon is not None
        self.restore()
        if moved:
            self._learn()
        if closure is None:
            self.last_loss = None
        self.cost.forwards += 1
        self.cost.backwards += 1
        self._conclude()
        return self.last_loss

    def _begin_late(self) -> None:
        if not self._stays:
            raise InputError(
                f"step() needs a closure that computes the loss, or perturbed weights, for "
                f"{type(self).__name__}: call attach(model) once, or perturb() before each forward "
                "pass, in training mode"
            )
        if self._begin():
            raise InputError(
                "a round of training begins with this step, at other weights than the gradient's: "
                "call attach(model) once, or perturb() before each forward pass"
            )

    def _refuse_second_scaler(self) -> None:
        if id(self) in getattr(self.scaler, "_per_optimizer_states", {}):
            raise InputError(
                "the gradients would be unscaled twice: leave scaler= out where "
                "scaler.step(optimizer) makes the step"
            )


class OnePerturbed(OneGradient, SharpnessAware):
    """A sharpness-aware method with one gradient per step, at w + epsilon (see `OneGradient`)."""

    @property
    def _stays(self) -> bool:
        return self._radius() == 0

    def _offset(self, passes: Passes) -> Tensor | None:
        return None if self._stays else self.perturbation(passes)
