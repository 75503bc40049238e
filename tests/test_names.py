"""One public class, one name: a reader who sees `Comparison` need not ask which."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def homonyms(root: Path) -> dict[str, list[str]]:
    """Returns the public classes that several modules define, with those modules."""
    places: dict[str, list[str]] = defaultdict(list)
    for file in sorted([
        *root.glob("robustbench_zosam/**/*.py"),
        *root.glob("corruptions/**/*.py"),
    ]):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(file.relative_to(root)))
    return {name: files for name, files in places.items() if len(files) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    assert homonyms(ROOT) == {}


def test_homonyms_are_found(tmp_path: Path) -> None:
    for package in ("robustbench_zosam", "corruptions"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "a.py").write_text("class Twin: ...\nclass _Twin: ...\n")
    assert homonyms(tmp_path) == {"Twin": ["corruptions/a.py", "robustbench_zosam/a.py"]}
