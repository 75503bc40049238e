"""What is published: versions that agree, metadata, and `corruptions` installable alone."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import corruptions
import robustbench_zosam

ROOT = Path(__file__).resolve().parents[1]


def project(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def test_one_version_everywhere():
    version = robustbench_zosam.__version__
    assert project(ROOT)["version"] == version
    assert project(ROOT / "corruptions")["version"] == version
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == version


def test_corruptions_needs_what_it_declares():
    """Every module imported anywhere in it is the standard library's, its own, or declared."""
    import sys

    known = {"filelock", "numpy", "PIL", "torch", "corruptions", "__future__"}
    known |= {*sys.stdlib_module_names}
    found = set()
    for file in (ROOT / "corruptions").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).partition(".")[0])
    assert found - known == set()
    declared = {
        re.split(r"[<>=]", str(item))[0] for item in project(ROOT / "corruptions")["dependencies"]
    }
    assert declared == {"filelock", "numpy", "pillow", "torch"}


def test_its_requirements_are_those_of_the_whole():
    """One set of bounds: what is tested with the whole is what the part asks for."""
    assert {*project(ROOT / "corruptions")["dependencies"]} <= {*project(ROOT)["dependencies"]}


def test_every_module_of_corruptions_is_packaged():
    options = tomllib.loads((ROOT / "corruptions" / "pyproject.toml").read_text("utf-8"))
    patterns = options["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]
    home = Path(corruptions.__file__).parent
    packaged = {file for pattern in patterns for file in home.glob(pattern)}
    assert {*home.rglob("*.py")} <= packaged
