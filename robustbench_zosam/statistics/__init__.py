"""Intervals, paired differences, tests and sample sizes, of plain arrays."""

from robustbench_zosam.statistics.bootstrap import (
    BootstrapDifference,
    JointBootstrap,
    bootstrap_difference,
    joint_bootstrap,
)
from robustbench_zosam.statistics.correlation import RankCorrelation, rank_correlation
from robustbench_zosam.statistics.equivalence import MARGIN, equivalence
from robustbench_zosam.statistics.forecast import Forecast, Spread, seeds_needed
from robustbench_zosam.statistics.intervals import Estimate, holm, t_interval, wilson
from robustbench_zosam.statistics.mcnemar import McNemar, mcnemar
from robustbench_zosam.statistics.paired import paired_difference
from robustbench_zosam.statistics.power import seeds_to_find
from robustbench_zosam.statistics.unpaired import unpaired_difference

__all__ = [  # noqa: RUF022 - grouped by purpose
    # two methods
    "paired_difference",
    "unpaired_difference",
    "MARGIN",
    "equivalence",
    "BootstrapDifference",
    "JointBootstrap",
    "bootstrap_difference",
    "joint_bootstrap",
    "McNemar",
    "mcnemar",
    "seeds_to_find",
    # before they are compared
    "Forecast",
    "Spread",
    "seeds_needed",
    # many methods
    "RankCorrelation",
    "rank_correlation",
    "holm",
    # single measures
    "Estimate",
    "t_interval",
    "wilson",
]
