"""What fits in memory: kernels of n examples with C outputs have (nC)² entries."""

from __future__ import annotations

from robustbench_zosam.errors import InputError
from robustbench_zosam.machine import memory_bytes

BLOCK = 1 << 23  # numbers in double precision that are worked on at a time
_UNKNOWN = 8 << 30  # bytes assumed where the system does not say how many it has
_SHARE = 0.5  # of the memory; the rest is for what is computed from it


def require_memory(what: str, numbers: int, advice: str) -> None:
    """Refuses float64 arrays that do not fit in half of the memory, before they are made.

    Args:
        what: the arrays, for the message.
        numbers: how many entries they have together.
        advice: how to need less.

    Raises:
        InputError: they do not fit.
    """
    total = memory_bytes() or _UNKNOWN
    if 8 * numbers > _SHARE * total:
        raise InputError(
            f"{what} needs {8 * numbers / 2**30:.3g} GiB, more than half of this machine's "
            f"{total / 2**30:.3g} GiB: {advice}"
        )


def require_kernel_memory(rows: int, *, copies: int) -> None:
    """Refuses kernels that do not fit in memory.

    Args:
        rows: examples times outputs, nC.
        copies: how many kernels are held at a time.

    Raises:
        InputError: they do not fit.
    """
    require_memory(
        f"a kernel of {rows:,} × {rows:,} entries (examples times outputs, squared)",
        copies * rows**2,
        "take fewer examples or fewer outputs",
    )
