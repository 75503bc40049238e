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


def test_the_conda_recipe_has_the_version_and_every_requirement():
    recipe = (ROOT / "release" / "conda" / "recipe.yaml").read_text("utf-8")
    assert f'version: "{robustbench_zosam.__version__}"' in recipe
    listed = set(re.findall(r"^    - ([\w-]+) >=", recipe, re.MULTILINE))
    conda = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    for requirement in project(ROOT)["dependencies"]:
        name = re.split(r"[<>=;]", requirement)[0]
        if ";" not in requirement:  # of one system only
            assert conda.get(name, name.replace("typing-", "typing_")) in listed


def test_pythons_are_those_that_are_tested():
    """The classifiers name what the noxfile runs."""
    named = {item.rpartition(" ")[2] for item in project(ROOT)["classifiers"] if ":: 3." in item}
    tested = re.search(
        r"^PYTHONS = (\[.*\])", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE
    )
    assert tested is not None
    assert named == {*ast.literal_eval(tested[1])}
