"""What every measurement guarantees: IEEE arithmetic, and a model left as it was found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from robustbench_zosam.errors import DivergedError, InputError
from robustbench_zosam.precision import ieee_float32

_FAILURES = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, MemoryError)
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrap(model: nn.Module) -> nn.Module:
    """Returns the module inside `torch.compile`, DataParallel and DistributedDataParallel.

    Neither wrapper supports a backward of a backward.
    """
    while True:
        if isinstance(model, _WRAPPERS):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def device_of(model: nn.Module) -> torch.device:
    """Returns the one device that all parameters are on.

    Raises:
        InputError: the model has no parameters, or they are on several devices.
    """
    devices = {parameter.device for parameter in model.parameters()}
    if len(devices) != 1:
        where = ", ".join(sorted(map(str, devices))) or "nowhere: it has none"
        raise InputError(
            f"the model's parameters must be on one device, but they are on {where}; "
            "move the model to one device first"
        )
    return devices.pop()


@contextmanager
def measuring(model: nn.Module, *, evaluation: bool = True) -> Iterator[None]:
    """Holds the conditions of a measurement and undoes everything afterwards.

    In force inside: evaluation mode, IEEE float32 (no TF32, no bfloat16), deterministic cuDNN, no
    autocast, the attention kernel that has second derivatives, gradients enabled, a private random
    state. Restored afterwards, also after an exception: training flags, tensors kept as plain
    attributes (`torch.nn.utils.prune` writes one in each forward pass), buffers, random state and
    backend settings.

    Args:
        evaluation: whether to switch the model to evaluation mode.
    """
    device = device_of(model)
    with ExitStack() as stack:
        stack.enter_context(ieee_float32(deterministic=True))
        stack.enter_context(unchanged(model))
        cuda = [device] if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices=cuda))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        # fused attention has neither second nor forward-mode derivatives
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if evaluation:
            model.eval()
        yield


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Restores training flags, tensors kept as plain attributes, and buffers afterwards."""
    modules = list(model.modules())
    training = [module.training for module in modules]
    attributes = [
        {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
        for module in modules
    ]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for module, flag, tensors in zip(modules, training, attributes, strict=True):
            module.training = flag
            vars(module).update(tensors)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


@contextmanager
def accepting(images: Tensor) -> Iterator[None]:
    """Turns a failure of the model on the images into an InputError of one sentence."""
    try:
        yield
    except _FAILURES as error:
        if isinstance(error, InputError | DivergedError) or _lacks_memory(error):
            raise
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"the model fails on images of shape {tuple(images.shape[1:])} "
            f"({type(error).__name__}: {first}); give images it was made for"
        ) from error


@contextmanager
def fitting(chunk: int) -> Iterator[None]:
    """Turns a failed allocation into an InputError of one sentence."""
    try:
        yield
    except _FAILURES as error:
        if not _lacks_memory(error):
            raise
        raise InputError(
            f"memory does not suffice for {chunk} images at once: set a smaller chunk, or fewer "
            "steps, samples or probes"
        ) from error


def _lacks_memory(error: Exception) -> bool:
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or bool(re.search("can't allocate memory|not enough memory", str(error)))
