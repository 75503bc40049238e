"""`experiment`: what `zosam-robust evaluate` does, from Python."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from robustbench_zosam.api.progress import Listener, ProgressBar
from robustbench_zosam.api.result import Result, load
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config

_SHORT = {
    "data": "data.name",
    "root": "data.root",
    "limit": "data.limit",
    "model": "model.name",
    "epochs": "training.epochs",
    "suite": "suite.source",
    "corruptions": "suite.corruptions",
    "severities": "suite.severities",
    "out": "run.out",
    "device": "run.device",
    "workers": "run.workers",
}
"""As the options of the command line have it; a mapping is the whole section instead."""


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be run.

    Attributes:
        config: its settings, validated.
    """

    config: ExperimentConfig

    def run(self, *, rerun: str | None = None, progress: bool | Listener = True) -> Result:
        """Returns the results of the models, trained or loaded; resumes what is there.

        Cells, results and report are in the folder `config.run.out`, as the command line has it.

        Args:
            rerun: which cells' stored results to discard first: "all", "failed" or a pattern.
            progress: whether to show a bar on terminals and in notebooks; or a function of stage,
                units done and units in all.

        Raises:
            InputError: a setting is wrong, or no cell could be run.
        """
        from robustbench_zosam.runs import experiment
        from robustbench_zosam.runs.engines import RunEvent
        from robustbench_zosam.runs.plan import make_plan

        plan = make_plan(self.config)
        ended = {c.id for c in plan.known_cells} - {c.id for c in plan.unfinished()}
        total = len(ended) + plan.waiting()
        with ProgressBar(progress) as bar:

            def tell(event: RunEvent) -> None:
                if event.stage == "finished":
                    ended.add(event.cell)
                    bar("cells", len(ended), total)
                elif not event.cell and event.total:
                    bar(event.stage, event.done, event.total)

            bar("cells", len(ended), total)
            outcome = experiment.run(plan, tell, rerun=rerun)
        if outcome.report is None:
            cell, reason = next(iter(outcome.failed.items()), ("the run", "others work on it"))
            raise InputError(f"{cell}: {reason}")
        found = load(plan.out)
        return Result(found.content, found.gallery, found.folder, outcome.failed)


def experiment(settings: Mapping[str, object] | None = None, /, **keywords: object) -> Experiment:
    """Returns an experiment with these settings; `run()` runs it.

    Args:
        settings: dotted keys to values, such as `{"optimizer.rho": 0.1}`.
        **keywords: sections and keys of the configuration file, such as `optimizers=["sgd"]` or
            `training={"epochs": 5}`; in short `data`, `root`, `limit`, `model`, `epochs`, `suite`,
            `corruptions`, `severities`, `out`, `device` and `workers` as on the command line. An
            integer `seeds` is a count.

    Raises:
        InputError: a key is unknown, or a value is out of range.

    Example:
        >>> import robustbench_zosam as rz
        >>> planned = rz.experiment(optimizers=["sgd", "zo-sam"], data="digits", seeds=2)
        >>> planned.config.seeds
        (0, 1)
    """
    given: dict[str, object] = dict(settings or {})
    for key, value in keywords.items():
        section = isinstance(value, Mapping)
        name = key if section else _SHORT.get(key, key)
        given[name] = str(value) if isinstance(value, Path) else copy.deepcopy(value)
    seeds = given.get("seeds")
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        given["seeds"] = tuple(range(seeds))
    data = given.get("data.name")
    if isinstance(data, str) and data.startswith("folder:"):
        given["data.name"], given["data.root"] = data.split(":", 1)
    return Experiment(load_config(None, _sections_first(given)))


def _sections_first(given: Mapping[str, object]) -> dict[str, object]:
    """Orders sections before single keys, which would be replaced by them."""
    return dict(sorted(given.items(), key=lambda item: not isinstance(item[1], Mapping)))
