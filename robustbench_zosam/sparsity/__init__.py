"""Sparse training: one mask engine, and sparsifiers as policies on it."""

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports

if TYPE_CHECKING:
    from robustbench_zosam.sparsity.allocation import er, erk, exact_counts, uniform
    from robustbench_zosam.sparsity.factory import create_masker
    from robustbench_zosam.sparsity.info import SparsifierInfo
    from robustbench_zosam.sparsity.layers import (
        DenseParameter,
        MaskableLayer,
        left_out,
        maskable_layers,
    )
    from robustbench_zosam.sparsity.masker import Masker
    from robustbench_zosam.sparsity.masks import MaskSet
    from robustbench_zosam.sparsity.policy import Examples, MaskedLayer, Moment, Policy, Start
    from robustbench_zosam.sparsity.registry import SPARSIFIERS
    from robustbench_zosam.sparsity.report import LayerDensity, SparsityReport, TopologyEvent
    from robustbench_zosam.sparsity.stored import (
        from_checkpoint,
        load_sparse,
        masker_from,
        save_sparse,
    )

__all__ = [  # noqa: RUF022 - grouped by purpose
    # making a model sparse
    "SPARSIFIERS",
    "SparsifierInfo",
    "create_masker",
    "Masker",
    "MaskSet",
    # files, and going on from them
    "save_sparse",
    "load_sparse",
    "masker_from",
    "from_checkpoint",
    # writing a sparsifier
    "Policy",
    "Start",
    "Moment",
    "Examples",
    "MaskableLayer",
    "MaskedLayer",
    "maskable_layers",
    "left_out",
    "DenseParameter",
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

__getattr__ = lazy_exports(__name__)
