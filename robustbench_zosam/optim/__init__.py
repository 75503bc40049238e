"""Sharpness-aware and zero-order optimizers around any base optimizer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustbench_zosam.optim.base import WrappedOptimizer
    from robustbench_zosam.optim.cost import Cost
    from robustbench_zosam.optim.factory import create_optimizer
    from robustbench_zosam.optim.guards import BufferGuard, RngReplay
    from robustbench_zosam.optim.passes import Closure, Passes
    from robustbench_zosam.optim.plain import Plain
    from robustbench_zosam.optim.random_perturbation import RandomPerturbation
    from robustbench_zosam.optim.registry import OPTIMIZERS
    from robustbench_zosam.optim.sam import SAM
    from robustbench_zosam.optim.sharp import SharpnessAware
    from robustbench_zosam.optim.zo_sam import ZOSAM

__all__ = [  # noqa: RUF022 - grouped by purpose
    # optimizers
    "OPTIMIZERS",
    "create_optimizer",
    "Plain",
    "RandomPerturbation",
    "SAM",
    "ZOSAM",
    # writing an optimizer
    "WrappedOptimizer",
    "SharpnessAware",
    "Passes",
    "Closure",
    "Cost",
    # guards
    "BufferGuard",
    "RngReplay",
]

_HOMES = {
    "base": ("WrappedOptimizer",),
    "cost": ("Cost",),
    "factory": ("create_optimizer",),
    "guards": ("BufferGuard", "RngReplay"),
    "passes": ("Closure", "Passes"),
    "plain": ("Plain",),
    "random_perturbation": ("RandomPerturbation",),
    "registry": ("OPTIMIZERS",),
    "sam": ("SAM",),
    "sharp": ("SharpnessAware",),
    "zo_sam": ("ZOSAM",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():  # lazily: the registry must not import torch
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
