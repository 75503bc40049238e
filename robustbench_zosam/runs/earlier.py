"""Times of an earlier run, where it computed the same."""

from __future__ import annotations

from statistics import fmean

from robustbench_zosam.runs.cell_store import CellSpec
from robustbench_zosam.runs.plan import Plan
from robustbench_zosam.schema import Results

_COMPARED = (
    "optimizer", "options", "sparsifier", "sparsifier_options", "sparsity", "training",
)  # fmt: skip


def training_seconds(plan: Plan, cell: CellSpec, earlier: Results) -> float | None:
    """Returns the mean time of a training as in a cell; None where the run has no such one."""
    if not _same_sections(plan, earlier, "training", "model"):
        return None
    wanted = cell.method.facts([])
    for method in earlier["methods"]:
        if all(method.get(key) == wanted.get(key) for key in _COMPARED):
            return _mean(earlier, method["id"], ["training"])
    return None


def measuring_seconds(plan: Plan, earlier: Results) -> float | None:
    """Returns the mean time that the measurements of a cell took; None where others were made."""
    if plan.suite is None or not _same_sections(plan, earlier, "model", "flatness", "landscape"):
        return None
    facts = plan.suite.facts()
    suite = earlier["suite"]
    if any(suite[key] != facts[key] for key in ("corruptions", "severities")):
        return None
    return _mean(earlier, None, ["robustness", "flatness", "landscape"])


def _same_sections(plan: Plan, earlier: Results, *names: str) -> bool:
    used = plan.config.model_dump(mode="json")
    same = all(earlier["config"].get(name) == used[name] for name in names)
    return same and earlier["data"]["fingerprint"] == plan.data.facts["fingerprint"]


def _mean(earlier: Results, method: str | None, stages: list[str]) -> float | None:
    found = [
        sum(cell["provenance"]["seconds"].get(stage, 0.0) for stage in stages)
        for cell in earlier["cells"]
        if method in {None, cell["method"]} and "provenance" in cell
    ]
    return fmean(found) if found else None
