"""From a configuration to cells, with everything checked before the first of them runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from robustbench_zosam import __version__
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.data.prepare import Prepared, file_without_test, prepare
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import (
    read_own_json,
    require_writable,
    warn_of_damage,
    write_json,
)
from robustbench_zosam.models.naming import check_model
from robustbench_zosam.provenance import command
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.results.versions import VERSION
from robustbench_zosam.robustness.plan import SuitePlan, plan_generated, plan_validation
from robustbench_zosam.robustness.references import find_reference
from robustbench_zosam.robustness.stored import plan_stored
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.runs.cells import make_cell, make_cells
from robustbench_zosam.runs.identity import identity
from robustbench_zosam.runs.methods import Method, expand
from robustbench_zosam.runs.own_data import with_own_data
from robustbench_zosam.runs.placement import Placement, place_cells
from robustbench_zosam.runs.run_folder import PlannedCell, RunFolder, RunRecord
from robustbench_zosam.runs.shards import Shard, share
from robustbench_zosam.runs.tuner import Tuned, Tuner
from robustbench_zosam.runs.tuning import check_tuning, plan_tuning

_HERE = {"out", "workers", "engine", "engine_options"}  # settings of one machine's run


@dataclass(frozen=True)
class Plan:
    """An experiment ready to run.

    Attributes:
        out: the output folder.
        suite: the corrupted test images; None when nothing is measured.
        untuned: methods and cells before settings were chosen; the same where nothing is tuned.
        cells: methods × seeds; while the tuner is open, with settings that may change.
        tuner: the trials by which settings are chosen, if any are.
        device: "cpu" or "cuda:N", as this process names it.
        workers: cells at a time on this machine; 0 runs them in this process.
        placements: where each of these runs.
        data_origin: where the data is from, in words, if nobody has named it.
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
    untuned: tuple[tuple[Method, ...], tuple[CellSpec, ...]]
    tuner: Tuner | None = None
    data_origin: str = ""
    shard: Shard | None = None

    @property
    def is_open(self) -> bool:
        """Returns whether trials are to be run before the methods are known."""
        return self.tuner is not None and self.tuner.is_open

    @property
    def trials(self) -> tuple[CellSpec, ...]:
        """Returns the cells by which settings are chosen, as far as they are known."""
        return () if self.tuner is None else self.tuner.cells

    @property
    def tuned(self) -> tuple[Tuned, ...]:
        """Returns the methods with their trials; none where nothing is tuned."""
        return () if self.tuner is None else self.tuner.methods

    @property
    def known_cells(self) -> tuple[CellSpec, ...]:
        """Returns all cells that can be run by now: trials, and the methods once they are known."""
        return self.trials if self.is_open else (*self.trials, *share(self.cells, self.shard))

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
            cells=tuple(PlannedCell(id=c.id, identities=c.identities) for c in self.known_cells),
        )

    def unfinished(self) -> list[CellSpec]:
        """Returns the known cells that have something left to do."""
        return [cell for cell in self.known_cells if not self.store(cell).is_finished(cell)]

    def waiting(self) -> int:
        """Returns how many cells have something left to do, those not known yet included."""
        unknown = 0
        if self.tuner is not None and self.is_open:
            unknown = self.tuner.planned - len(self.trials) + len(self.cells)
        return len(self.unfinished()) + unknown

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
        tuned = {} if self.tuner is None else {"tune": config.tune}
        return identity(
            **tuned,
            cells=[[cell.id, cell.identities] for cell in self.untuned[1]],
            finished=sorted(finished),
            title=config.title,
            tool=__version__,
            format=VERSION,
            suite=self.suite and self.suite.model_dump(mode="json", exclude={"folders"}),
            statistics=config.statistics,
            report=config.report,
        )


def make_plan(
    config: ExperimentConfig,
    *,
    measure: bool = True,
    scratch: Path | None = None,
    data: Prepared | None = None,
    suite: SuitePlan | None = None,
) -> Plan:
    """Returns the methods and cells of a configuration; prepares the data, trains nothing.

    Args:
        measure: whether the cells are evaluated after training.
        scratch: folder for prepared data that is not there yet, where the output folder is to stay
            as it is.
        data: prepared before, where the original is not at hand.
        suite: planned before.
    """
    methods = expand(config)
    config, origin = with_own_data(config)
    DATASETS[config.data.name]  # a misspelt name must not cost the time of reading the data
    check_model(config.model)
    out = Path(config.run.out)
    if scratch is None:
        require_writable(out)
    data = data or prepare(config.data, out / "cache", scratch)
    if measure and suite is None:
        suite = _plan_suite(config, data, out / "cache")
    seeds = config.seeds if not config.checkpoints else (0,)
    threads = _choose_threads(config, RunFolder(out))
    device, workers, placements = place_cells(config.run, len(methods) * len(seeds))
    if config.tune.values:
        check_tuning(config, methods)
    cells = make_cells(config, methods, seeds, data, suite, device, threads)
    plan = Plan(
        config, out, data, suite, methods, cells, device, workers, placements, (methods, cells),
        data_origin=origin,
    )  # fmt: skip
    return settled(plan)


def settled(plan: Plan) -> Plan:
    """Returns a plan with what its finished trials have decided by now.

    Raises:
        InputError: all trials of a method diverged.
    """
    config, (methods, cells) = plan.config, plan.untuned
    if not config.tune.values:
        return plan
    trials = _trial_maker(plan)
    tuner = plan_tuning(config, methods, trials, plan.store)
    if not tuner.is_open:
        methods = tuner.chosen()
        cells = make_cells(
            config, methods, config.seeds, plan.data, plan.suite, plan.device, plan.threads
        )
    return replace(plan, methods=methods, cells=cells, tuner=tuner)


def _trial_maker(plan: Plan) -> Callable[[Method, int], CellSpec]:
    """Returns what makes a trial of a method and a seed: it knows no test images and no suite."""
    config, cache = plan.config, plan.out / "cache"
    file = str(file_without_test(plan.data))
    suite = None
    if config.tune.score == "corrupted validation accuracy":
        tested = () if plan.suite is None else plan.suite.corruptions
        suite = plan_validation(
            config.suite, config.tune.severities, tested, plan.data.facts, cache
        )

    def make(method: Method, seed: int) -> CellSpec:
        cell = make_cell(config, method, seed, plan.data, None, plan.device, plan.threads)
        trained = cell.identities["training"]
        scored = identity(trained=trained, validation=suite and suite.identity_parts())
        return cell.model_copy(
            update={
                "data_file": file,
                "validation_suite": suite,
                "identities": {"training": trained, "validation": scored},
            }
        )

    return make


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
