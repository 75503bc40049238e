"""Records what goes into and comes out of each layer, to differentiate by layer outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.func import functional_call

from robustbench_zosam.flatness.exact.layers import Rule, Squares, Weights, rule_for
from robustbench_zosam.flatness.exact.per_sample import Theta, per_sample_squares
from robustbench_zosam.flatness.model.active import ActiveSet
from robustbench_zosam.flatness.model.network import Network

_BUDGET = 1 << 28  # bytes of output gradients held at once


class UnsupportedError(Exception):
    """The exact engine cannot treat this network; another method can."""


class LayerError(UnsupportedError):
    """A layer cannot be differentiated by what goes into it and comes out of it.

    Attributes:
        names: its parameters.
    """

    def __init__(self, names: set[str], reason: str) -> None:
        super().__init__(f"{min(names)!r} {reason}")
        self.names = names


@dataclass(frozen=True)
class RecordedLayer:
    """A module that owns active parameters, and how to differentiate it.

    Attributes:
        names: role to parameter name.
        weights: role to weightings of its entries: the mask, and the mask times theta^2.
    """

    module: nn.Module
    rule: Rule
    names: dict[str, str]
    weights: Weights


def layers_of(network: Network, active: ActiveSet) -> list[RecordedLayer]:
    """Returns the modules that own active parameters, but for the network itself.

    Those without a rule of their own are differentiated by autograd, image by image.
    """
    layers: list[RecordedLayer] = []
    for prefix, module in network.module.named_modules():
        rule = rule_for(module)
        known = rule is not None
        names = _roles(prefix, module, active, known=known)
        if not names or (prefix == "" and not known):
            continue
        weights = {role: entry_weights(network, active, name) for role, name in names.items()}
        layers.append(RecordedLayer(module, rule or _by_autograd(network, prefix), names, weights))
    return layers


def _roles(prefix: str, module: nn.Module, active: ActiveSet, *, known: bool) -> dict[str, str]:
    """Returns role to name of the active parameters that the module itself owns."""
    dot = f"{prefix}." if prefix else ""
    own = [role for role, _ in module.named_parameters(recurse=False) if dot + role in active.masks]
    if not known:
        return {role: dot + role for role in own}
    # torch.nn.utils.prune keeps the parameter under another name
    roles = {role: role.removesuffix("_orig") for role in own}
    return {plain: dot + role for role, plain in roles.items() if plain in {"weight", "bias"}}


def _by_autograd(network: Network, prefix: str) -> Rule:
    """Returns the rule of a module without one: per-sample gradients through it alone."""
    inside = {
        name.removeprefix(f"{prefix}."): value.detach()
        for name, value in (*network.parameters.items(), *network.buffers.items())
        if name.startswith(f"{prefix}.")
    }

    def squares(module: nn.Module, a: Tensor, g: Tensor, weights: Weights) -> Squares:
        def call(theta: Theta, x: Tensor) -> Tensor:
            output: Tensor = functional_call(module, {**inside, **theta}, (x,))
            return output

        return per_sample_squares(call, inside, a, g, weights)

    return squares


def entry_weights(network: Network, active: ActiveSet, name: str) -> Tensor:
    """Returns the weightings of a tensor's entries: the mask, and the mask times theta^2."""
    mask = active.masks[name].to(network.dtype)
    square = network.parameters[name].detach().square()
    return torch.stack([mask, mask * square], -1).reshape(-1, 2)


@dataclass
class Tape:
    """Hooks the layers for one forward pass; a layer that is not called contributes nothing.

    Attributes:
        inputs: layer index to its input, detached.
        outputs: layer index to its output, in the graph.
    """

    layers: list[RecordedLayer]
    inputs: dict[int, Tensor] = field(default_factory=dict)
    outputs: dict[int, Tensor] = field(default_factory=dict)
    _versions: dict[int, int] = field(default_factory=dict)
    _handles: list[torch.utils.hooks.RemovableHandle] = field(default_factory=list)

    def __enter__(self) -> Tape:
        for index, layer in enumerate(self.layers):
            self._handles.append(layer.module.register_forward_hook(self._recorder(index)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _recorder(self, index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def record(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if index in self.outputs:
                raise self._error(index, "is used twice in one forward pass (shared weights)")
            if len(args) != 1 or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
                raise self._error(index, "belongs to a module of several inputs or outputs")
            self.inputs[index] = args[0].detach()
            self._versions[index] = args[0]._version
            self.outputs[index] = output
            return output.clone()  # an in-place operation downstream must not reach `output`

        return record

    def _error(self, index: int, reason: str) -> LayerError:
        return LayerError(set(self.layers[index].names.values()), reason)

    def passes_at_once(self) -> int:
        """Returns how many passes to hand to `squares` together, given the memory they take."""
        bytes_each = sum(output.nbytes for output in self.outputs.values())
        return max(1, _BUDGET // max(1, bytes_each))

    def squares(self, logits: Tensor, cotangents: list[Tensor]) -> dict[str, Tensor]:
        """Returns per-image weighted sums of squared gradients of sum(logits * cotangent).

        Args:
            logits: (b, C), in the graph of the recorded outputs.
            cotangents: p tensors of shape (b, C).

        Returns:
            Parameter name to (p, b, 2) float64.
        """
        self._check(len(logits))
        order = sorted(self.outputs)
        if not order:
            return {}
        outputs = [self.outputs[index] for index in order]
        passes = [
            # a scalar: given a cotangent, torch imports a computer algebra system, for seconds
            torch.autograd.grad(
                (logits * u).sum(), outputs, retain_graph=True, materialize_grads=True
            )
            for u in cotangents
        ]
        named: dict[str, Tensor] = {}
        with torch.no_grad():
            for index, gradients in zip(order, zip(*passes, strict=True), strict=True):
                named.update(self._layer_squares(index, torch.stack(gradients)))
        return named

    def _layer_squares(self, index: int, gradient: Tensor) -> Squares:
        layer = self.layers[index]
        squares = layer.rule(layer.module, self.inputs[index], gradient, layer.weights)
        return {layer.names[role]: value.double() for role, value in squares.items()}

    def _check(self, images: int) -> None:
        for index, a in self.inputs.items():
            if a._version != self._versions[index]:
                raise self._error(index, "has an input that is overwritten in place")
            if len(a) != images:
                raise self._error(index, f"has an input of {len(a)} rows for {images} images")
