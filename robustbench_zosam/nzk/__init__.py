"""The neural zeroth-order kernel: zero-order descent seen as kernel descent in function space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports

if TYPE_CHECKING:
    from robustbench_zosam.nzk.classifiers import Subject
    from robustbench_zosam.nzk.distributions import ProbeDistribution
    from robustbench_zosam.nzk.evolution import (
        UPDATES,
        evolve,
        evolve_flow,
        expected_loss,
        stable_rate,
        update_moments,
    )
    from robustbench_zosam.nzk.expected import nzk_expected, nzk_expected_linear
    from robustbench_zosam.nzk.functional import FlatModel
    from robustbench_zosam.nzk.kernel import (
        KernelEstimate,
        ntk,
        nzk_empirical,
        nzk_monte_carlo,
    )
    from robustbench_zosam.nzk.page import build_page
    from robustbench_zosam.nzk.study import StudyConfig, run_study
    from robustbench_zosam.nzk.training import Regression, Trajectory, train

__all__ = [  # noqa: RUF022 - grouped by purpose
    # kernels
    "ProbeDistribution",
    "KernelEstimate",
    "ntk",
    "nzk_empirical",
    "nzk_expected",
    "nzk_expected_linear",
    "nzk_monte_carlo",
    # predicted evolution
    "UPDATES",
    "evolve",
    "evolve_flow",
    "expected_loss",
    "stable_rate",
    "update_moments",
    # training
    "FlatModel",
    "Regression",
    "Trajectory",
    "train",
    # the comparison and its page
    "StudyConfig",
    "Subject",
    "run_study",
    "build_page",
]

__getattr__ = lazy_exports(__name__)
