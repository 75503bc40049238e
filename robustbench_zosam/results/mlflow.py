"""Runs in an MLflow store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from robustbench_zosam.results.series import series
from robustbench_zosam.results.writers import optional
from robustbench_zosam.schema import Cell, MethodFacts, Results

_BATCH = 1000  # metrics that a server takes at a time
_PARAMS = ("label", "kind", "optimizer", "sparsifier", "sparsity", "seed")
_LONGEST = 500  # characters of a parameter


def write_mlflow(results: Results, folder: Path) -> list[Path]:
    """Writes one MLflow run per cell into an experiment named like the results.

    Args:
        folder: holds the new store `mlflow.db`, unless MLFLOW_TRACKING_URI names another one.

    Returns:
        The store, if it is here.
    """
    tracking, entities = (optional(f"mlflow{part}", "mlflow") for part in ("", ".entities"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mlflow.db"
    elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
    client = tracking.MlflowClient(tracking_uri=elsewhere or f"sqlite:///{file.resolve()}")
    found = client.get_experiment_by_name(results["title"])
    experiment = found.experiment_id if found else client.create_experiment(results["title"])
    methods = {method["id"]: method for method in results["methods"]}
    for cell in results["cells"]:
        run = client.create_run(experiment, run_name=cell["id"]).info.run_id
        metrics = [entities.Metric(name, value, 0, step) for name, step, value in series(cell)]
        params = [entities.Param(*pair) for pair in _params(methods[cell["method"]], cell)]
        client.log_batch(run, params=params, tags=[entities.RunTag("status", cell["status"])])
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run, metrics=metrics[start : start + _BATCH])
        client.set_terminated(run, "FINISHED" if cell["status"] == "done" else "FAILED")
    return [] if elsewhere else [file]


def _params(method: MethodFacts, cell: Cell) -> Iterator[tuple[str, str]]:
    for key, value in {**method, "seed": cell["seed"]}.items():
        if key in _PARAMS:
            yield key, str(value)[:_LONGEST]
    for key, value in method["options"].items():
        yield f"optimizer.{key}", str(value)[:_LONGEST]
