"""The network and the images under measurement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from robustbench_zosam.errors import DivergedError, InputError
from robustbench_zosam.flatness.model.guard import device_of


@dataclass(frozen=True)
class Network:
    """A module evaluated at separate tensors, so that its own parameters are never touched.

    Attributes:
        module: gives the architecture and its mode; its own values are not read.
        parameters: name to leaf tensor; those that require a gradient are theta.
        buffers: name to tensor, copies.
        device: where all tensors are.
        dtype: floating-point type of the computation.
    """

    module: nn.Module
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, module: nn.Module, dtype: torch.dtype | None = None) -> Network:
        """Returns a network at the current values of an unwrapped module.

        Storage of parameters is shared with the module where the type is the same.

        Args:
            dtype: type to compute in; that of the first parameter when None, but at least float32,
                since curvature in half precision is rounding.
        """
        device = device_of(module)
        own = next(module.parameters()).dtype
        dtype = dtype or (own if own.itemsize >= torch.float32.itemsize else torch.float32)
        parameters = {
            name: _cast(parameter.detach(), dtype).requires_grad_(parameter.requires_grad)
            for name, parameter in module.named_parameters()
        }
        buffers = {name: _cast(buffer.clone(), dtype) for name, buffer in module.named_buffers()}
        return cls(module, parameters, buffers, device, dtype)

    def __call__(self, images: Tensor, replaced: Mapping[str, Tensor] | None = None) -> Tensor:
        """Returns the logits, shape (n, C).

        Args:
            images: (n, ...) on any device, of any floating-point type.
            replaced: parameter name to the value that stands in for it.

        Raises:
            InputError: the model's output is not a matrix of logits.
        """
        tensors = {**self.parameters, **self.buffers, **(replaced or {})}
        inputs = images.to(self.device, self.dtype)
        if inputs.is_inference():
            inputs = inputs.clone()  # autograd cannot save inference tensors
        logits = functional_call(self.module, tensors, (inputs,))
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(f"the model must return logits of shape (n, classes), got {shape}")
        return logits

    def leaves(self) -> dict[str, Tensor]:
        """Returns theta: the parameters that require a gradient, by name."""
        return {name: value for name, value in self.parameters.items() if value.requires_grad}

    def select(self, names: Iterable[str]) -> list[Tensor]:
        """Returns the parameters of these names."""
        return [self.parameters[name] for name in names]


def uses_batch_statistics(module: nn.Module) -> bool:
    """Returns whether a batch norm has no running statistics, so that images interact."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return any(norm.training or norm.running_mean is None for norm in norms)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


@dataclass(frozen=True)
class Data:
    """A fixed set of labelled images.

    Attributes:
        images: (n, ...) floating point.
        labels: (n,) int64.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if not self.images.is_floating_point():
            raise InputError(
                f"images must be floating point in [0, 1], got {self.images.dtype}; "
                "divide uint8 images by 255"
            )
        if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
            raise InputError(
                f"labels must be an int64 vector, got {self.labels.dtype} of shape "
                f"{tuple(self.labels.shape)}"
            )
        if len(self.images) != len(self.labels) or len(self.labels) == 0:
            raise InputError(
                "as many images as labels are needed, and at least one, "
                f"got {len(self.images)} images and {len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def chunks(self, size: int) -> Iterator[Data]:
        """Yields consecutive parts of `size` images; the last one may be smaller."""
        if size < 1:
            raise InputError(f"chunk must be at least 1, got {size}")
        for start in range(0, len(self), size):
            yield Data(self.images[start : start + size], self.labels[start : start + size])


@dataclass(frozen=True)
class Predictions:
    """The predictions of all images at theta.

    Attributes:
        log_p: log-probabilities, (n, C) float64 on the network's device.
        labels: (n,) int64 on the network's device.
    """

    log_p: Tensor
    labels: Tensor

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return F.nll_loss(self.log_p, self.labels).item()

    @property
    def accuracy(self) -> float:
        """Fraction of images whose label has the largest logit."""
        return (self.log_p.argmax(1) == self.labels).double().mean().item()


@torch.no_grad()
def predict(network: Network, data: Data, chunk: int) -> Predictions:
    """Returns the log-probabilities of all images, evaluated in chunks.

    Raises:
        InputError: a label is not a class of the model.
        DivergedError: a logit is not finite.
    """
    logits = torch.cat([network(part.images).double() for part in data.chunks(chunk)])
    low, high = int(data.labels.min()), int(data.labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise InputError(
            f"labels must be in 0..{logits.shape[1] - 1}, the model's classes, got {low}..{high}"
        )
    if not logits.isfinite().all():
        raise DivergedError(
            "the model's logits are not finite on these images, so its curvature is undefined"
        )
    return Predictions(logits.log_softmax(1), data.labels.to(network.device))
