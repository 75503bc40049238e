"""What a measurement is about: a network, its images, its active coordinates, its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.active import ActiveSet, Masks, Params, resolve
from robustbench_zosam.flatness.guard import accepting, fitting, measuring, unwrap
from robustbench_zosam.flatness.network import (
    Data,
    Network,
    Predictions,
    predict,
    uses_batch_statistics,
)
from robustbench_zosam.flatness.twice import second_derivatives


@dataclass(frozen=True)
class Facts:
    """What stands beside every measure of flatness, since none means anything without it.

    Attributes:
        loss: mean cross-entropy, nats.
        accuracy: fraction in [0, 1].
        n: number of images.
        D: number of entries of theta.
        D_A: number of active coordinates.
        dead_filters: output filters without any active weight.
        params: the selection of tensors.
        include_pruned: whether pruned coordinates count as active.
        dtype: type of the computation.
        chunk: images per pass.
        batch_statistics: whether a batch norm has no running statistics, so that all values belong
            to this chunk size.
    """

    loss: float
    accuracy: float
    n: int
    D: int
    D_A: int
    dead_filters: int
    params: str
    include_pruned: bool
    dtype: str
    chunk: int
    batch_statistics: bool


@dataclass(frozen=True)
class Subject:
    """A model under measurement.

    Attributes:
        network: the model at tensors of our own.
        data: the images.
        active: the coordinates.
        predictions: log-probabilities of the images.
        facts: what stands beside every result.
    """

    network: Network
    data: Data
    active: ActiveSet
    predictions: Predictions
    facts: Facts


@contextmanager
def measured(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None,
    params: Params,
    include_pruned: bool,
    chunk: int,
    dtype: torch.dtype | None,
) -> Iterator[Subject]:
    """Opens a model for measurement, and leaves it bit-identical.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, ...) floating point.
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active.
        include_pruned: also count pruned coordinates as active.
        dtype: type to compute in; that of the model when None.

    Yields:
        The subject.

    Raises:
        InputError: an argument is wrong, the model fails, or what is asked for is not possible.
        DivergedError: the logits are not finite.
    """
    if chunk < 1:
        raise InputError(f"chunk must be at least 1, got {chunk}")
    if dtype is not None and dtype not in (torch.float32, torch.float64):
        raise InputError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
    data, model = Data(images, labels), unwrap(model)
    active = resolve(model, masks, params, include_pruned=include_pruned)
    with measuring(model), second_derivatives(), fitting(chunk):
        network = Network.of(model, dtype)
        with accepting(data.images):
            predictions = predict(network, data, chunk)
        if not network(data.images[:2]).requires_grad:
            raise InputError(
                "the model's logits carry no gradient to its parameters; "
                "remove no_grad or detach from its forward method"
            )
        facts: dict[str, Any] = {
            "loss": predictions.loss,
            "accuracy": predictions.accuracy,
            "n": len(data),
            "D": active.total,
            "D_A": active.size,
            "dead_filters": active.dead_filters,
            "params": params,
            "include_pruned": include_pruned,
            "dtype": str(network.dtype).removeprefix("torch."),
            "chunk": chunk,
            "batch_statistics": uses_batch_statistics(network.module),
        }
        yield Subject(network, data, active, predictions, Facts(**facts))


def draw_by_name(subject: Subject, draw: Callable[[tuple[int, ...], str], Tensor]) -> Tensor:
    """Draws a flat vector tensor by tensor, so that the order of parameters does not matter.

    Args:
        draw: shape and parameter name to noise of that shape.

    Returns:
        Shape (D_A,), of the noise's type, on the network's device.
    """
    tensors = {
        name: draw(tuple(mask.shape), name).to(mask.device)
        for name, mask in subject.active.masks.items()
    }
    return subject.active.gather(tensors)
