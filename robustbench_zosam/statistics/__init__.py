"""Intervals, paired comparisons, summaries over seeds, and the claims of the papers."""

from robustbench_zosam.statistics.claims import CLAIMS, Claim, ClaimVerdict, evaluate_claims
from robustbench_zosam.statistics.compare import (
    CellScores,
    Comparison,
    Planned,
    Row,
    compare,
    plan_comparisons,
)
from robustbench_zosam.statistics.correlation import RankCorrelation, rank_correlation
from robustbench_zosam.statistics.intervals import Estimate, holm, t_interval, wilson
from robustbench_zosam.statistics.paired import Components, PairedDifference, paired_difference
from robustbench_zosam.statistics.single import (
    BootstrapDifference,
    McNemar,
    bootstrap_difference,
    mcnemar,
)
from robustbench_zosam.statistics.summary import (
    METRICS,
    Measure,
    MetricFacts,
    summarise,
    summary_dict,
)

__all__ = [  # noqa: RUF022 - grouped by purpose
    # claims
    "CLAIMS",
    "Claim",
    "ClaimVerdict",
    "evaluate_claims",
    # comparisons
    "CellScores",
    "Comparison",
    "Planned",
    "Row",
    "compare",
    "plan_comparisons",
    "Components",
    "PairedDifference",
    "paired_difference",
    "BootstrapDifference",
    "McNemar",
    "bootstrap_difference",
    "mcnemar",
    "RankCorrelation",
    "rank_correlation",
    # single measures
    "Estimate",
    "holm",
    "t_interval",
    "wilson",
    "METRICS",
    "Measure",
    "MetricFacts",
    "summarise",
    "summary_dict",
]
