"""The template of every optimizer here: a base optimizer, fed by a method's own gradient.

The base class validates, counts, masks and is final; a method writes how it gets its gradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final, overload

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.forms import Forms
from robustbench_zosam.optim.guards import (
    BufferGuard,
    has_foreign_gradients,
    note_gradients,
)
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.ranks import Ranks
from robustbench_zosam.optim.state import StatefulOptimizer
from robustbench_zosam.optim.updates import clip_gradients
from robustbench_zosam.sparsity.masks import MaskSet, state_tensors

if TYPE_CHECKING:
    from robustbench_zosam.optim.check import StepCheck

Masks = MaskSet | Mapping[Tensor, Tensor] | None


class WrappedOptimizer(Forms, StatefulOptimizer, ABC):
    """Runs a closure as often as its method needs, then lets a base optimizer step.

    Within one step all passes see the same random draws, buffers (batch-norm statistics) are
    updated by the first gradient pass alone, gradients are cleared before each gradient pass, and
    weights, gradients and state stay exactly zero off the masks. `param_groups` and `state` are
    the base optimizer's own, so that learning-rate schedulers work on this object.

    Args:
        params: as for any torch optimizer.
        base: class of the optimizer that makes the update.
        mask: a `Masker`, or bool tensors by parameter.
        model: whose buffers to guard; None finds them while the modules run (see `BufferGuard`).
        scaler: a gradient scaler; the closure scales its loss before `backward` and returns it
            unscaled, and the caller calls `scaler.update()` after each step.
        clip_norm: largest norm of the gradient the base optimizer gets: all parameters together,
            after masking, once per step, whatever passes the method made before.
        ranks: whether the processes of data-parallel training, where there is a default process
            group, take one perturbation, `"shared"`, or each one of its own part of the batch,
            `"own"` (m-sharpness); the gradients that the base optimizer gets are averaged
            either way. Every rank makes every step.
        **base_options: of the base optimizer.

    Attributes:
        base: the base optimizer.
        cost: passes and steps since the start.
        last_loss: loss of the last gradient pass, where its gradient was taken.
        last_clean_loss: loss at the unperturbed weights, exact or estimated; None if unknown.
        vectors: the method's own memory between steps, flat tensors with one entry per weight.
        counters: the method's own counters, integer tensors of no dimension.
    """

    _accumulates: ClassVar[bool] = False  # whether gradients from before a step have a meaning

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        mask: Masks = None,
        model: nn.Module | None = None,
        scaler: torch.amp.GradScaler | None = None,
        clip_norm: float | None = None,
        ranks: str = "shared",
        **base_options: Any,
    ) -> None:
        if not (isinstance(base, type) and issubclass(base, Optimizer)):
            raise InputError(f"base is {base!r}: give a class of torch optimizers")
        if base is torch.optim.LBFGS or issubclass(base, WrappedOptimizer):
            raise InputError(f"base {base.__name__} calls the closure itself: choose another")
        super().__init__(params, base, **base_options)
        self.last_loss: Tensor | None = None
        self.last_clean_loss: Tensor | None = None
        self.ranks = Ranks(ranks)
        self.scaler = scaler
        self.clip_norm = clip_norm
        if clip_norm is not None:
            require_number("clip_norm", clip_norm, above=0)
        self.masks = mask if isinstance(mask, MaskSet) else MaskSet(mask or {})
        self._buffers = BufferGuard(model, self.space.params)
        note_gradients(self.space.params)

    @abstractmethod
    def _gradient(self, passes: Passes) -> Tensor:
        """Leaves the gradient to step along in `grad`, and the weights as they were.

        Returns:
            The loss where the gradient was taken; `last_clean_loss` is set if known.
        """

    @overload  # type: ignore[override] # torch's closure returns a float
    def step(self, closure: Closure) -> Tensor: ...

    @overload
    def step(self, closure: None = None) -> Tensor | None: ...

    @final
    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Tensor | None:
        """Makes one update.

        Args:
            closure: computes the mean loss and its gradients when called as `closure()`, the loss
                alone as `closure(backward=False)`; everything is recomputed at each call. None
                for methods that can use the gradients that are there (see `OneGradient`).

        Returns:
            The loss at the unperturbed weights where known and finite, else `last_loss`; without
            dimensions, and without waiting for the device. None without a closure.

        Raises:
            InputError: there is no closure, or gradients from before the step have no meaning.
        """
        if self._away is not None:
            return self._finish(closure)
        if closure is None:
            if not self._is_standing_still():
                return self._finish(closure)
            self.base.step()  # torch.distributed.checkpoint asks for state like this
            return self.space.zeros().sum()
        self._begin()
        accumulated = has_foreign_gradients(self.space.params)
        if accumulated and not self._accumulates:
            raise InputError(
                "there are gradients from before step(closure), which "
                f"{type(self).__name__} cannot use: call zero_grad() if they are left over, and "
                "accumulate over parts of a batch with make_closure(..., micro_batches=k)"
            )
        passes = self._passes(closure, accumulate=accumulated)
        self.last_clean_loss = None
        try:
            with self.ranks.step(self.space):
                if self.masks.gradient_source() == "clean":
                    self.last_loss = self.last_clean_loss = passes.gradient()
                else:
                    self.last_loss = self._gradient(passes)
            self._update()
        finally:
            note_gradients(self.space.params)
        self.cost.steps += 1
        clean = self.last_clean_loss
        return self.last_loss if clean is None else clean.where(clean.isfinite(), self.last_loss)

    def _begin(self) -> bool:
        """Lets the masks begin a step; returns whether they changed the weights for a new round."""
        if not self.masks.before_step(self.slots):
            return False
        self.reset_state()
        return True

    def _conclude(self) -> None:
        """Updates the weights with the gradients of passes that the caller made."""
        self._update()
        note_gradients(self.space.params)
        self.cost.steps += 1

    def _is_standing_still(self) -> bool:
        """Returns whether a step is asked for that changes nothing but makes the base's state."""
        if any(group["lr"] != 0 for group in self.param_groups):
            return False
        trainable = [p for p in self.space.params if p.requires_grad]
        return all(p.grad is not None and not p.grad.any() for p in trainable)

    @final
    @torch.no_grad()
    def rehearse(self, closure: Closure, *, watch: Callable[[], None] | None = None) -> Tensor:
        """Returns the loss of the passes of a step that changes no mask, without its update.

        The gradient is left in `grad`. Weights stay; counters, the method's memory, buffers and
        random state move on as in a step.

        Args:
            closure: as of `step`.
            watch: called before each gradient is taken, with the weights where it is taken.
        """
        assert self._away is None, "a step is under way"
        passes = self._passes(closure)
        passes.watch = watch
        with self.ranks.step(self.space):
            loss = self._gradient(passes)
        note_gradients(self.space.params)
        return loss

    def check(self, closure: Closure) -> StepCheck:
        """Rehearses one step and says what it was like, as a table: print it once before training.

        Looks at the gradient, the length of the perturbation and how many weights it moves, the
        change of the loss there, whether two equal passes have equal losses and loss queries rise
        above rounding, how often buffers (batch-norm statistics) are updated, and whether ranks
        agree; all ranks make the check. Weights, gradients, buffers, random state and memory stay.

        Args:
            closure: as of `step`.

        Returns:
            One finding for each, with what to mend.
        """
        from robustbench_zosam.optim.check import check_step  # it knows the methods

        return check_step(self, closure)

    def _passes(
        self,
        closure: Closure,
        *,
        accumulate: bool = False,
    ) -> Passes:
        space = self.space
        return Passes(
            closure,
            space.params,
            self.cost,
            self._buffers,
            space.device,
            ranks=self.ranks,
            accumulate=accumulate,
        )

    def _update(self) -> None:
        if self.scaler is not None:
            self.scaler.unscale_(self.base)
        replaced = self.masks.before_update(self.slots)
        self.masks.mask_gradients()
        if not replaced:
            if self.clip_norm is not None:
                self._count_event("clipped", clip_gradients(self.space.params, self.clip_norm))
            self._base_step()
        self.masks.after_update(self.slots)

    def _base_step(self) -> None:
        if self.scaler is None:
            self.base.step()
        else:
            self.scaler.step(self.base)

    def _count_event(self, name: str, event: Tensor) -> None:
        self.counters[name] = self.counters.get(name, 0) + event.long()

    def support(self) -> tuple[Tensor | None, int]:
        """Returns where a perturbation may be, bool (d,) or None for everywhere, and the count."""
        return self._cached_support("perturbation", self._perturbable)

    def active(self) -> tuple[Tensor | None, int]:
        """Returns which weights are trainable and unmasked, bool (d,) or None for all; how many."""
        return self._cached_support("active", lambda: self.masks.mask_of)

    def _cached_support(
        self, name: str, masks: Callable[[], Callable[[Tensor], Tensor | None]]
    ) -> tuple[Tensor | None, int]:
        space = self.space
        key = self.masks.version, [p.requires_grad for p in space.params]
        if name not in self._supports or self._supports[name][0] != key:
            support = space.support(masks())
            count = space.dimension if support is None else int(support.sum())
            self._supports[name] = key, support, count
        return self._supports[name][1:]

    def _perturbable(self) -> Callable[[Tensor], Tensor | None]:
        """Returns the function from a parameter to where it may be perturbed; None: everywhere."""
        return self.masks.mask_of

    def slots(self, param: Tensor) -> list[Tensor]:
        """Returns state with one entry per weight, of the base optimizer and the method; views."""
        space = self.space  # first: it makes the vectors follow added groups
        views = [space.view_of(vector, param) for vector in self.vectors.values()]
        return state_tensors(self.base, param) + views

    def _remember(self, name: str, vector: Tensor) -> None:
        """Keeps a vector (d,) of gradients for later steps, unless a scaled gradient overflowed."""
        if self.scaler is None or bool(vector.isfinite().all()):
            self.vectors[name] = vector

    def _inverse_scale(self) -> float:
        """Returns the factor that takes the scaler's scale out of a gradient."""
        return 1.0 if self.scaler is None else 1.0 / self.scaler.get_scale()
