"""Sparse training: one mask engine, and sparsifiers as policies on it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustbench_zosam.sparsity.allocation import er, erk, exact_counts, uniform
    from robustbench_zosam.sparsity.factory import create_masker
    from robustbench_zosam.sparsity.layers import MaskableLayer, maskable_layers
    from robustbench_zosam.sparsity.masker import Masker
    from robustbench_zosam.sparsity.masks import MaskSet
    from robustbench_zosam.sparsity.policy import Examples, MaskedLayer, Moment, Policy, Start
    from robustbench_zosam.sparsity.registry import SPARSIFIERS
    from robustbench_zosam.sparsity.report import LayerDensity, SparsityReport, TopologyEvent

__all__ = [  # noqa: RUF022 - grouped by purpose
    # making a model sparse
    "SPARSIFIERS",
    "create_masker",
    "Masker",
    "MaskSet",
    # writing a sparsifier
    "Policy",
    "Start",
    "Moment",
    "Examples",
    "MaskableLayer",
    "MaskedLayer",
    "maskable_layers",
    # densities
    "er",
    "erk",
    "exact_counts",
    "uniform",
    # what is reported
    "LayerDensity",
    "SparsityReport",
    "TopologyEvent",
]

_HOMES = {
    "allocation": ("er", "erk", "exact_counts", "uniform"),
    "factory": ("create_masker",),
    "layers": ("MaskableLayer", "maskable_layers"),
    "masker": ("Masker",),
    "masks": ("MaskSet",),
    "policy": ("Examples", "MaskedLayer", "Moment", "Policy", "Start"),
    "registry": ("SPARSIFIERS",),
    "report": ("LayerDensity", "SparsityReport", "TopologyEvent"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():  # lazily: the registry must not import torch
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
