"""Which tensors of a model are masked, and which are left out."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from robustbench_zosam.errors import InputError

# transposed ones included; torch has no public name for all of them
_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


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


@dataclass(frozen=True)
class DenseParameter:
    """A parameter of two or more dimensions that is not masked.

    Attributes:
        name: the parameter's name in the model.
        size: number of its entries.
        reason: why it stays dense.
    """

    name: str
    size: int
    reason: str


def maskable_layers(
    model: nn.Module, dense_layers: Sequence[str] = ()
) -> tuple[MaskableLayer, ...]:
    """Finds the weights of convolutions, linear maps, attention and recurrent layers.

    Biases, normalisation, embeddings and depthwise kernels stay dense; a weight shared by several
    modules appears once, and not at all if one of them is not maskable. `left_out` says what else
    stays dense.

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
    layers = _candidates(model)
    _refuse_aliases(layers)
    for pattern in dense_layers:
        if not any(_matches(layer.name, pattern) for layer in layers):
            known = ", ".join(layer.name for layer in layers)
            raise InputError(f"dense_layers pattern {pattern!r} matches none of: {known}")
    kept = tuple(x for x in layers if not any(_matches(x.name, p) for p in dense_layers))
    if not kept:
        raise InputError("the model has no convolution or linear weight left to mask")
    return kept


def left_out(model: nn.Module, dense_layers: Sequence[str] = ()) -> tuple[DenseParameter, ...]:
    """Returns the parameters of two or more dimensions that `maskable_layers` leaves out, and why.

    Example:
        >>> [(x.name, x.reason) for x in left_out(nn.Embedding(5, 4))]
        [('weight', 'embedding')]
    """
    patterned = {x.name: any(_matches(x.name, p) for p in dense_layers) for x in _candidates(model)}
    owners: dict[int, list[nn.Module]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(module)
    found = []
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or patterned.get(name) is False:
            continue
        reason = (
            "dense_layers" if patterned.get(name) else _reason(parameter, owners[id(parameter)])
        )
        found.append(DenseParameter(name, parameter.numel(), reason))
    return tuple(found)


def _reason(parameter: Tensor, modules: Sequence[nn.Module]) -> str:
    if any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in modules):
        return "embedding"
    if any(_is_depthwise(module) for module in modules):
        return "depthwise"
    if any(isinstance(module, nn.utils.parametrize.ParametrizationList) for module in modules):
        return "parametrised"
    names = [n for module in modules for n, p in module.named_parameters() if p is parameter]
    if any(name.endswith(("_orig", "_g", "_v")) for name in names):
        return "parametrised"  # torch.nn.utils.prune, and the older weight_norm
    return f"a parameter of {type(modules[0]).__name__}"


def _candidates(model: nn.Module) -> list[MaskableLayer]:
    shared = {id(p) for module in model.modules() for p in _exempt(module)}
    candidates = {id(p) for module in model.modules() for p in _weights(module)} - shared
    return [MaskableLayer(n, p) for n, p in model.named_parameters() if id(p) in candidates]


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, _CONVOLUTIONS) and module.groups == module.in_channels > 1


def _weights(module: nn.Module) -> Iterator[Tensor]:
    own = dict(module.named_parameters(recurse=False))
    for name in _masked_names(module, own):
        if name in own:
            yield own[name]


def _masked_names(module: nn.Module, own: dict[str, nn.Parameter]) -> Sequence[str]:
    """Returns the names of a module's own parameters that are masked where they exist."""
    if isinstance(module, nn.Linear | nn.Bilinear) or (
        isinstance(module, _CONVOLUTIONS) and not _is_depthwise(module)
    ):
        return ("weight",)
    if isinstance(module, nn.MultiheadAttention):  # its output projection is a Linear
        return _ATTENTION
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return [name for name in own if name.startswith("weight_")]
    return ()


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
