"""Sharpness-aware and zero-order optimizers around any base optimizer."""

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports

if TYPE_CHECKING:
    from robustbench_zosam.optim.asam import ASAM
    from robustbench_zosam.optim.asking import Closure
    from robustbench_zosam.optim.base import WrappedOptimizer
    from robustbench_zosam.optim.check import Finding, StepCheck
    from robustbench_zosam.optim.closures import make_closure
    from robustbench_zosam.optim.esam import ESAM
    from robustbench_zosam.optim.factory import create_optimizer
    from robustbench_zosam.optim.friendly_sam import FriendlySAM
    from robustbench_zosam.optim.gsam import GSAM
    from robustbench_zosam.optim.guards import BufferGuard, RngReplay
    from robustbench_zosam.optim.info import OptimizerInfo, PassesPerStep
    from robustbench_zosam.optim.looksam import LookSAM
    from robustbench_zosam.optim.momentum_sam import MomentumSAM
    from robustbench_zosam.optim.one_gradient import OneGradient, OnePerturbed
    from robustbench_zosam.optim.passes import PassCounts, Passes
    from robustbench_zosam.optim.periods import Periodic
    from robustbench_zosam.optim.plain import Plain
    from robustbench_zosam.optim.random_perturbation import RandomPerturbation
    from robustbench_zosam.optim.registry import OPTIMIZERS
    from robustbench_zosam.optim.s2sam import S2SAM
    from robustbench_zosam.optim.sam import SAM
    from robustbench_zosam.optim.sharp import SharpnessAware
    from robustbench_zosam.optim.ssam_d import SSAMD
    from robustbench_zosam.optim.ssam_f import SSAMF
    from robustbench_zosam.optim.two_calls import TwoCalls
    from robustbench_zosam.optim.wsam import WSAM
    from robustbench_zosam.optim.xsam import XSAM
    from robustbench_zosam.optim.zo_probes import ZeroOrder
    from robustbench_zosam.optim.zo_sam import ZOSAM
    from robustbench_zosam.optim.zo_sam_guided import GuidedZOSAM
    from robustbench_zosam.optim.zo_sgd import ZOSGD

__all__ = [  # noqa: RUF022 - grouped by purpose
    # optimizers
    "OPTIMIZERS",
    "OptimizerInfo",
    "PassesPerStep",
    "create_optimizer",
    "Plain",
    "RandomPerturbation",
    "SAM",
    "ASAM",
    "SSAMF",
    "SSAMD",
    "XSAM",
    "S2SAM",
    "MomentumSAM",
    "ESAM",
    "LookSAM",
    "GSAM",
    "WSAM",
    "FriendlySAM",
    "ZOSAM",
    "GuidedZOSAM",
    "ZOSGD",
    # using one
    "make_closure",
    "StepCheck",
    "Finding",
    # writing an optimizer
    "WrappedOptimizer",
    "SharpnessAware",
    "OneGradient",
    "OnePerturbed",
    "TwoCalls",
    "Periodic",
    "ZeroOrder",
    "Passes",
    "Closure",
    "PassCounts",
    # guards
    "BufferGuard",
    "RngReplay",
]

__getattr__ = lazy_exports(__name__)
