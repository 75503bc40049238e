"""Intervals, paired comparisons and rankings, of plain arrays."""

from robustbench_zosam.statistics.bootstrap import (
    BootstrapDifference,
    JointBootstrap,
    bootstrap_difference,
    joint_bootstrap,
)
from robustbench_zosam.statistics.compare import compare
from robustbench_zosam.statistics.comparison import Comparison, Exact, Row, Worst
from robustbench_zosam.statistics.correlation import RankCorrelation, rank_correlation
from robustbench_zosam.statistics.equivalence import MARGIN, Equivalence, equivalence
from robustbench_zosam.statistics.intervals import Estimate, holm, t_interval, wilson
from robustbench_zosam.statistics.mcnemar import McNemar, mcnemar
from robustbench_zosam.statistics.paired import Components, PairedDifference, paired_difference
from robustbench_zosam.statistics.ranking import Ranking, rank
from robustbench_zosam.statistics.scores import CellScores

__all__ = [  # noqa: RUF022 - grouped by purpose
    # comparisons
    "CellScores",
    "Comparison",
    "Exact",
    "Row",
    "Worst",
    "compare",
    "Ranking",
    "rank",
    "MARGIN",
    "Equivalence",
    "equivalence",
    "Components",
    "PairedDifference",
    "paired_difference",
    "BootstrapDifference",
    "JointBootstrap",
    "McNemar",
    "bootstrap_difference",
    "joint_bootstrap",
    "mcnemar",
    "RankCorrelation",
    "rank_correlation",
    # single measures
    "Estimate",
    "holm",
    "t_interval",
    "wilson",
]
