"""One run of several folders: shards of one experiment, or the same one with other seeds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.data.prepare import Prepared, open_prepared
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.runs.joining import flat
from robustbench_zosam.runs.plan import Plan, make_plan
from robustbench_zosam.runs.run_folder import RunFolder, RunRecord

# What runs may differ in.
_FREE = ("run.", "report.", "data.root", "model.allow_code", "seeds", "title")
_LEFT = ("lease-*", ".*", "cell.json", "result.json")  # what is made anew


@dataclass(frozen=True)
class _Run:
    """A run to merge.

    Attributes:
        spec: of one of its cells, which names its data and suite.
    """

    folder: Path
    record: RunRecord
    config: ExperimentConfig
    spec: CellSpec
    data: Prepared


def merge_runs(folders: Sequence[Path], out: Path, assignments: Sequence[str] = ()) -> Plan:
    """Returns the plan of one run that has the cells of several, which are copied.

    Neither the original data nor, for suites made by a run, a suite is needed.

    Args:
        out: the output folder of the run that is made.
        assignments: `key=value` texts of settings that change no result.

    Raises:
        InputError: they do not belong together, a cell is in none of them, or the folder holds
            another run.
    """
    runs = [_open(folder) for folder in folders]
    for run in runs[1:]:
        _require_alike(runs[0], run)
    seeds = tuple(dict.fromkeys(seed for run in runs for seed in run.config.seeds))
    settings = {"run.out": str(out), "seeds": seeds, "run.threads": runs[0].record.threads}
    config = load_config(None, flat(runs[0].record.config) | settings, assignments)
    data, suite = _copy_cache(runs[0], out)
    plan = make_plan(config, measure=runs[0].record.measure, data=data, suite=suite)
    _require_identities(runs, plan)
    stored = RunFolder(out).read()
    if stored is not None and stored.identity != plan.record().identity:
        raise InputError(f"{out} holds another run: choose another folder with --out")
    sources = {cell.id: _source(cell, runs) for cell in plan.cells}
    absent = [cell for cell, store in sources.items() if store is None]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(sources)} cells are in none of these runs, the first of them "
            f"{absent[0]}: finish them first, or name the run that has them"
        )
    for cell in plan.cells:
        source = sources[cell.id]
        if source is not None and not plan.store(cell).is_finished(cell):
            _copy_cell(source, plan.store(cell), cell)
    return plan


def _open(folder: Path) -> _Run:
    record = RunFolder(folder).read()
    if record is None:
        raise InputError(f"{folder} holds no run: give folders that `evaluate --out` named")
    for cell in record.cells:
        store = RunFolder(folder).store(cell.id)
        if store.spec_file.exists():
            spec = store.read_spec()
            config = load_config(None, flat(record.config))
            if config.tune.values:
                raise InputError(f"{folder} has tuned settings: such runs cannot be merged yet")
            return _Run(folder, record, config, spec, open_prepared(Path(spec.data_file)))
    raise InputError(f"{folder} holds no cell that was begun: nothing of it can be merged")


def _require_alike(one: _Run, other: _Run) -> None:
    """Refuses runs of different experiments, naming what differs first."""
    both = f"{one.folder} and {other.folder} do not belong together"
    mine, others = (_settings(run.config) for run in (one, other))
    for key in sorted(mine.keys() | others.keys()):
        if mine.get(key) != others.get(key):
            raise InputError(f"{both}: {key} is {mine.get(key)!r} and {others.get(key)!r}")
    if one.record.threads != other.record.threads:
        threads = f"{one.record.threads} and {other.record.threads}"
        raise InputError(f"{both}: their cells computed with {threads} thread(s)")
    if one.record.measure != other.record.measure:
        raise InputError(f"{both}: one of them was trained only, and not measured")
    if one.data.facts["fingerprint"] != other.data.facts["fingerprint"]:
        raise InputError(f"{both}: their data differ, by their fingerprints")
    suites = [run.spec.suite and run.spec.suite.identity_parts() for run in (one, other)]
    if suites[0] != suites[1]:
        raise InputError(f"{both}: their suites differ")


def _settings(config: ExperimentConfig) -> dict[str, object]:
    """Returns what a result may depend on, by dotted key."""
    plain = flat(config.model_dump(mode="json"))
    return {key: value for key, value in plain.items() if not key.startswith(_FREE)}


def _require_identities(runs: Sequence[_Run], plan: Plan) -> None:
    """Refuses cells that this version of the package would identify otherwise."""
    planned = {cell.id: cell.identities for cell in plan.cells}
    for run in runs:
        for cell in run.record.cells:
            if planned.get(cell.id) != cell.identities:
                raise InputError(
                    f"{run.folder} was computed by another version of this package, whose cells "
                    f"have other identities ({cell.id}): merge it with that version"
                )


def _source(cell: CellSpec, runs: Sequence[_Run]) -> CellStore | None:
    """Returns where a cell is finished, or else where it has failed for good."""
    stores = [RunFolder(run.folder).store(cell.id) for run in runs]
    finished = (store for store in stores if store.is_finished(cell))
    failed = (store for store in stores if store.is_given_up())
    return next(finished, None) or next(failed, None)


def _copy_cell(source: CellStore, target: CellStore, cell: CellSpec) -> None:
    shutil.copytree(
        source.folder,
        target.folder,
        ignore=shutil.ignore_patterns(*_LEFT),
        dirs_exist_ok=True,
    )
    target.write_spec(cell)


def _copy_cache(run: _Run, out: Path) -> tuple[Prepared, SuitePlan | None]:
    """Copies prepared data and generated suites; returns them where they are now."""
    file = _copied(run.data.file, run.folder, out)
    suite = run.spec.suite
    if suite is not None:
        folders = tuple(str(_copied(Path(folder), run.folder, out)) for folder in suite.folders)
        suite = suite.model_copy(update={"folders": folders})
    return Prepared(file, run.data.facts), suite


def _copied(path: Path, root: Path, out: Path) -> Path:
    """Returns where a file or folder of a run now is; what lies elsewhere is left there."""
    if not path.is_relative_to(root):
        return path
    target = out / path.relative_to(root)
    if target != path:
        for file in _files(path):
            goal = target / file.relative_to(path) if file != path else target
            goal.parent.mkdir(parents=True, exist_ok=True)
            _link(file, goal)
    return target


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in path.rglob("*") if file.is_file())


def _link(file: Path, goal: Path) -> None:
    """Gives a file that is never written in place a second name, or copies it."""
    if goal.exists():
        return
    try:
        os.link(file, goal)
    except OSError:  # another disk
        shutil.copy2(file, goal)
