"""From finished cells to the numbers of a run: summaries, planned comparisons, rankings."""

from robustbench_zosam.analysis.compare import compare, compare_planned
from robustbench_zosam.analysis.family import corrected_together, verdict
from robustbench_zosam.analysis.planned import Planned, plan_comparisons
from robustbench_zosam.analysis.predictions import prediction_facts
from robustbench_zosam.analysis.ranking import rank, rankings
from robustbench_zosam.analysis.scores import CellPredictions, CellScores
from robustbench_zosam.analysis.summary import summarise

__all__ = [
    "CellPredictions",
    "CellScores",
    "Planned",
    "compare",
    "compare_planned",
    "corrected_together",
    "plan_comparisons",
    "prediction_facts",
    "rank",
    "rankings",
    "summarise",
    "verdict",
]
