"""A network as a function of one flat vector of weights, evaluated at many vectors at once."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from robustbench_zosam.errors import InputError


class FlatModel:
    """A network with one output as f(x; θ), θ a flat vector.

    Args:
        module: maps (n, ...) to (n,) or (n, 1); a copy of it is used, in evaluation mode and
            double precision.

    Raises:
        InputError: there is nothing to vary.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = copy.deepcopy(module).eval().double()
        self._parameters = {name: value.detach() for name, value in self._module.named_parameters()}
        if not self._parameters:
            raise InputError("the model has no parameters: a kernel needs at least one")
        self._sizes = [value.numel() for value in self._parameters.values()]

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return sum(self._sizes)

    @property
    def shapes(self) -> list[torch.Size]:
        """Shape of each parameter, in the order of the flat vector."""
        return [value.shape for value in self._parameters.values()]

    def start(self) -> Tensor:
        """Returns the weights of the module, float64, shape (d,)."""
        return torch.cat([value.flatten() for value in self._parameters.values()])

    def outputs(self, points: Tensor, inputs: Tensor) -> Tensor:
        """Returns the outputs at many weight vectors, shape (k, n).

        Args:
            points: shape (k, d).
            inputs: float64, shape (n, ...).
        """
        with torch.no_grad():
            found: Tensor = vmap(self._evaluate, in_dims=(0, None))(points, inputs)
        return found

    def jacobian(self, point: Tensor, inputs: Tensor) -> Tensor:
        """Returns the derivative of every output by every weight, shape (n, d).

        Args:
            point: shape (d,).
            inputs: float64, shape (n, ...).
        """
        copies = point.detach().repeat(len(inputs), 1).requires_grad_()  # one for each output
        # torch.func.jacrev would do, but its first call imports a compiler for seconds.
        outputs = vmap(self._evaluate)(copies, inputs[:, None])
        return torch.autograd.grad(outputs.sum(), copies)[0]

    def loss_gradients(self, points: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the exact gradient of the squared loss at many weight vectors, shape (k, d).

        Args:
            points: shape (k, d).
            inputs: float64, shape (n, ...).
            targets: shape (n,).
        """

        def total(weights: Tensor) -> Tensor:
            outputs = vmap(self._evaluate, in_dims=(0, None))(weights, inputs)
            return squared_loss(outputs, targets).sum()

        leaf = points.detach().requires_grad_()
        return torch.autograd.grad(total(leaf), leaf)[0]

    def _evaluate(self, point: Tensor, inputs: Tensor) -> Tensor:
        parts = torch.split(point, self._sizes)
        weights = {
            name: part.view(value.shape)
            for part, (name, value) in zip(parts, self._parameters.items(), strict=True)
        }
        outputs: Tensor = functional_call(self._module, weights, (inputs,))
        if outputs.shape not in {(len(inputs),), (len(inputs), 1)}:
            raise InputError(
                f"the model returns shape {tuple(outputs.shape)} for {len(inputs)} inputs: the "
                "kernel here is that of one output, give a model that returns (n,) or (n, 1)"
            )
        return outputs.reshape(len(inputs))


def squared_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns ‖f - y‖²/(2n) of outputs of shape (..., n), shape (...)."""
    return (outputs - targets).square().mean(-1) / 2


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
