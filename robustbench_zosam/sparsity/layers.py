"""Which tensors of a model are masked."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from robustbench_zosam.errors import InputError

_WEIGHTS: dict[type[nn.Module], str] = {
    nn.Conv2d: "weight",
    nn.ConvTranspose2d: "weight",
    nn.Linear: "weight",
    nn.MultiheadAttention: "in_proj_weight",  # its output projection is a Linear
}


@dataclass(frozen=True)
class MaskableLayer:
    """A weight that sparse training may mask; `name` is the parameter's name in the model."""

    name: str
    weight: nn.Parameter

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.weight.numel()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return tuple(self.weight.shape)


def maskable_layers(
    model: nn.Module, dense_layers: Sequence[str] = ()
) -> tuple[MaskableLayer, ...]:
    """Finds the weights of convolutions and linear maps.

    Biases, normalisation, embeddings and depthwise kernels stay dense; a weight shared by several
    modules appears once, and not at all if one of them is not maskable.

    Args:
        model: any module.
        dense_layers: shell patterns of parameter names, or of names of modules with all they
            contain, to leave dense (`"conv1"`, `"*.shortcut.*"`).

    Returns:
        The layers in the order of `model.named_parameters()`.

    Raises:
        InputError: there is nothing to mask, a pattern matches nothing, or two distinct
            parameters share storage.
    """
    shared = {id(p) for module in model.modules() for p in _exempt(module)}
    candidates = {id(p) for module in model.modules() for p in _weights(module)} - shared
    layers = [MaskableLayer(n, p) for n, p in model.named_parameters() if id(p) in candidates]
    _refuse_aliases(layers)
    for pattern in dense_layers:
        if not any(_matches(layer.name, pattern) for layer in layers):
            known = ", ".join(layer.name for layer in layers)
            raise InputError(f"dense_layers pattern {pattern!r} matches none of: {known}")
    kept = tuple(x for x in layers if not any(_matches(x.name, p) for p in dense_layers))
    if not kept:
        raise InputError("the model has no convolution or linear weight left to mask")
    return kept


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")


def _is_depthwise(module: nn.Module) -> bool:
    return (
        isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
        and module.groups == module.in_channels > 1
    )


def _weights(module: nn.Module) -> Iterator[Tensor]:
    if not _is_depthwise(module):
        for kind, attribute in _WEIGHTS.items():
            if isinstance(module, kind) and (weight := getattr(module, attribute)) is not None:
                yield weight


def _exempt(module: nn.Module) -> Iterator[Tensor]:
    own = {id(weight) for weight in _weights(module)}
    return (p for p in module.parameters(recurse=False) if id(p) not in own)


def _refuse_aliases(layers: Sequence[MaskableLayer]) -> None:
    seen: dict[int, str] = {}
    for layer in layers:
        address = layer.weight.data_ptr()
        if address and seen.setdefault(address, layer.name) != layer.name:
            raise InputError(
                f"{seen[address]} and {layer.name} share storage but are two parameters: "
                "tie them by assigning the same nn.Parameter to both modules"
            )
