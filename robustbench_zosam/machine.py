"""What this machine provides."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from robustbench_zosam.errors import InputError

_GPU_NODES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # NVIDIA, Windows' Linux, AMD
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_COLLAPSE = 25  # of madvise(2), from Linux 6.1
_HUGE = 2**21
_ANONYMOUS = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0\s*(?:\[heap\])?")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_share: int | None = None  # of the cores, where this process is one of several


def cores() -> int:
    """Returns how many cores this process may use."""
    if _share is not None:
        return _share
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return found or 1


def share_cores(count: int) -> None:
    """Leaves this process a share of the cores, for work whose results do not depend on it."""
    global _share
    _share = count


@contextlib.contextmanager
def numeric_threads(count: int) -> Iterator[None]:
    """Computes with a fixed number of threads in linear algebra, whose last bits depend on it."""
    if all(os.environ.get(name) == str(count) for name in THREAD_VARIABLES):
        yield  # as the libraries were loaded
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(count):
        yield


def memory_bytes() -> int | None:
    """Returns the size of the memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def peak_memory_bytes() -> int | None:
    """Returns the most memory that this process has had; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return _peak_working_set()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024  # kilobytes everywhere but on macOS


def _peak_working_set() -> int | None:
    try:
        import psutil
    except ImportError:
        return None
    return getattr(psutil.Process().memory_info(), "peak_wset", None)


def keep_freed_memory() -> None:
    """Keeps memory that is freed in this process, for the next step to use.

    By default glibc gives large blocks back to the system each time, and every step of a training
    pays for clean pages again: a tenth of its time on a CPU. Other C libraries are left alone.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)


def join_pages() -> None:
    """Joins the pages of this process's memory into large ones, where the system can.

    A fork copies the table of the pages, and the end of a process clears it: for the 400 MB of
    torch and what it imports, most of what an empty process costs.
    """
    with contextlib.suppress(OSError, AttributeError):
        advise = ctypes.CDLL(None).madvise
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            if (found := _ANONYMOUS.fullmatch(line)) is not None:
                first, last = (int(found[part], 16) for part in (1, 2))
                first, last = -(-first // _HUGE) * _HUGE, last // _HUGE * _HUGE
                if first < last:
                    advise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _COLLAPSE)


def has_gpu() -> bool:
    """Returns whether this machine has the driver of a GPU, without loading torch."""
    return any(Path(node).exists() for node in _GPU_NODES)


def choose_device(wanted: str) -> str:
    """Returns "cpu", "mps" or "cuda:N" for "auto", "cpu", "mps", "cuda" or "cuda:N".

    Raises:
        InputError: the device is not available.
    """
    if wanted == "cpu":
        return wanted
    if wanted == "mps":
        return _mps()
    if wanted != "auto" and not wanted.startswith("cuda"):
        raise InputError(f"unknown device {wanted!r}: use auto, cpu, mps, cuda or cuda:N")
    count = 0
    if wanted != "auto" or has_gpu():
        import torch  # seconds, which a machine without a GPU need not spend

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0 and wanted == "auto":
            warnings.warn(
                f"a GPU is present, but torch {torch.__version__} cannot use it: everything runs "
                "on the CPU; check the driver and the build of torch, or give --device cpu",
                stacklevel=2,
            )
    if wanted == "auto":
        return "cuda:0" if count else "cpu"
    index = wanted.partition(":")[2] or "0"
    if not index.isdigit() or int(index) >= count:
        raise InputError(
            f"device {wanted!r} is not available ({count} GPUs found): use --device cpu"
        )
    return f"cuda:{index}"


def _mps() -> str:
    import torch

    if not torch.backends.mps.is_available():
        raise InputError("device 'mps' is not available (no Apple GPU found): use --device cpu")
    return "mps"
