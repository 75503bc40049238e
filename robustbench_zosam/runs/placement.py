"""Which device and how many cores each cell gets of a machine; no result depends on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from robustbench_zosam.config import RunConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.machine import choose_device, cores

_SINGLE = ("cpu", "mps")  # devices of which a machine has one


@dataclass(frozen=True)
class Placement:
    """A place for one cell.

    Attributes:
        device: as the cell's process names it, "cpu", "mps" or "cuda:N".
        visible: the devices that its process sees, as CUDA_VISIBLE_DEVICES; None leaves that alone.
        cores: for work such as decoding images.
    """

    device: str = "cpu"
    visible: str | None = None
    cores: int = 1

    def arguments(self) -> list[str]:
        """Returns the arguments for the process of a cell."""
        return [f"--device={self.device}", f"--cores={self.cores}"]

    def environment(self) -> dict[str, str]:
        """Returns what its process needs in its environment."""
        return {} if self.visible is None else {"CUDA_VISIBLE_DEVICES": self.visible}


def place_cells(run: RunConfig, cells: int) -> tuple[str, int, tuple[Placement, ...]]:
    """Returns the device in this process's words, the number of workers, and a place for each.

    All GPUs are used unless one is named; by default each has one cell at a time. Workers beyond
    that share the GPUs in turns. No workers means this process, which has one place.

    Args:
        cells: how many there are.
    """
    device = choose_device(run.device)
    groups = [None] if device in _SINGLE else _groups(run, device)
    workers = run.workers
    if workers is None:
        slots = cores() // (run.threads or 1) if device == "cpu" else len(groups)
        workers = max(min(slots, cells), 1)
    share = max(cores() // max(workers, 1), 1)
    if workers == 0:
        return device, 0, (Placement(device, None, share),)
    named = device if device in _SINGLE else "cuda:0"
    places = (Placement(named, groups[i % len(groups)], share) for i in range(workers))
    return device, workers, tuple(places)


def _groups(run: RunConfig, device: str) -> list[str | None]:
    """Returns the devices that each of the cells sees that fit on the GPUs at a time."""
    import torch

    if run.device in {"auto", "cuda"}:
        numbers: Sequence[int] = range(torch.cuda.device_count())
    else:
        numbers = [int(device.partition(":")[2])]
    return group_devices([_visible(number) for number in numbers], run.gpus_per_cell)


def group_devices(devices: Sequence[str], per_cell: float) -> list[str | None]:
    """Returns groups of devices, one for each cell that runs at a time.

    Args:
        per_cell: a whole number of devices, or a fraction 1 / n of one.

    Raises:
        InputError: the devices are fewer, or the fraction is none.

    Example:
        >>> group_devices(["0", "1", "2", "3"], 2)
        ['0,1', '2,3']
        >>> group_devices(["0", "1"], 0.5)
        ['0', '1', '0', '1']
    """
    if per_cell < 1:
        shares = round(1 / per_cell)
        if abs(shares * per_cell - 1) > 0.01:
            raise InputError(
                f"--gpus-per-cell {per_cell:g} must be a whole number or a fraction such as 0.5 "
                "or 0.25"
            )
        return [*devices] * shares
    if per_cell != int(per_cell):
        raise InputError(f"--gpus-per-cell {per_cell:g} must be a whole number, or at most 1")
    size = int(per_cell)
    if size > len(devices):
        raise InputError(
            f"--gpus-per-cell {size} is more than the {len(devices)} GPU(s) of this machine"
        )
    starts = range(0, len(devices) - size + 1, size)
    return [",".join(devices[start : start + size]) for start in starts]


def _visible(number: int) -> str:
    """Returns a device in the words of the driver, for which torch's numbers start anywhere."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return listed.split(",")[number].strip() if listed else str(number)
