"""Running one cell: `python -m robustbench_zosam.runs.cell_process FOLDER`.

The process takes the cell's lease, runs the stages that are missing, and ends with one of the exit
codes of `endings`. SIGTERM and its like make it save its state and end. Standard output belongs to
the cell, whose models and data may print what they like; progress goes elsewhere, as JSON lines
`[cell, stage, done, total]`, to the descriptor given by `--events`.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from robustbench_zosam.data import Dataset, load_prepared
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import fenced, sweep_temporary, warn_of_damage
from robustbench_zosam.machine import keep_freed_memory, numeric_threads, share_cores
from robustbench_zosam.models.checkpoints import load_checkpoint
from robustbench_zosam.privacy import redact_own_messages
from robustbench_zosam.provenance import now, versions
from robustbench_zosam.runs import cell_arguments, stage_measurement, stage_training
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, Finished, Stage, StageValue
from robustbench_zosam.runs.endings import (
    ATTEMPT_MARK,
    DONE,
    FAILED,
    INTERRUPTED,
    OUT_OF_MEMORY,
    TAKEN,
)
from robustbench_zosam.runs.lease import Lease, LeaseLostError
from robustbench_zosam.runs.processes import ProcessName
from robustbench_zosam.runs.signals import SIGNALS, on_signals
from robustbench_zosam.runs.stage_training import OnProgress
from robustbench_zosam.runs.stopping import StoppedError, StopRequest
from robustbench_zosam.training import InterruptedTrainingError

_MEASUREMENTS: dict[Stage, stage_measurement.Measurement] = {
    "validation": stage_measurement.measure_validation,
    "robustness": stage_measurement.measure_robustness,
    "flatness": stage_measurement.measure_flatness,
    "landscape": stage_measurement.measure_landscape,
}


def run_cell(
    store: CellStore,
    on_progress: OnProgress,
    stop: StopRequest | None = None,
    *,
    device: str = "cpu",
    takeover: str = "",
    allow_code: bool = False,
) -> int:
    """Runs what is missing of a cell; whatever goes wrong is stored in the cell's folder.

    Args:
        store: the cell's folder, with its specification in it.
        on_progress: called with (stage, done, total).
        stop: says when to save the state and return.
        device: to compute on.
        takeover: token of a former holder of the cell that is dead.
        allow_code: whether the model may be made by the user's own code.

    Returns:
        One of the exit codes of `endings`.
    """
    stop = stop or StopRequest()
    lease = Lease.acquire(store.folder, takeover=takeover)
    if lease is None:
        return TAKEN
    try:
        with stop.at_any_time(), fenced(lease.check):
            store.error_file.unlink(missing_ok=True)
            sweep_temporary(store.folder)  # the lease says that nobody is writing here
            spec = store.read_spec(device=device, allow_code=allow_code)
            _run_held(store, spec, lease, on_progress, stop)
    except (InterruptedTrainingError, StoppedError):
        return INTERRUPTED
    except LeaseLostError:
        return TAKEN
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one cell must not end the others
        return _store_error(store, error)
    finally:
        lease.release()
    return DONE


def _run_held(
    store: CellStore, spec: CellSpec, lease: Lease, on_progress: OnProgress, stop: StopRequest
) -> None:
    def tell(stage: str, done: int, total: int) -> None:
        lease.report(stage, done, total)
        on_progress(stage, done, total)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(spec.threads)
        with numeric_threads(spec.threads):
            _run(store, spec, tell, stop)
    finally:
        torch.set_num_threads(before)


def _run(store: CellStore, spec: CellSpec, on_progress: OnProgress, stop: StopRequest) -> None:
    keep_freed_memory()
    torch.manual_seed(spec.seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    data = load_prepared(Path(spec.data_file))
    for stage in _missing(store, spec):
        started = time.perf_counter()
        value: StageValue
        if stage == "training":
            with stop.when_asked():
                value = stage_training.train_cell(spec, store, data, on_progress, stop)
        else:
            value = _measure(stage, spec, store, data, on_progress)
        found = Finished(value, time.perf_counter() - started, versions(), spec.device)
        with stop.when_asked():
            store.save(stage, spec.identities[stage], found)
        if stage == "training":
            store.resume_file.unlink(missing_ok=True)  # not before its result is safe
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


def _store_error(store: CellStore, error: BaseException) -> int:
    message = str(error).strip().splitlines() or ["no message"]
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    trace = "".join(traceback.format_exception(error))
    code = OUT_OF_MEMORY if _lacks_memory(error) else FAILED
    with suppress(OSError):  # a full disk; the exit code says enough
        store.fail(kind + message[0], trace, final=code == FAILED)
    return code


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # on a CPU


def _teller(cell: str, events: int | None, stop: StopRequest) -> Callable[[str, int, int], None]:
    def tell(stage: str, done: int, total: int) -> None:
        if events is not None:
            news = json.dumps([cell, stage, done, total])
            try:
                os.write(events, news.encode() + b"\n")  # in one piece: the cells share a pipe
            except BrokenPipeError:  # the run is dead
                os._exit(INTERRUPTED)
        if stage != "training":
            stop.look()  # a measurement starts over, and files are whole or absent

    return tell


def main(arguments: Sequence[str]) -> int:
    """Runs the cell that the command line names in this process; returns the exit code."""
    options = cell_arguments.parse(arguments)
    faulthandler.enable()
    redact_own_messages()
    cell_arguments.end_with(options.lifeline)
    if options.cores:
        share_cores(options.cores)
    stop = StopRequest()
    store = CellStore(options.folder)
    sys.stderr.write(f"{ATTEMPT_MARK}{options.attempt}, {now()}, {ProcessName.current()}\n")
    with on_signals(stop.request):
        if hasattr(signal, "pthread_sigmask"):  # a server blocks them for its forks
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return run_cell(
            store,
            _teller(store.folder.name, options.events, stop),
            stop,
            device=options.device,
            takeover=options.takeover,
            allow_code=options.allow_code,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
