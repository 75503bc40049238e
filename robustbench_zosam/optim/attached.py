"""Hooks of a model through which an optimizer moves its weights around training passes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from robustbench_zosam.optim.one_gradient import OneGradient

LossOf = Callable[[Any], Tensor]
"""From a model's output, whatever it is, to the mean loss."""


class _Resting(threading.local):
    """Whether a step is calling a closure, on this thread."""

    resting = False


_threads = _Resting()


@contextmanager
def hooks_at_rest() -> Iterator[None]:
    """Leaves the weights of attached optimizers where they are: a step is calling a closure."""
    before, _threads.resting = _threads.resting, True
    try:
        yield
    finally:
        _threads.resting = before


class Attachment:
    """An optimizer's hooks on a model; copies of the model are not attached.

    Args:
        optimizer: moves its weights.
        model: its calls are followed.
        loss_of: see `OneGradient.attach`.
    """

    def __init__(self, optimizer: OneGradient, model: nn.Module, loss_of: LossOf | None) -> None:
        hooks = _Hooks(optimizer, loss_of)
        self._handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(_Hook(hooks.before), with_kwargs=True),
            model.register_forward_hook(_Hook(hooks.after), always_call=True),
            model.register_load_state_dict_pre_hook(_Hook(hooks.loading)),  # type: ignore[no-untyped-call]
        ]
        for module in model.modules():
            saving = _Hook(hooks.saving)
            self._handles.append(module.register_state_dict_post_hook(saving))  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        """Detaches the optimizer from the model."""
        for handle in self._handles:
            handle.remove()


class _Hook:
    """A hook that a copied or unpickled model does not have."""

    def __init__(self, function: Callable[..., None] | None = None) -> None:
        self._function = function

    @torch.compiler.disable  # type: ignore[untyped-decorator] # torch leaves it untyped
    def __call__(self, *arguments: object) -> None:
        if self._function is not None:
            self._function(*arguments)

    def __deepcopy__(self, memo: dict[int, object]) -> _Hook:
        return _Hook()

    def __reduce__(self) -> tuple[type[_Hook], tuple[()]]:
        return _Hook, ()


class _Hooks:
    """What happens to an optimizer's weights around the calls of a model."""

    def __init__(self, optimizer: OneGradient, loss_of: LossOf | None) -> None:
        self._owner = weakref.ref(optimizer)
        self._loss_of = loss_of
        self._evaluating = 0  # calls within one another

    def before(
        self, module: nn.Module, inputs: tuple[object, ...], options: Mapping[str, object]
    ) -> None:
        """Moves the weights to w + epsilon for a training pass, to w for another."""
        optimizer = self._owner()
        if optimizer is None or _threads.resting:
            return
        away = optimizer._away
        if away is None:
            if module.training and torch.is_grad_enabled():
                self._move(optimizer, module, inputs, options)
        elif self._evaluating or not _takes_gradient(module, asked=away.asked):
            if not self._evaluating:
                away.pause()
            self._evaluating += 1

    def _move(
        self,
        optimizer: OneGradient,
        module: nn.Module,
        inputs: tuple[object, ...],
        options: Mapping[str, object],
    ) -> None:
        loss_of = self._loss_of
        if loss_of is None:
            if not optimizer._asks_for_losses:
                with torch.no_grad():
                    optimizer._move(None, asked=False)
            return  # else perturb(closure) may follow; a step without it is refused

        def losses() -> Tensor:
            return loss_of(module(*inputs, **options))

        with torch.no_grad():
            optimizer._move(losses, asked=False)

    def after(self, module: nn.Module, inputs: object, output: object) -> None:
        """Moves the weights back to w + epsilon after an evaluation."""
        del module, inputs, output
        if self._evaluating and not _threads.resting:
            self._evaluating -= 1
            optimizer = self._owner()
            if not self._evaluating and optimizer is not None and optimizer._away is not None:
                optimizer._away.resume()

    def loading(self, *_: object) -> None:
        """Gives up a perturbation of weights that are about to be replaced."""
        optimizer = self._owner()
        if optimizer is not None:
            optimizer.restore()

    def saving(
        self, module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: object
    ) -> None:
        """Puts w into a state dict that was taken at w + epsilon."""
        del metadata
        optimizer = self._owner()
        if optimizer is None or optimizer._away is None:
            return
        home = optimizer._away.home()
        for name, param in module.named_parameters(recurse=False, remove_duplicate=False):
            if prefix + name in state and id(param) in home:
                state[prefix + name] = home[id(param)]


def _takes_gradient(module: nn.Module, *, asked: bool) -> bool:
    """Returns whether a call belongs to the step under way.

    Evaluation mode says nothing where the caller perturbed the weights himself: models are also
    fine-tuned in it.
    """
    return torch.is_grad_enabled() and (module.training or asked)
