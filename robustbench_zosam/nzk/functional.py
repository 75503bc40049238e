"""A network as a function of one flat vector of weights, evaluated at many vectors at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.memory import BLOCK, require_memory


class FlatModel:
    """A network as f(x; θ), θ a flat vector of the weights that may move.

    Args:
        module: maps (n, ...) to (n,), (n, 1) or (n, C); a copy of it is used, in evaluation mode
            and double precision.
        masks: parameter name to bool mask; pruned weights stay zero and are no part of θ.
        classes: columns of the output that count, in this order; all where none are given.

    Raises:
        InputError: there is nothing to vary, or masks or classes do not fit.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        masks: Mapping[str, Tensor] | None = None,
        classes: Sequence[int] | None = None,
    ) -> None:
        self._module = copy.deepcopy(module).cpu().eval().double()
        self._parameters = {name: value.detach() for name, value in self._module.named_parameters()}
        if not self._parameters:
            raise InputError("the model has no parameters: a kernel needs at least one")
        self._sizes = [value.numel() for value in self._parameters.values()]
        self._active = _active(self._parameters, masks or {})
        if self._active is not None and not len(self._active):
            raise InputError("the masks prune every weight: a kernel needs at least one")
        self._classes = None if classes is None else list(classes)

    @property
    def dimension(self) -> int:
        """Number of weights that may move, d."""
        return self.size if self._active is None else len(self._active)

    @property
    def size(self) -> int:
        """Number of weights, pruned ones included."""
        return sum(self._sizes)

    @property
    def shapes(self) -> list[torch.Size]:
        """Shape of each parameter, in the order of the flat vector."""
        return [value.shape for value in self._parameters.values()]

    def start(self) -> Tensor:
        """Returns the weights of the module, float64, shape (d,)."""
        full = torch.cat([value.flatten() for value in self._parameters.values()])
        return full if self._active is None else full[self._active]

    def width(self, inputs: Tensor) -> int:
        """Returns the number of outputs of an example, C."""
        return self.outputs(self.start()[None], inputs[:1]).numel()

    def outputs(self, points: Tensor, inputs: Tensor) -> Tensor:
        """Returns the outputs at many weight vectors, shape (k, n), or (k, n, C) where C > 1.

        Args:
            points: shape (k, d).
            inputs: float64, shape (n, ...).
        """
        together = max(BLOCK // max(self.size, inputs.numel()), 1)
        evaluate = vmap(self._evaluate, in_dims=(0, None))
        with torch.no_grad():
            parts = [evaluate(part, inputs) for part in torch.split(points, together)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def jacobian(self, point: Tensor, inputs: Tensor) -> Tensor:
        """Returns the derivative of every output by every weight, shape (nC, d).

        The C outputs of an example lie next to each other.

        Args:
            point: shape (d,).
            inputs: float64, shape (n, ...).

        Raises:
            InputError: it does not fit in memory.
        """
        rows = len(inputs) * self.width(inputs)
        require_memory(
            f"the Jacobian of {rows} outputs by {self.dimension} weights",
            2 * rows * self.dimension,
            "take fewer examples, fewer outputs or a smaller or sparser model",
        )
        parts = torch.split(inputs, max(BLOCK // self.size, 1))
        return torch.cat([self._jacobian(point, part) for part in parts])

    def loss_gradients(self, points: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the exact gradient of the squared loss at many weight vectors, shape (k, d).

        Args:
            points: shape (k, d).
            inputs: float64, shape (n, ...).
            targets: shape (n,), or (n, C) where C > 1.
        """

        def gradients(part: Tensor) -> Tensor:
            leaf = part.detach().requires_grad_()
            outputs = vmap(self._evaluate, in_dims=(0, None))(leaf, inputs)
            return torch.autograd.grad(squared_loss(outputs, targets).sum(), leaf)[0]

        together = max(BLOCK // max(self.size, inputs.numel()), 1)
        return torch.cat([gradients(part) for part in torch.split(points, together)])

    def _jacobian(self, point: Tensor, inputs: Tensor) -> Tensor:
        copies = point.detach().repeat(len(inputs), 1).requires_grad_()  # one for each example
        # torch.func.jacrev would do, but its first call imports a compiler for seconds.
        outputs = vmap(self._evaluate)(copies, inputs[:, None]).view(len(inputs), -1)
        rows = [
            torch.autograd.grad(column.sum(), copies, retain_graph=True)[0]
            for column in outputs.unbind(dim=1)
        ]
        return torch.stack(rows, dim=1).flatten(0, 1)

    def _evaluate(self, point: Tensor, inputs: Tensor) -> Tensor:
        if self._active is not None:
            point = point.new_zeros(self.size).scatter(0, self._active, point)
        parts = torch.split(point.double(), self._sizes)
        weights = {
            name: part.view(value.shape)
            for part, (name, value) in zip(parts, self._parameters.items(), strict=True)
        }
        outputs: Tensor = functional_call(self._module, weights, (inputs.double(),))
        n = len(inputs)
        if outputs.shape == (n,):
            outputs = outputs[:, None]
        if outputs.ndim != 2 or len(outputs) != n or not outputs.shape[1]:
            raise InputError(
                f"the model returns shape {tuple(outputs.shape)} for {n} inputs: give a model that "
                "returns (n,) or (n, C)"
            )
        if self._classes is not None:
            outputs = outputs[:, _require_classes(self._classes, outputs.shape[1])]
        return outputs.reshape(n) if outputs.shape[1] == 1 else outputs


def squared_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns ‖f - y‖²/(2n), summed over the outputs of an example, shape (...).

    Args:
        outputs: shape (..., n), or (..., n, C) where the targets have C columns.
        targets: shape (n,) or (n, C).
    """
    squares = (outputs - targets).square()
    return (squares if targets.ndim == 1 else squares.sum(-1)).mean(-1) / 2


def require_inputs(inputs: Tensor) -> Tensor:
    """Returns finite inputs, shape (n, ...), in double precision.

    Raises:
        InputError: no inputs, or numbers that are not finite.
    """
    if inputs.ndim < 2 or not len(inputs):
        raise InputError(f"inputs have shape {tuple(inputs.shape)}: give (n, ...) with n >= 1")
    if not bool(inputs.isfinite().all()):
        raise InputError("inputs hold NaN or infinite values: clean them first")
    return inputs.double()


def _active(parameters: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor | None:
    """Returns the places of the unpruned weights in the flat vector; None where nothing is."""
    if not masks:
        return None
    for name, mask in masks.items():
        if name not in parameters or mask.shape != parameters[name].shape:
            raise InputError(
                f"the mask {name} has shape {tuple(mask.shape)}: the model has no such parameter "
                "of this shape"
            )
    kept = [
        masks[name].cpu().bool() if name in masks else torch.ones_like(value, dtype=torch.bool)
        for name, value in parameters.items()
    ]
    return torch.cat([mask.flatten() for mask in kept]).nonzero()[:, 0]


def _require_classes(classes: list[int], outputs: int) -> list[int]:
    wrong = [c for c in classes if not 0 <= c < outputs]
    if wrong or not classes or len(set(classes)) != len(classes):
        raise InputError(
            f"classes is {classes}: give different numbers from 0 to {outputs - 1}, the outputs of "
            "the model"
        )
    return classes
