"""Which parameters a perturbation moves: all, the weights, the normalisation layers, or by name."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError

Groups = Sequence[Mapping[str, Any]]
MaskOf = Callable[[Tensor], Tensor | None]
_WRAPPERS = re.compile(r"(^|(?<=\.))(_orig_mod|_fsdp_wrapped_module)\.|^module\.")


@dataclass(frozen=True)
class Scope:
    """A choice of parameters.

    Attributes:
        text: `"all"`; `"weights"`, those of at least two dimensions; `"norm"`, those of the
            normalisation layers; or a pattern of names in which `*`, `?` and `[...]` stand for
            characters, as in `"layer4"` or `"*.bias"`: a module's name means all inside it.
        model: that the parameters belong to; `"norm"` needs it, a pattern can do with named
            parameters.

    Raises:
        InputError: the text is none.
    """

    text: str
    model: nn.Module | None = None

    def __post_init__(self) -> None:
        """Refuses what is no text."""
        if not isinstance(self.text, str) or not self.text.strip():
            raise InputError(
                f"scope is {self.text!r}: choose all, weights, norm, or a pattern of parameter "
                "names such as 'layer4.*'"
            )

    def members(self, groups: Groups) -> set[int]:
        """Returns the identities of the chosen ones among an optimizer's parameters.

        Args:
            groups: of the optimizer.

        Raises:
            InputError: none is chosen, or they cannot be told without the model.
        """
        params = [p for group in groups for p in group["params"]]
        chosen = self._choose(params, groups)
        if not chosen:
            raise InputError(f"scope {self.text!r} {self._nothing(groups)}")
        return chosen

    def within(self, mask_of: MaskOf, groups: Groups) -> MaskOf:
        """Returns masks that are those given in the scope, and nowhere outside."""
        if self.text == "all":
            return mask_of
        chosen = self.members(groups)

        def mask(param: Tensor) -> Tensor | None:
            if id(param) in chosen:
                return mask_of(param)
            nowhere = torch.zeros((), dtype=torch.bool, device=param.device)
            return nowhere.expand(param.shape)

        return mask

    def _choose(self, params: Sequence[Tensor], groups: Groups) -> set[int]:
        if self.text == "all":
            return {id(p) for p in params}
        if self.text == "weights":
            return {id(p) for p in params if p.ndim > 1}
        if self.text == "norm":
            if self.model is None:
                raise InputError(
                    "scope 'norm' needs the model to tell its normalisation layers: give model="
                )
            return {id(p) for p in norm_parameters(self.model)} & {id(p) for p in params}
        names = self._names(groups)
        return {id(p) for p in params if any(_matches(n, self.text) for n in names[id(p)])}

    def _names(self, groups: Groups) -> dict[int, list[str]]:
        names = defaultdict(list)
        for group in groups:
            for name, param in zip(group.get("param_names", ()), group["params"], strict=False):
                names[id(param)].append(_WRAPPERS.sub("", name))
        if self.model is not None:
            for name, param in self.model.named_parameters(remove_duplicate=False):
                names[id(param)].append(_WRAPPERS.sub("", name))
        if not names:
            raise InputError(
                f"scope {self.text!r} is a pattern of names, and the parameters have none: give "
                "model=, or model.named_parameters() in place of model.parameters()"
            )
        return names

    def _nothing(self, groups: Groups) -> str:
        if self.text == "weights":
            return "matches nothing: no parameter has two dimensions or more"
        if self.text == "norm":
            return "matches nothing: no normalisation layer's parameters are given here"
        own = {id(p) for group in groups for p in group["params"]}
        known = [n for p, names in self._names(groups).items() if p in own for n in names]
        shown = ", ".join(known[:4] + (["..."] if len(known) > 4 else []))
        return f"matches no parameter's name; they are {shown or 'not those of the model'}"


def norm_parameters(model: nn.Module) -> Iterator[Tensor]:
    """Yields scales and shifts of normalisation layers.

    These are modules of a class with "Norm" in its name, or in that of a parent class (torch's own
    and others', such as `LlamaRMSNorm`), that hold no parameters in modules further inside.
    """
    for module in model.modules():
        named = any("norm" in kind.__name__.lower() for kind in type(module).__mro__)
        inside = any(next(child.parameters(), None) is not None for child in module.children())
        if named and not inside:
            yield from module.parameters(recurse=False)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")
