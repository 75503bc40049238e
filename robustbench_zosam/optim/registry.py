"""Optimizers by name.

Facts: `label` is the printed name; `forwards` and `backwards` are passes per step as formulas in
the method's options; `base` is set where the base optimizer is not a choice, and `lr` where the
recipe's learning rate would be of another scale; `options` are the method's own, with defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_zosam.registry import Registry

if TYPE_CHECKING:
    from robustbench_zosam.optim.base import WrappedOptimizer

OPTIMIZERS: Registry[type[WrappedOptimizer]] = Registry(
    "optimizer", group="zosam_robust.optimizers"
)

_OPTIM = "robustbench_zosam.optim"

OPTIMIZERS.add(
    "sgd",
    "stochastic gradient descent with momentum (control)",
    f"{_OPTIM}.plain:Plain",
    source="torch.optim.SGD",
    label="SGD",
    forwards="1",
    backwards="1",
    base="sgd",
    options={},
)
OPTIMIZERS.add(
    "adamw",
    "Adam with decoupled weight decay (control)",
    f"{_OPTIM}.plain:Plain",
    source="torch.optim.AdamW",
    label="AdamW",
    forwards="1",
    backwards="1",
    base="adamw",
    lr=3e-3,
    options={},
)
OPTIMIZERS.add(
    "sam",
    "gradient at the weights moved uphill along the gradient",
    f"{_OPTIM}.sam:SAM",
    source="Foret et al. 2021, arXiv 2010.01412",
    label="SAM",
    forwards="2",
    backwards="2",
    options={"rho": 0.05},
)
OPTIMIZERS.add(
    "random-perturbation",
    "gradient at the weights moved at random by the same radius (control)",
    f"{_OPTIM}.random_perturbation:RandomPerturbation",
    source="control for zo-sam",
    label="Random perturbation",
    forwards="1",
    backwards="1",
    options={"rho": 0.05, "directions": "gaussian"},
)
OPTIMIZERS.add(
    "zo-sam",
    "gradient at the weights moved uphill along a direction estimated from losses alone",
    f"{_OPTIM}.zo_sam:ZOSAM",
    source="Ji et al. 2026, arXiv 2603.13115",
    label="ZO-SAM",
    forwards="2 * queries + 1",
    backwards="1",
    options={
        "rho": 0.05,
        "queries": 1,
        "probe_radius": None,
        "delta": None,
        "directions": "gaussian",
        "support": "active",
    },
)
