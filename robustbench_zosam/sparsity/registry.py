"""Sparsifiers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_zosam.registry import Registry

if TYPE_CHECKING:
    from robustbench_zosam.sparsity.policy import Policy

SPARSIFIERS: Registry[type[Policy]] = Registry("sparsifier", group="zosam_robust.sparsifiers")

_POLICIES = "robustbench_zosam.sparsity.policies"

SPARSIFIERS.add(
    "dense",
    "keep every weight (control)",
    f"{_POLICIES}.dense:Dense",
    label="dense",
    dynamic=False,
    options={},
)
SPARSIFIERS.add(
    "random",
    "static random masks of exact counts, ERK densities",
    f"{_POLICIES}.random:Random",
    source="Liu et al. 2022, arXiv 2202.02643",
    label="random",
    dynamic=False,
    options={"allocation": "erk"},
)
SPARSIFIERS.add(
    "rigl",
    "dynamic: drop small weights, grow where the gradient is large",
    f"{_POLICIES}.rigl:RigL",
    source="Evci et al. 2020, arXiv 1911.11134",
    label="RigL",
    dynamic=True,
    options={
        "allocation": "erk",
        "drop_fraction": 0.3,
        "interval": None,
        "stop_fraction": 0.75,
        "tie_noise": 1e-5,
        "grow_grad": "update",
    },
)
