"""From a configuration to cells, with everything checked before the first of them runs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
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
from robustbench_zosam.metrics import condition_metrics
from robustbench_zosam.models.naming import check_model
from robustbench_zosam.provenance import command
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.results.versions import VERSION
from robustbench_zosam.robustness.plan import SuitePlan, plan_generated
from robustbench_zosam.robustness.references import find_reference
from robustbench_zosam.robustness.stored import plan_stored
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, Stage
from robustbench_zosam.runs.identity import identity, named_model, training_identity
from robustbench_zosam.runs.methods import Method, expand
from robustbench_zosam.runs.placement import Placement, place_cells
from robustbench_zosam.runs.run_folder import PlannedCell, RunFolder, RunRecord

_HERE = {"out", "workers", "engine", "engine_options"}  # settings of one machine's run


@dataclass(frozen=True)
class Plan:
    """An experiment ready to run.

    Attributes:
        out: the output folder.
        suite: the corrupted test images; None when nothing is measured.
        cells: methods × seeds.
        device: "cpu" or "cuda:N", as this process names it.
        workers: cells at a time on this machine; 0 runs them in this process.
        placements: where each of these runs.
        shard: (k, n) where this run is of the k-th of n shares of the cells only.
    """

    config: ExperimentConfig
    out: Path
    data: Prepared
    suite: SuitePlan | None
    methods: tuple[Method, ...]
    cells: tuple[CellSpec, ...]
    device: str
    workers: int
    placements: tuple[Placement, ...]
    shard: tuple[int, int] | None = None

    @property
    def own(self) -> tuple[CellSpec, ...]:
        """Returns the cells of this run, which are all of them, or a share.

        Shares are as large as each other, and drawn by the ids of the cells, so that none of them
        has all the cells of a slow method.
        """
        if self.shard is None:
            return self.cells
        number, count = self.shard
        drawn = sorted(self.cells, key=lambda cell: hashlib.sha256(cell.id.encode()).digest())
        mine = {cell.id for cell in drawn[number - 1 :: count]}
        return tuple(cell for cell in self.cells if cell.id in mine)

    @property
    def folder(self) -> RunFolder:
        """Returns the output folder."""
        return RunFolder(self.out)

    @property
    def threads(self) -> int:
        """Returns the number of threads of each cell."""
        return self.cells[0].threads

    @property
    def gpus_per_cell(self) -> float:
        """Returns how many GPUs a cell needs."""
        return 0.0 if self.device == "cpu" else self.config.run.gpus_per_cell

    def store(self, cell: CellSpec) -> CellStore:
        """Returns the folder of a cell."""
        return CellStore(self.out / "cells" / cell.id)

    def record(self) -> RunRecord:
        """Returns what others that work in the folder need to know."""
        run = self.config.run.model_copy(update={"threads": self.threads})
        config = self.config.model_copy(update={"run": run})
        return RunRecord(
            identity=self._identity(),
            config=config.model_dump(
                mode="json",
                exclude_unset=True,
                # What no file may grant, and what is for each machine to say.
                exclude={"model": {"allow_code"}, "run": _HERE},
            ),
            measure=self.suite is not None,
            command=command(),
            cells=tuple(PlannedCell(id=c.id, identities=c.identities) for c in self.cells),
        )

    def unfinished(self) -> list[CellSpec]:
        """Returns the cells of this run that have something left to do."""
        return [cell for cell in self.own if not self.store(cell).is_finished(cell)]

    def mark_collected(self, finished: Collection[str]) -> None:
        """Stores that results and report on disk are those of these cells, and nothing else."""
        write_json(self._marker, self._identity(finished))

    def unmark(self) -> None:
        """Stores that results and report on disk are out of date."""
        self._marker.unlink(missing_ok=True)

    def is_collected(self, finished: Collection[str]) -> bool:
        """Returns whether results and report on disk are those of these cells and this version."""
        wanted = [self.out / "results.json", self.out / "report.html", self._marker]
        return all(file.exists() for file in wanted) and (
            read_own_json(self._marker) == self._identity(finished) and self._has_results()
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

    def _identity(self, finished: Collection[str] = ()) -> str:
        config = self.config
        return identity(
            cells=[[cell.id, cell.identities] for cell in self.cells],
            finished=sorted(finished),
            title=config.title,
            tool=__version__,
            format=VERSION,
            suite=self.suite and self.suite.model_dump(mode="json", exclude={"folders"}),
            statistics=config.statistics,
        )


def make_plan(
    config: ExperimentConfig,
    *,
    measure: bool = True,
    data: Prepared | None = None,
    suite: SuitePlan | None = None,
) -> Plan:
    """Returns the methods and cells of a configuration; prepares the data, trains nothing.

    Args:
        measure: whether the cells are evaluated after training.
        data: prepared before, where the original is not at hand.
        suite: planned before.
    """
    methods = expand(config)
    DATASETS[config.data.name]  # a misspelt name must not cost the time of reading the data
    check_model(config.model)
    out = Path(config.run.out)
    require_writable(out)
    data = data or prepare(config.data, out / "cache")
    if measure and suite is None:
        suite = _plan_suite(config, data, out / "cache")
    seeds = config.seeds if not config.checkpoints else (0,)
    threads = _choose_threads(config, RunFolder(out))
    device, workers, placements = place_cells(config.run, len(methods) * len(seeds))
    cells = tuple(
        _cell(config, method, seed, data, suite, device, threads)
        for seed in seeds  # seed by seed, so that the first results compare all methods
        for method in methods
    )
    return Plan(config, out, data, suite, methods, cells, device, workers, placements)


def _choose_threads(config: ExperimentConfig, folder: RunFolder) -> int:
    """Returns the threads that the folder's results have, or will have."""
    try:
        record = folder.read()
    except InputError as error:
        warn_of_damage(error)
        record = None
    stored = record and record.threads
    given = config.run.threads
    if stored and given and stored != given and any(folder.out.glob("cells/*/*.json")):
        raise InputError(
            f"the results in {folder.out} were computed with {stored} thread(s) per cell, and "
            f"run.threads={given} would change their last digits: leave it out, or choose another "
            "folder with --out"
        )
    return given or stored or 1


def _plan_suite(config: ExperimentConfig, data: Prepared, cache: Path) -> SuitePlan:
    find_reference("none" if config.suite.reference == "auto" else config.suite.reference)
    if config.suite.source is None:
        return plan_generated(config.suite, data.facts, cache)
    return plan_stored(config.suite, config.data, data.facts, data.test_labels())


def _cell(
    config: ExperimentConfig,
    method: Method,
    seed: int,
    data: Prepared,
    suite: SuitePlan | None,
    device: str,
    threads: int,
) -> CellSpec:
    trained = training_identity(config, method, seed, data.facts["fingerprint"], threads)
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
