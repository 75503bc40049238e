"""The model under measurement: what goes in, what comes out, and its active weights."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.model.guard import accepting, device_of, unchanged, unwrap
from robustbench_zosam.sparsity.layers import maskable_layers

Masks = Mapping[str, Tensor]
FindMasks = Literal["auto", "zeros", "none"]
_FEW = 0.01  # share of exact zeros from which a layer counts as pruned


class Adapted(nn.Module):
    """A model of others as a classifier of images in [0, 1].

    Args:
        model: from normalised images to logits, or to an output that has `logits`.
        channels: 3, or 1 for a model of grey images.
        normalisation: mean and standard deviation of each channel; None: the model takes [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        channels: int,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None,
    ) -> None:
        super().__init__()
        self.model, self.channels = model, channels
        mean, std = normalisation or ((0.0,), (1.0,))
        device = device_of(model)
        for name, values in (("mean", mean), ("std", std)):
            value = torch.tensor(values[:channels], device=device).view(1, -1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (n, classes) for images (n, 3, h, w) in [0, 1]."""
        images = images.mean(1, keepdim=True) if self.channels == 1 else images
        dtype = next(self.model.parameters()).dtype
        found = self.model(((images - self.mean) / self.std).to(dtype))
        found = getattr(found, "logits", found)
        logits: Tensor = found[0] if isinstance(found, tuple | list) else found
        return logits


@dataclass(frozen=True)
class Candidate:
    """A model ready to be measured.

    Attributes:
        predictor: the model as it is.
        exact: for derivatives: the same, or a float32 copy of a model of lower precision or of one
            that `torch.nn.utils.prune` has changed.
        masks: of `exact`, by parameter name; empty for a dense model.
        device: where both are.
        note: what a reader must be told; may be empty.
    """

    predictor: Adapted
    exact: Adapted
    masks: dict[str, Tensor]
    device: torch.device
    note: str


def make_subject(
    model: nn.Module,
    channels: int,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None,
    masks: Masks | FindMasks,
) -> Candidate:
    """Returns a model ready to be measured, which stays as it is.

    Args:
        masks: by the model's own parameter names, True where active; or "zeros", which takes exact
            zeros of weights as pruned, "none", or "auto": masks of `torch.nn.utils.prune`, else
            exact zeros where at least a hundredth of a layer's weights are zero.

    Raises:
        InputError: the model has no parameters, is on several devices, or a mask does not fit.
    """
    model = unwrap(model)
    device = device_of(model)
    kept = next(model.parameters()).dtype in {torch.float32, torch.float64}
    pruned = any(name.endswith("_orig") for name, _ in model.named_parameters())
    plain = model if kept and not pruned else _plain_copy(model)
    found = _masks(model, plain, masks)
    notes = [] if kept else ["flatness and landscape: of a float32 copy of the weights"]
    if found and isinstance(masks, str) and not pruned:
        notes.append("masks: the exact zeros of the weights")
    return Candidate(
        Adapted(model, channels, normalisation),
        Adapted(plain, channels, normalisation),
        {f"model.{name}": mask for name, mask in found.items()},
        device,
        "; ".join(notes),
    )


def _plain_copy(model: nn.Module) -> nn.Module:
    """Returns a float32 copy in which pruned weights are zero, and nothing else is special."""
    attributes = (v for m in model.modules() for v in vars(m).values() if isinstance(v, Tensor))
    memo = {id(value): value.detach().clone() for value in attributes}  # deepcopy refuses graphs
    try:
        copied = copy.deepcopy(model, memo)
    except (RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"the model cannot be copied to float32 ({reason}): give flatness=False and "
            "landscape=False"
        ) from error
    for module in copied.modules():
        for name in [n for n in module._parameters if n.endswith("_orig")]:
            if hasattr(module, f"{name.removesuffix('_orig')}_mask"):
                prune.remove(module, name.removesuffix("_orig"))  # type: ignore[no-untyped-call]
    return copied.float()


def _masks(model: nn.Module, plain: nn.Module, masks: Masks | FindMasks) -> dict[str, Tensor]:
    if masks == "none":
        return {}
    if not isinstance(masks, str):
        return _given(plain, masks)
    buffers = dict(model.named_buffers())
    pruned = {
        name.removesuffix("_orig"): buffers[f"{name.removesuffix('_orig')}_mask"].bool()
        for name, _ in model.named_parameters()
        if name.endswith("_orig") and f"{name.removesuffix('_orig')}_mask" in buffers
    }
    if pruned:
        return pruned
    least = 0.0 if masks == "zeros" else _FEW
    found = {}
    for layer in maskable_layers(plain):
        mask = layer.weight.detach() != 0
        zeros = 1 - float(mask.double().mean())
        if least <= zeros < 1 and zeros > 0:  # a layer of zeros was made so, not pruned
            found[layer.name] = mask
    return found


def _given(model: nn.Module, masks: Masks) -> dict[str, Tensor]:
    parameters = dict(model.named_parameters())
    found = {}
    for name, mask in masks.items():
        if name not in parameters:
            raise InputError(
                f"masks names {name!r}, which is no parameter of the model: names are like "
                f"{next(iter(parameters))!r}"
            )
        if mask.shape != parameters[name].shape or not ((mask == 0) | (mask == 1)).all():
            raise InputError(
                f"the mask of {name!r} must hold 0 and 1 in the shape "
                f"{tuple(parameters[name].shape)}"
            )
        found[name] = mask.bool().to(parameters[name].device)
    return found


def outputs(subject: Candidate, images: Tensor, labels: Tensor) -> int:
    """Returns how many classes a model tells apart, after trying it on two images.

    Raises:
        InputError: it fails on them, gives no logits, or the labels name more classes.
    """
    with untouched(subject), torch.inference_mode(), accepting(images):
        logits = subject.predictor.eval()(images[:2].to(subject.device))
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the model must return logits of shape (n, classes), got {shape}")
    count = int(logits.shape[1])
    if int(labels.max()) >= count:
        raise InputError(
            f"the label {int(labels.max())} is none of the {count} classes of the model: give "
            "labels from 0, in the order of its outputs"
        )
    return count


@contextmanager
def untouched(*subjects: Candidate) -> Iterator[None]:
    """Restores modes, buffers and hidden tensors of models, and all random states, afterwards."""
    with ExitStack() as stack:
        stack.enter_context(same_random_state([s.device for s in subjects]))
        for subject in subjects:
            stack.enter_context(unchanged(subject.predictor))
        yield


@contextmanager
def same_random_state(devices: list[torch.device]) -> Iterator[None]:
    """Restores the random states of torch, NumPy and Python afterwards."""
    cuda = sorted({device for device in devices if device.type == "cuda"}, key=str)
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
