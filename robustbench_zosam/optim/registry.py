"""Optimizers by name.

Facts: `label` is the printed name; `forwards` and `backwards` are passes per step, on average over
an epoch, as formulas in the method's options, `steps_per_epoch` and `batch_size`; `base` is set
where the base optimizer is not a choice, and `lr` where the recipe's learning rate would be of
another scale; `options` are the method's own, with defaults.
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
    "asam",
    "sam in a neighbourhood that scales with each weight",
    f"{_OPTIM}.asam:ASAM",
    source="Kwon et al. 2021, arXiv 2102.11600",
    label="ASAM",
    forwards="2",
    backwards="2",
    options={"rho": 0.5, "eta": 0.01},
)
OPTIMIZERS.add(
    "ssam-f",
    "sam that perturbs only the weights with the largest Fisher information",
    f"{_OPTIM}.ssam_f:SSAMF",
    source="Mi et al. 2022, arXiv 2210.05177",
    label="SSAM-F",
    forwards="2 + samples / (batch_size * update_epochs * steps_per_epoch)",
    backwards="2 + samples / (batch_size * update_epochs * steps_per_epoch)",
    options={
        "rho": 0.05,
        "sparsity": None,
        "pattern": "unstructured",
        "update_epochs": 5,
        "samples": 1024,
    },
)
OPTIMIZERS.add(
    "ssam-d",
    "sam that perturbs a share of the weights, dropped and regrown through training",
    f"{_OPTIM}.ssam_d:SSAMD",
    source="Mi et al. 2022, arXiv 2210.05177",
    label="SSAM-D",
    forwards="2",
    backwards="2",
    options={
        "rho": 0.05,
        "sparsity": None,
        "pattern": "unstructured",
        "update_epochs": 5,
        "drop_rate": 0.5,
        "drop_score": "gradient",
        "growth_score": "random",
    },
)
OPTIMIZERS.add(
    "xsam",
    "sam whose step turns to where the loss is highest around the weights",
    f"{_OPTIM}.xsam:XSAM",
    source="arXiv 2603.10048",
    label="XSAM",
    forwards="ascent_steps + 1 + (alpha is None) * (alpha_max / alpha_step + 1) / steps_per_epoch",
    backwards="ascent_steps + 1",
    options={
        "rho": 0.15,
        "rho_max": 0.3,
        "ascent_steps": 1,
        "alpha": None,
        "alpha_max": 2.0,
        "alpha_step": 0.1,
    },
)
OPTIMIZERS.add(
    "s2-sam",
    "sam along the perturbed gradient of the step before, at no extra pass",
    f"{_OPTIM}.s2sam:S2SAM",
    source="Ji et al. 2024, OpenReview MJgMMqMDu4",
    label="S²-SAM",
    forwards="1",
    backwards="1",
    options={"rho": 0.05},
)
OPTIMIZERS.add(
    "esam",
    "sam on some of the parameters and some of the examples",
    f"{_OPTIM}.esam:ESAM",
    source="Du et al. 2022, arXiv 2110.03141",
    label="ESAM",
    forwards="2 + gamma if gamma < 1 else 2",
    backwards="1 + gamma",
    options={"rho": 0.05, "beta": 0.6, "gamma": 0.5},
)
OPTIMIZERS.add(
    "looksam",
    "sam every few steps, its sideways part remembered in between",
    f"{_OPTIM}.looksam:LookSAM",
    source="Liu et al. 2022, arXiv 2203.02714",
    label="LookSAM",
    forwards="1 + 1 / interval",
    backwards="1 + 1 / interval",
    options={"rho": 0.05, "alpha": 0.7, "interval": 10},
)
OPTIMIZERS.add(
    "gsam",
    "sam that also shrinks the gap between the perturbed and the clean loss",
    f"{_OPTIM}.gsam:GSAM",
    source="Zhuang et al. 2022, arXiv 2203.08065",
    label="GSAM",
    forwards="2",
    backwards="2",
    options={"rho": 0.05, "rho_min": None, "alpha": 0.4, "adaptive": False},
)
OPTIMIZERS.add(
    "friendly-sam",
    "sam along what a mini-batch's gradient adds to the running mean",
    f"{_OPTIM}.friendly_sam:FriendlySAM",
    source="Li et al. 2024, arXiv 2403.12350",
    label="Friendly-SAM",
    forwards="2",
    backwards="2",
    options={"rho": 0.05, "sigma": 1.0, "decay": 0.9},
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
    forwards="1 + probe_fraction * (queries + 1 if sides == 'one' else 2 * queries)",
    backwards="1",
    options={
        "rho": 0.05,
        "queries": 1,
        "probe_radius": None,
        "delta": None,
        "directions": "gaussian",
        "support": "active",
        "sides": "two",
        "probe_fraction": 1.0,
    },
)
OPTIMIZERS.add(
    "zo-sam-guided",
    "as zo-sam, with the loss queries along the latest gradients (this project's own)",
    f"{_OPTIM}.zo_sam_guided:GuidedZOSAM",
    source="this project: docs/optimizers/zo-sam-guided.md",
    label="Guided ZO-SAM",
    forwards="1 + probe_fraction * (queries + 1 if sides == 'one' else 2 * queries)",
    backwards="1",
    options={
        "rho": 0.05,
        "queries": 1,
        "guides": None,
        "probe_radius": None,
        "directions": "gaussian",
        "sides": "two",
        "probe_fraction": 1.0,
    },
)
OPTIMIZERS.add(
    "zo-sgd",
    "steps along a gradient estimated from losses alone, without a backward pass",
    f"{_OPTIM}.zo_sgd:ZOSGD",
    source="Malladi et al. 2023, arXiv 2305.17333",
    label="ZO-SGD",
    forwards="queries + 1 if sides == 'one' else 2 * queries",
    backwards="0",
    lr=1e-3,
    options={
        "queries": 1,
        "delta": 1e-3,
        "directions": "gaussian",
        "shared": True,
        "sides": "two",
    },
)
