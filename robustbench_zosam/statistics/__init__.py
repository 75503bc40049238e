"""Intervals, paired comparisons, summaries over seeds, and the claims of the papers."""

from robustbench_zosam.statistics.bootstrap import (
    BootstrapDifference,
    JointBootstrap,
    bootstrap_difference,
    joint_bootstrap,
)
from robustbench_zosam.statistics.claim import Claim, Control, Published
from robustbench_zosam.statistics.claims import CLAIMS
from robustbench_zosam.statistics.compare import compare
from robustbench_zosam.statistics.comparison import Comparison, Exact, Row, Worst
from robustbench_zosam.statistics.correlation import RankCorrelation, rank_correlation
from robustbench_zosam.statistics.equivalence import MARGIN, Equivalence, equivalence
from robustbench_zosam.statistics.intervals import Estimate, holm, t_interval, wilson
from robustbench_zosam.statistics.judging import ClaimVerdict, claims_dict, evaluate_claims
from robustbench_zosam.statistics.mcnemar import McNemar, mcnemar
from robustbench_zosam.statistics.paired import Components, PairedDifference, paired_difference
from robustbench_zosam.statistics.planned import Planned, plan_comparisons
from robustbench_zosam.statistics.scores import CellScores
from robustbench_zosam.statistics.summary import (
    METRICS,
    Measure,
    MetricFacts,
    summarise,
    summary_dict,
)
from robustbench_zosam.statistics.ties import Ranking, rank, rankings

__all__ = [  # noqa: RUF022 - grouped by purpose
    # claims
    "CLAIMS",
    "Claim",
    "ClaimVerdict",
    "Control",
    "Published",
    "claims_dict",
    "evaluate_claims",
    # comparisons
    "CellScores",
    "Comparison",
    "Exact",
    "Planned",
    "Row",
    "Worst",
    "compare",
    "plan_comparisons",
    "Ranking",
    "rank",
    "rankings",
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
    "METRICS",
    "Measure",
    "MetricFacts",
    "summarise",
    "summary_dict",
]
