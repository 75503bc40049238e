"""Records what goes into and comes out of each layer, to differentiate by layer outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import torch
from torch import Tensor, nn

from robustbench_zosam.flatness.exact.layers import Rule, Squares, Weights, rule_for
from robustbench_zosam.flatness.model.active import ActiveSet
from robustbench_zosam.flatness.model.network import Network

_BUDGET = 1 << 28  # bytes of output gradients held at once


class UnsupportedError(Exception):
    """The exact engine cannot treat this network; another method can."""


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
    """Returns the layers that own the active parameters.

    Raises:
        UnsupportedError: a selected parameter belongs to no supported layer.
    """
    layers: list[RecordedLayer] = []
    missing = set(active.masks)
    for prefix, module in network.module.named_modules():
        names = _roles(prefix, module, active)
        rule = rule_for(module)
        if names and rule is not None:
            weights = {role: _weights(network, active, name) for role, name in names.items()}
            layers.append(RecordedLayer(module, rule, names, weights))
            missing -= set(names.values())
    if missing:
        owners = {type(network.module.get_submodule(n.rpartition(".")[0])) for n in missing}
        kinds = ", ".join(sorted(owner.__name__ for owner in owners))
        raise UnsupportedError(f"no rule for {sorted(missing)[0]!r} (owners: {kinds})")
    return layers


def _roles(prefix: str, module: nn.Module, active: ActiveSet) -> dict[str, str]:
    dot = f"{prefix}." if prefix else ""
    return {
        role: dot + role + suffix
        for role in ("weight", "bias")
        for suffix in ("", "_orig")  # torch.nn.utils.prune keeps the parameter under this name
        if dot + role + suffix in active.masks
    }


def _weights(network: Network, active: ActiveSet, name: str) -> Tensor:
    mask = active.masks[name].to(network.dtype)
    square = network.parameters[name].detach().square()
    return torch.stack([mask, mask * square], -1).flatten(0, -2)


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
                raise UnsupportedError(
                    f"{self._name(index)!r} is used twice in one forward pass (shared weights)"
                )
            if len(args) != 1:
                raise UnsupportedError(f"the owner of {self._name(index)!r} is called by keyword")
            self.inputs[index] = args[0].detach()
            self._versions[index] = args[0]._version
            self.outputs[index] = output
            return output.clone()  # an in-place operation downstream must not reach `output`

        return record

    def _name(self, index: int) -> str:
        return next(iter(self.layers[index].names.values()))

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
                raise UnsupportedError(
                    f"the input of {self._name(index)!r} is overwritten in place"
                )
            if len(a) != images:
                raise UnsupportedError(
                    f"the input of {self._name(index)!r} has {len(a)} rows for {images} images"
                )
