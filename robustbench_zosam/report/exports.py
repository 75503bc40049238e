"""Results for other programs, kind by kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from robustbench_zosam.registry import Entry, Registry
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.schema import Results

Writer = Callable[[Results, Path], Sequence[Path]]
"""Takes results and a folder, and returns what it wrote there."""

EXPORTS: Registry[Entry[Writer]] = Registry("export", Entry)
_HERE = "robustbench_zosam.results.writers"
for _name, _summary, _target in (
    ("csv", "one row per cell, corruption, severity and metric", f"{_HERE}:write_csv"),
    (
        "parquet",
        "the same as Parquet (needs pyarrow: the extra `parquet`)",
        f"{_HERE}:write_parquet",
    ),
    ("markdown", "tables of methods, differences and claims", f"{_HERE}:write_markdown"),
    ("latex", "the same tables for LaTeX with booktabs", f"{_HERE}:write_latex"),
    ("robustbench", "model entries with RobustBench's JSON fields", f"{_HERE}:write_robustbench"),
    (
        "figures",
        "figures for a paper, SVG and PDF (seaborn)",
        "robustbench_zosam.report.publication:write_figures",
    ),
    (
        "tensorboard",
        "event files with training curves (needs the extra `tensorboard`)",
        "robustbench_zosam.results.tensorboard:write_tensorboard",
    ),
    (
        "mlflow",
        "runs in an MLflow store (needs the extra `mlflow`)",
        "robustbench_zosam.results.mlflow:write_mlflow",
    ),
):
    EXPORTS.add(Entry(_name, _summary, _target))


def export(run: Path | str, kind: str, folder: Path | None = None) -> tuple[Path, ...]:
    """Writes the results of a run for another program.

    Args:
        run: output folder of a finished run.
        kind: one of `EXPORTS`.
        folder: where to write; `exports` in the run's folder where none is given.

    Returns:
        The files and folders written.
    """
    writer = EXPORTS[kind].load()
    results = read_results(run)
    return tuple(writer(results, folder or Path(run) / "exports"))
