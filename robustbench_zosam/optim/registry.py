"""Optimizers by name."""

from __future__ import annotations

from dataclasses import replace

from robustbench_zosam.optim.info import OptimizerInfo
from robustbench_zosam.optim.shared import (
    ADAPTIVE,
    DIRECTIONS,
    GROUP,
    PERTURBATION,
    PLAIN,
    PROBE_PRECISION,
    QUERIES,
    RHO,
    SCOPE,
    SHARPNESS,
    SHARPNESS_AWARE,
    SIDES,
    SIGMA,
    SPARSE_PERTURBATION,
    ZERO_ORDER,
    esam_passes,
    looksam_passes,
    ssam_f_passes,
    xsam_passes,
    zo_sam_passes,
    zo_sgd_passes,
)
from robustbench_zosam.options import Choice, Flag, Integer, Number
from robustbench_zosam.registry import Registry

OPTIMIZERS = Registry("optimizer", OptimizerInfo, group="zosam_robust.optimizers")

_OPTIM = "robustbench_zosam.optim"


OPTIMIZERS.add(
    OptimizerInfo(
        "sgd",
        "stochastic gradient descent with momentum (baseline)",
        f"{_OPTIM}.plain:Plain",
        "torch.optim.SGD",
        label="SGD",
        role="baseline",
        passes=PLAIN,
        base="sgd",
    ),
    OptimizerInfo(
        "adamw",
        "Adam with decoupled weight decay",
        f"{_OPTIM}.plain:Plain",
        "torch.optim.AdamW",
        label="AdamW",
        passes=PLAIN,
        base="adamw",
        lr=3e-3,
    ),
    OptimizerInfo(
        "sam",
        "gradient at the weights moved uphill along the gradient",
        f"{_OPTIM}.sam:SAM",
        "Foret et al. 2021, arXiv 2010.01412",
        label="SAM",
        passes=SHARPNESS_AWARE,
        options={**PERTURBATION, "m": GROUP},
    ),
    OptimizerInfo(
        "asam",
        "sam in a neighbourhood that scales with each weight",
        f"{_OPTIM}.asam:ASAM",
        "Kwon et al. 2021, arXiv 2102.11600",
        label="ASAM",
        compared_with=("sam",),
        passes=SHARPNESS_AWARE,
        options={
            "rho": Number(0.5, "radius, as the length of the perturbation / (|w| + eta)", least=0),
            "scope": SCOPE,
            "eta": Number(0.01, "added to |w|, so that small weights are perturbed too", least=0),
        },
    ),
    OptimizerInfo(
        "ssam-f",
        "sam that perturbs only the weights with the largest Fisher information",
        f"{_OPTIM}.ssam_f:SSAMF",
        "Mi et al. 2022, arXiv 2210.05177",
        label="SSAM-F",
        compared_with=("sam",),
        passes=ssam_f_passes,
        options={
            **SPARSE_PERTURBATION,
            "samples": Integer(1024, "examples in the Fisher information", least=1),
        },
    ),
    OptimizerInfo(
        "ssam-d",
        "sam that perturbs a fraction of the weights, dropped and regrown through training",
        f"{_OPTIM}.ssam_d:SSAMD",
        "Mi et al. 2022, arXiv 2210.05177",
        label="SSAM-D",
        compared_with=("sam",),
        passes=SHARPNESS_AWARE,
        options={
            **SPARSE_PERTURBATION,
            "drop_rate": Number(0.5, "fraction dropped at the beginning", least=0, most=1),
            "drop_score": Choice(
                "gradient", "lowest scores are dropped", ("gradient", "weight", "random")
            ),
            "growth_score": Choice(
                "random", "highest scores are grown", ("gradient", "weight", "random")
            ),
        },
    ),
    OptimizerInfo(
        "xsam",
        "sam whose step turns to where the loss is highest around the weights",
        f"{_OPTIM}.xsam:XSAM",
        "arXiv 2603.10048",
        label="XSAM",
        compared_with=("sam",),
        passes=xsam_passes,
        options={
            "rho": Number(0.15, "length of the ascent", least=0),
            "scope": SCOPE,
            "rho_max": Number(0.3, "radius at which directions are compared", above=0),
            "ascent_steps": Integer(1, "steps of the ascent", least=1),
            "alpha": Number(None, "position on the arc; searched once per epoch if left out"),
            "alpha_max": Number(2.0, "largest alpha of the search", above=0),
            "alpha_step": Number(0.1, "distance between two of its values", above=0),
        },
    ),
    OptimizerInfo(
        "s2-sam",
        "sam along the perturbed gradient of the step before, at no extra pass",
        f"{_OPTIM}.s2sam:S2SAM",
        "Ji et al. 2024, OpenReview MJgMMqMDu4",
        label="S²-SAM",
        compared_with=("sam",),
        passes=PLAIN,
        options=PERTURBATION,
    ),
    OptimizerInfo(
        "momentum-sam",
        "sam against the momentum of the base optimizer, at no extra pass",
        f"{_OPTIM}.momentum_sam:MomentumSAM",
        "Becker et al. 2024, arXiv 2401.12033",
        label="Momentum-SAM",
        compared_with=("sam",),
        passes=PLAIN,
        options={**PERTURBATION, "rho": replace(RHO, default=0.3)},
    ),
    OptimizerInfo(
        "esam",
        "sam on some of the parameters and some of the examples",
        f"{_OPTIM}.esam:ESAM",
        "Du et al. 2022, arXiv 2110.03141",
        label="ESAM",
        compared_with=("sam",),
        passes=esam_passes,
        options={
            **PERTURBATION,
            "beta": Number(0.6, "probability of a tensor to be perturbed", above=0, most=1),
            "gamma": Number(0.5, "fraction of the mini-batch in the second pass", above=0, most=1),
        },
    ),
    OptimizerInfo(
        "looksam",
        "sam every few steps, its sideways part remembered in between",
        f"{_OPTIM}.looksam:LookSAM",
        "Liu et al. 2022, arXiv 2203.02714",
        label="LookSAM",
        compared_with=("sam",),
        passes=looksam_passes,
        options={
            **PERTURBATION,
            "alpha": Number(0.7, "weight of the remembered part", least=0),
            "interval": Integer(10, "steps from one SAM step to the next", least=1),
        },
    ),
    OptimizerInfo(
        "gsam",
        "sam that also shrinks the gap between the perturbed and the clean loss",
        f"{_OPTIM}.gsam:GSAM",
        "Zhuang et al. 2022, arXiv 2203.08065",
        label="GSAM",
        compared_with=("sam",),
        passes=SHARPNESS_AWARE,
        options={
            **PERTURBATION,
            "rho_min": Number(
                None, "radius at learning rate zero; constant radius if left out", least=0
            ),
            "alpha": Number(0.4, "weight of the orthogonal part", least=0),
            "adaptive": ADAPTIVE,
        },
    ),
    OptimizerInfo(
        "wsam",
        "sam with a weight for the sharpness, kept out of the base optimizer",
        f"{_OPTIM}.wsam:WSAM",
        "Yue et al. 2023, arXiv 2305.15817",
        label="WSAM",
        compared_with=("sam",),
        passes=SHARPNESS_AWARE,
        options={
            **PERTURBATION,
            "gamma": SHARPNESS,
            "decouple": Flag(True, "keep the sharpness out of the base optimizer's momentum"),
            "adaptive": ADAPTIVE,
        },
    ),
    OptimizerInfo(
        "friendly-sam",
        "sam along what a mini-batch's gradient adds to the running mean",
        f"{_OPTIM}.friendly_sam:FriendlySAM",
        "Li et al. 2024, arXiv 2403.12350",
        label="Friendly-SAM",
        compared_with=("sam",),
        passes=SHARPNESS_AWARE,
        options={
            **PERTURBATION,
            "sigma": Number(1.0, "fraction of the mean that is taken away", least=0),
            "decay": Number(0.9, "decay of the mean", least=0, below=1),
        },
    ),
    OptimizerInfo(
        "random-perturbation",
        "gradient at the weights moved at random by the same radius (control)",
        f"{_OPTIM}.random_perturbation:RandomPerturbation",
        "control for zo-sam",
        label="Random perturbation",
        role="control",
        passes=PLAIN,
        options={**PERTURBATION, "sigma": SIGMA, "directions": DIRECTIONS},
    ),
    OptimizerInfo(
        "zo-sam",
        "gradient at the weights moved uphill along a direction estimated from losses alone",
        f"{_OPTIM}.zo_sam:ZOSAM",
        "Ji et al. 2026, arXiv 2603.13115",
        label="ZO-SAM",
        compared_with=("random-perturbation", "s2-sam", "sam", "gsam"),
        passes=zo_sam_passes,
        options={
            **ZERO_ORDER,
            "delta": Number(
                None, "finite-difference step per coordinate, instead of a radius", above=0
            ),
            "support": Choice("active", "coordinates of the directions", ("active", "dense")),
        },
    ),
    OptimizerInfo(
        "zo-sam-guided",
        "as zo-sam, with the loss queries along the latest gradients (this project's own)",
        f"{_OPTIM}.zo_sam_guided:GuidedZOSAM",
        "this project: docs/optimizers/zo-sam-guided.md",
        label="Guided ZO-SAM",
        compared_with=("random-perturbation", "s2-sam", "sam"),
        passes=zo_sam_passes,
        options={
            **ZERO_ORDER,
            "guides": Integer(
                None, "gradients remembered; as many as queries if left out", least=0
            ),
        },
    ),
    OptimizerInfo(
        "zo-sgd",
        "steps along a gradient estimated from losses alone, without a backward pass",
        f"{_OPTIM}.zo_sgd:ZOSGD",
        "Malladi et al. 2023, arXiv 2305.17333",
        label="ZO-SGD",
        passes=zo_sgd_passes,
        lr=1e-3,
        options={
            "queries": QUERIES,
            "delta": Number(1e-3, "finite-difference step per coordinate", above=0),
            "directions": DIRECTIONS,
            "shared": Flag(True, "step along the direction that was probed"),
            "sides": SIDES,
            "probe_precision": PROBE_PRECISION,
        },
    ),
)
