"""The template of every optimizer here: a base optimizer, fed by a method's own gradient.

The base class validates, counts, masks and is final; a method writes how it gets its gradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.guards import BufferGuard, LeftGradients
from robustbench_zosam.optim.passes import PassCounts, Passes
from robustbench_zosam.optim.space import ParameterSpace
from robustbench_zosam.optim.updates import clip_gradients, match_layouts
from robustbench_zosam.sparsity.masks import MaskSet, state_tensors

Masks = MaskSet | Mapping[Tensor, Tensor] | None


class WrappedOptimizer(Optimizer, ABC):
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
        **base_options: of the base optimizer.

    Attributes:
        base: the base optimizer.
        cost: passes and steps since the start.
        last_loss: loss of the last gradient pass, where its gradient was taken.
        last_clean_loss: loss at the unperturbed weights, exact or estimated; None if unknown.
        vectors: the method's own memory between steps, flat tensors with one entry per weight.
        counters: the method's own counters, integer tensors of no dimension.
    """

    _saved: ClassVar[tuple[str, ...]] = ()
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
        **base_options: Any,
    ) -> None:
        if not (isinstance(base, type) and issubclass(base, Optimizer)):
            raise InputError(f"base is {base!r}: give a class of torch optimizers")
        if base is torch.optim.LBFGS or issubclass(base, WrappedOptimizer):
            raise InputError(f"base {base.__name__} calls the closure itself: choose another")
        self._wrapped = False
        super().__init__(params, {})
        try:
            self.base = base(self.param_groups, **base_options)
        except (TypeError, ValueError) as error:
            raise InputError(f"{base.__name__} refuses its options: {error}") from error
        self._wrapped = True
        self._share()
        self.cost = PassCounts()
        self.last_loss: Tensor | None = None
        self.last_clean_loss: Tensor | None = None
        self.vectors: dict[str, Tensor] = {}
        self.counters: dict[str, Tensor] = {}
        self.scaler = scaler
        self.clip_norm = clip_norm
        if clip_norm is not None:
            require_number("clip_norm", clip_norm, above=0)
        self.masks = mask if isinstance(mask, MaskSet) else MaskSet(mask or {})
        self._buffers = BufferGuard(model)
        self._left = LeftGradients()
        self._left.add([p for group in self.param_groups for p in group["params"]])
        self._space: ParameterSpace | None = None
        self._supports: dict[str, tuple[object, Tensor | None, int]] = {}

    def _share(self) -> None:
        self.param_groups = self.base.param_groups
        self.state = self.base.state
        self.defaults = self.base.defaults

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters (`params`, and options of the base), as in any torch optimizer."""
        if self._wrapped:
            self.base.add_param_group(param_group)
            self._left.add(self.param_groups[-1]["params"])
        else:
            super().add_param_group(param_group)

    @abstractmethod
    def _gradient(self, passes: Passes) -> Tensor:
        """Leaves the gradient to step along in `grad`, and the weights as they were.

        Returns:
            The loss where the gradient was taken; `last_clean_loss` is set if known.
        """

    @final
    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Tensor:  # type: ignore[override]  # torch's returns None without a closure
        """Makes one update.

        Args:
            closure: computes the mean loss and its gradients when called as `closure()`, the loss
                alone as `closure(backward=False)`; everything is recomputed at each call.

        Returns:
            The loss at the unperturbed weights where known and finite, else `last_loss`; without
            dimensions, and without waiting for the device.

        Raises:
            InputError: there is no closure.
        """
        if closure is None:
            raise InputError("step() needs a closure that computes the loss: step(closure)")
        if self.masks.before_step(self.slots):
            self.reset_state()
        accumulated = self._left.differ(self.space.params)
        if accumulated and not self._accumulates:
            raise InputError(
                "there are gradients from before step(closure), which "
                f"{type(self).__name__} cannot use: call zero_grad() if they are left over, and "
                "accumulate over parts of a batch with make_closure(..., micro_batches=k)"
            )
        passes = self._passes(closure, accumulate=accumulated)
        self.last_clean_loss = None
        if self.masks.gradient_source() == "clean":
            self.last_loss = self.last_clean_loss = passes.gradient()
        else:
            self.last_loss = self._gradient(passes)
        self._update()
        self._left.note(self.space.params)
        self.cost.steps += 1
        clean = self.last_clean_loss
        return self.last_loss if clean is None else clean.where(clean.isfinite(), self.last_loss)

    @final
    @torch.no_grad()
    def rehearse(self, closure: Closure, *, watch: Callable[[], None] | None = None) -> Tensor:
        """Returns the loss of the passes of a step that changes no mask, without its update.

        The gradient is left in `grad`. Weights stay; counters, the method's memory, buffers and
        random state move on as in a step.

        Args:
            watch: called before each gradient is taken, with the weights where it is taken.
        """
        passes = self._passes(closure)
        passes.watch = watch
        return self._gradient(passes)

    def reset_state(self) -> None:
        """Drops all memory of earlier steps, where a round of training begins; counters go on."""
        self.base.state.clear()
        self.vectors.clear()

    def _passes(self, closure: Closure, *, accumulate: bool = False) -> Passes:
        space = self.space
        return Passes(
            closure, space.params, self.cost, self._buffers, space.device, accumulate=accumulate
        )

    def _update(self) -> None:
        if self.scaler is not None:
            self.scaler.unscale_(self.base)
        replaced = self.masks.before_update(self.slots)
        self.masks.mask_gradients()
        if not replaced:
            if self.clip_norm is not None:
                self._count_event("clipped", clip_gradients(self.space.params, self.clip_norm))
            if self.scaler is None:
                self.base.step()
            else:
                self.scaler.step(self.base)
        self.masks.after_update(self.slots)

    def _count_event(self, name: str, event: Tensor) -> None:
        self.counters[name] = self.counters.get(name, 0) + event.long()

    @property
    def space(self) -> ParameterSpace:
        """All parameters as one vector; follows added groups and moves between devices."""
        params = [p for group in self.param_groups for p in group["params"]]
        if self._space is None or not self._space.fits(params):
            self._space = ParameterSpace(params)
            self._supports.clear()
            for name, vector in self.vectors.items():
                grown = self._space.zeros()
                grown[: vector.numel()] = vector
                self.vectors[name] = grown
            self._set_counters(self.diagnostics)
        return self._space

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

    @property
    def diagnostics(self) -> dict[str, int]:
        """The method's counters since the start; reading them waits for the device."""
        return {name: int(tally) for name, tally in self.counters.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that exact resuming needs but masks and weights: base's keys and `method`."""
        method = {
            "name": type(self).__name__,
            "cost": [self.cost.forwards, self.cost.backwards, self.cost.steps],
            "options": {name: getattr(self, name) for name in self._saved},
            "vectors": dict(self.vectors),
            "tallies": self.diagnostics,
        }
        return {**self.base.state_dict(), "method": method}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` saved; the state of another class is an `InputError`."""
        method = state_dict.get("method", {})
        if method.get("name") != type(self).__name__:
            raise InputError(
                f"the state is one of {method.get('name', 'a plain torch optimizer')}: "
                f"it cannot be loaded into {type(self).__name__}"
            )
        self.base.load_state_dict({name: state_dict[name] for name in ("state", "param_groups")})
        match_layouts(self.base)
        self._share()
        self.cost = PassCounts(*method["cost"])
        for name, value in method["options"].items():
            setattr(self, name, value)
        device = self.space.device
        self.vectors = {name: v.to(device, copy=True) for name, v in method["vectors"].items()}
        self._set_counters(method["tallies"])

    def _set_counters(self, counts: Mapping[str, int]) -> None:
        device = self.space.device
        self.counters = {name: torch.tensor(n, device=device) for name, n in counts.items()}
