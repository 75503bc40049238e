"""What an optimizer remembers: laid out along its parameters, saved, loaded and copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.guards import note_gradients
from robustbench_zosam.optim.passes import PassCounts
from robustbench_zosam.optim.space import ParameterSpace
from robustbench_zosam.optim.updates import match_layouts
from robustbench_zosam.sparsity.masks import MaskSet

_PREFIX = "method_"  # of the method's vectors among the state of a parameter


class StatefulOptimizer(Optimizer):
    """A base optimizer, whose groups and state are this one's own, and the memory of a method.

    Attributes:
        base: the base optimizer.
        cost: passes and steps since the start.
        vectors: the method's memory between steps, flat tensors with one entry per weight.
        counters: the method's counters, integer tensors of no dimension.
    """

    _saved: ClassVar[tuple[str, ...]] = ()
    masks: MaskSet

    def __init__(self, params: ParamsT, base: type[Optimizer], **base_options: Any) -> None:
        self._wrapped = False
        super().__init__(params, {})
        try:
            self.base = base(self.param_groups, **base_options)
        except (TypeError, ValueError) as error:
            raise InputError(f"{base.__name__} refuses its options: {error}") from error
        self._wrapped = True
        self._share()
        self.cost = PassCounts()
        self.vectors: dict[str, Tensor] = {}
        self.counters: dict[str, Tensor] = {}
        self._reset_caches()

    def _reset_caches(self) -> None:
        self._space: ParameterSpace | None = None
        self._supports: dict[str, tuple[object, Tensor | None, int]] = {}

    def _share(self) -> None:
        self.param_groups = self.base.param_groups
        self.state = self.base.state
        self.defaults = self.base.defaults

    def _set_default(self, name: str, value: float) -> None:
        """Makes an option of parameter groups, those to come included."""
        self.defaults[name] = value
        for group in self.param_groups:
            group.setdefault(name, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters (`params`, and options of the base), as in any torch optimizer."""
        if self._wrapped:
            self.base.add_param_group(param_group)
            note_gradients(self.param_groups[-1]["params"])
        else:
            super().add_param_group(param_group)

    def reset_state(self) -> None:
        """Drops all memory of earlier steps, where a round of training begins; counters go on."""
        self.base.state.clear()
        self.vectors.clear()

    @property
    def space(self) -> ParameterSpace:
        """All parameters as one vector; follows new groups, devices, types and parameters."""
        params = [p for group in self.param_groups for p in group["params"]]
        if self._space is None or not self._space.fits(params):
            old, self._space = self._space, ParameterSpace(params)
            self._supports.clear()
            if old is not None:
                self._follow(old, self._space)
            self._set_counters(self.diagnostics)
        return self._space

    def _follow(self, old: ParameterSpace, new: ParameterSpace) -> None:
        gone = [p for p in old.params if not new.has(p)]
        if any(self.masks.mask_of(p) is not None for p in gone):
            raise InputError(
                "a parameter that has a mask was taken out of its group: keep the parameter and "
                "copy the new values into it, or build masks and optimizer again"
            )
        note_gradients(p for p in new.params if not old.has(p))
        for param in gone:
            self.state.pop(param, None)
        for param, before in zip(old.params, old.types(), strict=True):
            _follow_type(self.state.get(param, {}), param, before)
        self.vectors = {name: new.adopt(vector, old) for name, vector in self.vectors.items()}

    @property
    def diagnostics(self) -> dict[str, int]:
        """The method's counters since the start; reading them waits for the device."""
        return {name: int(tally) for name, tally in self.counters.items()}

    def _set_counters(self, counts: Mapping[str, int]) -> None:
        device = self.space.device
        self.counters = {name: torch.tensor(n, device=device) for name, n in counts.items()}

    def _memory(self) -> tuple[str, ...]:
        """Names of the vectors that there may be, so that saved states have one structure."""
        return ()

    def method_state(self) -> dict[str, Any]:
        """Returns all that exact resuming needs but vectors, masks, weights and base."""
        return {
            "name": type(self).__name__,
            "cost": [self.cost.forwards, self.cost.backwards, self.cost.steps],
            "options": {name: getattr(self, name) for name in self._saved},
            "vectors": list(self.vectors),
            "tallies": self.diagnostics,
        }

    def set_method_state(self, method: Mapping[str, Any]) -> None:
        """Restores what `method_state` returned."""
        self.cost = PassCounts(*method["cost"])
        for name, value in method["options"].items():
            setattr(self, name, value)
        self._set_counters(method["tallies"])

    def state_dict(self) -> dict[str, Any]:
        """All that exact resuming needs but masks and weights.

        The layout is torch's own, so that tools that know it find everything: the method's
        vectors are among the state of each parameter, the rest is `method` in the first group.

        Returns:
            `state` and `param_groups`.
        """
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        space, saved = self.space, self.base.state_dict()
        saved["state"] = {index: dict(state) for index, state in saved["state"].items()}
        for name in dict.fromkeys([*self.vectors, *self._memory()]):
            vector = self.vectors.get(name)
            views = space.views(space.zeros() if vector is None else vector)
            for index, view in enumerate(views):
                saved["state"].setdefault(index, {})[_PREFIX + name] = view
        saved["param_groups"][0]["method"] = self.method_state()
        for after in self._optimizer_state_dict_post_hooks.values():
            saved = after(self, saved) or saved
        return saved

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` saved; the state of another class is an `InputError`."""
        state_dict = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict) or state_dict
        groups = [dict(group) for group in state_dict["param_groups"]]
        found = [group.pop("method", None) for group in groups]
        method: Mapping[str, Any] = next(filter(None, found), {})
        if not method and self._memory():
            raise InputError(
                f"the state has nothing of what {type(self).__name__} remembers: it is one of a "
                "plain torch optimizer, or was saved with flatten_optimizer_state_dict, which "
                "leaves it out"
            )
        if method.get("name") != type(self).__name__:
            raise InputError(
                f"the state is one of {method.get('name', 'a plain torch optimizer')}: "
                f"it cannot be loaded into {type(self).__name__}"
            )
        keys = [key for group in groups for key in group["params"]]
        of_base, of_method = _parted(state_dict["state"])
        self.base.load_state_dict({"state": of_base, "param_groups": groups})
        match_layouts(self.base)
        self._share()
        space, self.vectors = self.space, {}
        for name in method["vectors"]:
            vector = space.zeros()
            for view, key in zip(space.views(vector), keys, strict=True):
                if name in of_method.get(key, {}):
                    view.copy_(of_method[key][name])
            self.vectors[name] = vector
        self.set_method_state(method)
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        """All but caches and hooks, for `copy.deepcopy` and `pickle`; refused within a step."""
        if getattr(self, "_away", None) is not None:
            raise InputError("the weights are perturbed: copy the optimizer between steps")
        dropped = {"_space", "_supports", "_away"}
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in dropped and not name.endswith("_hooks")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()
        self._reset_caches()
        note_gradients(self.space.params)


def _parted(state: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[Any, dict[str, Tensor]]]:
    """Returns the state of the base optimizer and of the method, by parameter."""
    base, method = {}, {}
    for key, values in state.items():
        own = [name for name in values if str(name).startswith(_PREFIX)]
        method[key] = {name.removeprefix(_PREFIX): values[name] for name in own}
        rest = {name: value for name, value in values.items() if name not in own}
        if rest or not own:
            base[key] = rest
    return base, method


def _follow_type(state: dict[str, Any], param: Tensor, before: torch.dtype) -> None:
    """Casts state that had the parameter's type before its type changed."""
    for name, value in state.items():
        if param.dtype != before and isinstance(value, Tensor) and value.shape == param.shape:
            state[name] = value.to(param.dtype) if value.dtype == before else value
