"""Reading stored results."""

from __future__ import annotations

from pathlib import Path

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.results.versions import upgrade
from robustbench_zosam.schema import Results

FILE = "results.json"


def read_results(run: Path | str) -> Results:
    """Returns the results of a finished run, in the form of this release.

    Args:
        run: its output folder, or its `results.json`.

    Returns:
        The content, upgraded from older versions.

    Raises:
        InputError: there are no results, they are damaged, or of a later version.
    """
    path = Path(run)
    file = path / FILE if path.is_dir() or path.suffix != ".json" else path
    if not file.is_file():
        raise InputError(
            f"{path} holds no {FILE}: name the output folder of `zosam-robust evaluate`"
        )
    return upgrade(read_json(file), str(file))
