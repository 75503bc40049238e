"""Other people's packages, installed beside the environment.

Importing this takes the benchmarks' folder off the search path, where a script runs from it: a file
in it has the name of a package.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != BENCHMARKS]


def peer_folder(name: str) -> Path:
    """Folder that the packages of a benchmark are kept in."""
    return Path(tempfile.gettempdir()) / f"zosam-robust-{name}"


def install(folder: Path, *packages: str) -> str | None:
    """Installs packages, without what they depend on, into a folder; returns why it could not."""
    uv = shutil.which("uv")
    installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    command = [*installer, "install", "--no-deps", "--target", str(folder), *packages]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None
