"""From a configuration to cells, with everything checked before the first of them runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from robustbench_zosam import __version__
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.data.prepare import Prepared, prepare
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import (
    read_own_json,
    require_writable,
    warn_of_damage,
    write_json,
)
from robustbench_zosam.machine import choose_device
from robustbench_zosam.metrics import condition_metrics
from robustbench_zosam.models.naming import check_model
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.results.versions import VERSION
from robustbench_zosam.robustness.plan import SuitePlan, plan_generated
from robustbench_zosam.robustness.references import find_reference
from robustbench_zosam.robustness.stored import plan_stored
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, Stage
from robustbench_zosam.runs.identity import identity, named_model, training_identity
from robustbench_zosam.runs.methods import Method, expand


@dataclass(frozen=True)
class Plan:
    """An experiment ready to run.

    Attributes:
        out: the output folder.
        suite: the corrupted test images; None when nothing is measured.
        cells: methods × seeds.
        workers: cells at a time; 0 runs them in this process.
    """

    config: ExperimentConfig
    out: Path
    data: Prepared
    suite: SuitePlan | None
    methods: tuple[Method, ...]
    cells: tuple[CellSpec, ...]
    workers: int

    def store(self, cell: CellSpec) -> CellStore:
        """Returns the folder of a cell."""
        return CellStore(self.out / "cells" / cell.id)

    def unfinished(self) -> list[CellSpec]:
        """Returns the cells that have something left to do."""
        return [cell for cell in self.cells if not self.store(cell).is_finished(cell)]

    def mark_collected(self) -> None:
        """Stores that results and report on disk are those of this plan."""
        write_json(self._marker, self._collection)

    def is_collected(self) -> bool:
        """Returns whether results and report on disk are those of this plan and this version."""
        wanted = [self.out / "results.json", self.out / "report.html", self._marker]
        return all(file.exists() for file in wanted) and (
            read_own_json(self._marker) == self._collection and self._has_results()
        )

    def _has_results(self) -> bool:
        try:
            read_results(self.out)
        except InputError as error:
            warn_of_damage(error)
            return False
        return True

    @property
    def _marker(self) -> Path:
        return self.out / "cache" / "collected.json"

    @property
    def _collection(self) -> str:
        cells = [[cell.id, cell.identities] for cell in self.cells]
        config = self.config
        return identity(
            cells=cells,
            title=config.title,
            tool=__version__,
            format=VERSION,
            suite=self.suite,
            statistics=config.statistics,
        )


def make_plan(config: ExperimentConfig, *, measure: bool = True) -> Plan:
    """Returns the methods and cells of a configuration; prepares the data, trains nothing.

    Args:
        measure: whether the cells are evaluated after training.
    """
    methods = expand(config)
    DATASETS[config.data.name]  # a misspelt name must not cost the time of reading the data
    check_model(config.model)
    out = Path(config.run.out)
    require_writable(out)
    data = prepare(config.data, out / "cache")
    suite = _plan_suite(config, data, out / "cache") if measure else None
    device = choose_device(config.run.device)
    seeds = config.seeds if not config.checkpoints else (0,)
    count = len(methods) * len(seeds)
    workers, threads = share_cores(config, device, count)
    cells = tuple(
        _cell(config, method, seed, data, suite, device, threads)
        for seed in seeds  # seed by seed, so that the first results compare all methods
        for method in methods
    )
    return Plan(config, out, data, suite, methods, cells, workers)


def _plan_suite(config: ExperimentConfig, data: Prepared, cache: Path) -> SuitePlan:
    find_reference("none" if config.suite.reference == "auto" else config.suite.reference)
    if config.suite.source is None:
        return plan_generated(config.suite, data.facts, cache)
    return plan_stored(config.suite, config.data, data.facts, data.test_labels())


def share_cores(config: ExperimentConfig, device: str, cells: int) -> tuple[int, int]:
    """Returns workers and threads per cell that use the cores without oversubscription.

    One cell at a time runs on a GPU, unless `run.workers` says otherwise.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    workers = config.run.workers
    if workers is None:
        workers = 1 if device != "cpu" else max(min(cores, cells), 1)
    threads = config.run.threads or max(cores // max(workers, 1), 1)
    return workers, threads


def _cell(
    config: ExperimentConfig,
    method: Method,
    seed: int,
    data: Prepared,
    suite: SuitePlan | None,
    device: str,
    threads: int,
) -> CellSpec:
    trained = training_identity(config, method, seed, data.facts["fingerprint"])
    identities: dict[Stage, str] = {"training": trained}
    if suite is not None:
        identities["robustness"] = identity(
            trained=trained, suite=suite.identity_parts(), metrics=tuple(condition_metrics())
        )
        if config.flatness.enabled:
            identities["flatness"] = identity(trained=trained, flatness=config.flatness)
        if config.landscape.enabled:
            identities["landscape"] = identity(trained=trained, landscape=config.landscape)
    return CellSpec(
        id=f"{method.id}-seed{seed}-{trained[:8]}",
        method=method,
        seed=seed,
        data_file=str(data.file),
        classes=len(data.facts["classes"]),
        model=named_model(config),
        training=config.training,
        suite=suite,
        flatness=config.flatness,
        landscape=config.landscape,
        identities=identities,
        device=device,
        threads=threads,
        checkpoint_seconds=config.run.checkpoint_seconds,
    )
