"""The results of a run as data frames: your own tables, tests and figures.

zosam-robust evaluate
python examples/results_to_pandas.py zosam-robust
"""

from __future__ import annotations

import sys

from robustbench_zosam.results import load

results = load(sys.argv[1] if len(sys.argv) > 1 else "zosam-robust")
print(results)

# One row per trained model, corruption, severity and metric: the same table as results.csv.
tidy = results.frame()
corrupted = tidy[(tidy["metric"] == "accuracy") & (tidy["corruption"] != "clean")]
by_seed = corrupted.groupby(["method", "seed"])["value"].mean()
print(by_seed.unstack("seed").round(4).to_string())

# Means over seeds with their intervals, and the planned comparisons with their verdicts.
print(results.methods().to_string())
comparisons = results.comparisons()
print(comparisons[comparisons["corruption"] == "mean"].to_string())
