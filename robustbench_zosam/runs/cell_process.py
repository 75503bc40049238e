"""Running one cell: `python -m robustbench_zosam.runs.cell_process FOLDER`.

The process reports its progress as JSON lines `[cell, stage, done, total]` on standard output, and
ends when its standard input is closed, so that no cell outlives the run that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from robustbench_zosam.data import Dataset, load_prepared
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import warn_of_damage, write_json
from robustbench_zosam.machine import keep_freed_memory
from robustbench_zosam.models.checkpoints import load_checkpoint
from robustbench_zosam.privacy import redacted
from robustbench_zosam.provenance import versions
from robustbench_zosam.runs import stage_measurement, stage_training
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, Finished, Stage, StageValue
from robustbench_zosam.runs.codes import DONE, FAILED, INTERRUPTED
from robustbench_zosam.runs.stage_training import OnProgress
from robustbench_zosam.training import InterruptedTrainingError

_MEASUREMENTS: dict[Stage, stage_measurement.Measurement] = {
    "robustness": stage_measurement.measure_robustness,
    "flatness": stage_measurement.measure_flatness,
    "landscape": stage_measurement.measure_landscape,
}


def run_cell(
    store: CellStore,
    on_progress: OnProgress,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Runs what is missing of a cell; whatever goes wrong is stored in the cell's folder.

    Args:
        store: the cell's folder, with its specification in it.
        on_progress: called with (stage, done, total).
        should_stop: asked after each training step.

    Returns:
        DONE, FAILED or INTERRUPTED.
    """
    try:
        store.error_file.unlink(missing_ok=True)
        _run(store, store.read_spec(), on_progress, should_stop)
    except InterruptedTrainingError:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary at which one cell must not end the others
        message = str(error).strip().splitlines() or [type(error).__name__]
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        detail = {"error": kind + message[0], "traceback": traceback.format_exc()}
        write_json(store.error_file, redacted(detail))
        return FAILED
    return DONE


def _run(
    store: CellStore,
    spec: CellSpec,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    torch.set_num_threads(spec.threads)
    keep_freed_memory()
    torch.manual_seed(spec.seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    data = load_prepared(Path(spec.data_file))
    for stage in _missing(store, spec):
        started = time.perf_counter()
        value: StageValue
        if stage == "training":
            value = stage_training.train_cell(spec, store, data, on_progress, should_stop)
        else:
            value = _measure(stage, spec, store, data, on_progress)
        found = Finished(value, time.perf_counter() - started, versions())
        store.save(stage, spec.identities[stage], found)
        if value.get("status") == "diverged":
            return


def _missing(store: CellStore, spec: CellSpec) -> list[Stage]:
    """Returns the stages to run; training again where what is measured cannot be read."""
    missing = store.missing(spec)
    if missing and "training" not in missing:
        try:
            load_checkpoint(store.model_file, config=spec.model)
        except InputError as error:
            warn_of_damage(error)
            return ["training", *missing]
    return missing


def _measure(
    stage: Stage,
    spec: CellSpec,
    store: CellStore,
    data: Dataset,
    on_progress: OnProgress,
) -> StageValue:
    model = load_checkpoint(store.model_file, config=spec.model)
    model.model.to(spec.device)
    return _MEASUREMENTS[stage](
        spec, store, data, model, lambda done, total: on_progress(stage, done, total)
    )


def _end_with_parent() -> None:
    """Ends this process when standard input closes, which it does however the parent dies."""
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: a lock held at exit would be fatal
        pass
    os._exit(INTERRUPTED)


def main(folder: str) -> int:
    """Runs the cell of a folder in this process, as a child of a run; returns the exit code."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()

    store = CellStore(Path(folder))

    def tell(stage: str, done: int, total: int) -> None:
        news = json.dumps([store.folder.name, stage, done, total])
        os.write(1, news.encode() + b"\n")  # in one piece: the cells of a run share a pipe
        if stopping.is_set() and stage != "training":
            os._exit(INTERRUPTED)  # a measurement starts over, and files are whole or absent

    return run_cell(store, tell, stopping.is_set)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
