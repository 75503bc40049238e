"""Where a result comes from."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from robustbench_zosam.machine import memory_bytes
from robustbench_zosam.privacy import redacted_command
from robustbench_zosam.schema import Hardware

_PACKAGES = ("zosam-robust", "torch", "torchvision", "numpy", "scipy", "pillow")


def now() -> str:
    """Returns the time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> tuple[str | None, bool | None]:
    """Returns the commit of this package's source tree, and whether it was changed since.

    Both are None for an installed package.
    """
    folder = Path(__file__).resolve().parent
    head = _git(folder, "rev-parse", "HEAD")
    if head is None or _git(folder, "ls-files", "--error-unmatch", __file__) is None:
        return None, None
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return head, bool(status)


def hardware(device: str) -> Hardware:
    """Returns what the run computes on."""
    if device.startswith("cuda"):
        import torch  # loaded already by whoever chose this device

        device = torch.cuda.get_device_name(device)
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": memory_bytes(),
        "devices": [device],
    }


def command() -> str:
    """Returns the command line as a user would type it, without what others must not read."""
    program = Path(sys.argv[0]).name
    return redacted_command([program, *sys.argv[1:]])


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
