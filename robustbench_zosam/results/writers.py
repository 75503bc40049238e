"""Results as files of other programs."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path, write_json, write_text
from robustbench_zosam.schema import Results


def write_csv(results: Results, folder: Path) -> list[Path]:
    """Writes the tidy table as CSV and returns the file."""
    from robustbench_zosam.results.frames import tidy

    file = folder / "results.csv"
    write_text(file, tidy(results).to_csv(index=False, lineterminator="\n"))
    return [file]


def write_parquet(results: Results, folder: Path) -> list[Path]:
    """Writes the tidy table as Parquet and returns the file."""
    from robustbench_zosam.results.frames import tidy

    optional("pyarrow", "parquet")
    file = folder / "results.parquet"
    with atomic_path(file) as temporary:
        tidy(results).to_parquet(temporary, engine="pyarrow", index=False)
    return [file]


def write_markdown(results: Results, folder: Path) -> list[Path]:
    """Writes the tables of a paper in Markdown and returns the file."""
    from robustbench_zosam.results.tables import tables
    from robustbench_zosam.results.typeset import markdown

    file = folder / "tables.md"
    write_text(file, "\n".join(markdown(table) for table in tables(results)))
    return [file]


def write_latex(results: Results, folder: Path) -> list[Path]:
    """Writes the tables of a paper in LaTeX and returns the file."""
    from robustbench_zosam.results.tables import tables
    from robustbench_zosam.results.typeset import latex

    file = folder / "tables.tex"
    write_text(file, "\n".join(latex(table) for table in tables(results)))
    return [file]


def write_robustbench(results: Results, folder: Path) -> list[Path]:
    """Returns the files of one model entry per finished cell, with RobustBench's JSON fields."""
    from robustbench_zosam.results.robustbench import entries

    found = entries(results)
    files = [folder / "robustbench" / f"{name}.json" for name in found]
    for file, entry in zip(files, found.values(), strict=True):
        write_json(file, entry)
    return files


def optional(module: str, extra: str) -> ModuleType:
    """Returns a module of an optional package, which an extra of this project installs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"this needs {module.partition('.')[0]}, which is not installed: pip install "
            f"'zosam-robust[{extra}]'"
        ) from error
