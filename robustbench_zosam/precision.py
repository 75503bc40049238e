"""Arithmetic of losses and curvature that are compared with each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch


def ieee_float32(*, deterministic: bool = False) -> AbstractContextManager[None]:
    """Computes float32 as IEEE 754 has it inside: no TF32 and no bfloat16 behind its back.

    Args:
        deterministic: cuDNN's deterministic algorithms as well, chosen without trials.

    Returns:
        The context.
    """
    return float32_precision("ieee", deterministic=deterministic)


@contextmanager
def float32_precision(
    kind: Literal["ieee", "tf32"], *, deterministic: bool = False
) -> Iterator[None]:
    """Computes float32 inside as IEEE 754 has it, or on GPUs in TF32 where that is faster."""
    cudnn = torch.backends.cudnn
    settings: list[tuple[Any, str, Any]] = [
        (torch.backends.cuda.matmul, "fp32_precision", kind),
        (cudnn.conv, "fp32_precision", kind),  # type: ignore[attr-defined] # missing in the stubs
        (torch.backends.mkldnn.matmul, "fp32_precision", "ieee"),  # type: ignore[attr-defined] # idem
        (torch.backends.mkldnn.conv, "fp32_precision", "ieee"),  # type: ignore[attr-defined] # idem
    ]
    if deterministic:
        settings += [(cudnn, "deterministic", True), (cudnn, "benchmark", False)]
    before = [getattr(holder, name) for holder, name, _ in settings]
    try:
        for holder, name, value in settings:
            setattr(holder, name, value)
        yield
    finally:
        for (holder, name, _), value in zip(settings, before, strict=True):
            setattr(holder, name, value)
