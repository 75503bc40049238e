"""The direction of imports: no package imports a later one, and none go in a circle."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "robustbench_zosam"
PICTURE = ROOT / "docs" / "architecture.md"

# From the lowest layer to the highest; whoever adds a package says here where it belongs. Members
# of one layer may import each other, but not in a circle.
LAYERS = (
    ("schema",),
    (
        "errors",
        "checks",
        "files",
        "arrays",
        "privacy",
        "seeds",
        "registry",
        "user_code",
        "options",
        "machine",
        "precision",
        "provenance",
        "_lazy",
    ),
    ("corruptions",),
    (
        "config",
        "config_fields",
        "config_sweeps",
        "config_training",
        "options",
        "recipes",
        "loading",
    ),
    ("metrics",),
    ("data",),
    ("fetching",),
    ("models",),
    ("sparsity",),
    ("optim",),
    ("training",),
    ("robustness",),
    ("flatness",),
    ("landscape",),
    ("statistics",),
    ("analysis",),
    ("claims",),
    ("results",),
    ("report",),
    ("measurement",),
    ("runs", "nzk"),
    ("api",),
    ("cli", "__main__"),
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
_TARGET = re.compile(r"(?:robustbench_zosam|corruptions)(?:\.\w+)+:\w+")  # a registry's lazy import


class Import(NamedTuple):
    """One import between two packages, and where it stands."""

    importer: str
    imported: str
    where: str


def package_of(module: str) -> str | None:
    """Returns the package or lowest-level module that a dotted name lies in, if it is ours."""
    first, *rest = module.split(".")
    if first == "corruptions":
        return first
    return rest[0] if first == PACKAGE and rest else None


def imported_modules(tree: ast.AST, module: str) -> Iterator[tuple[str, int]]:
    """Yields what a module imports anywhere in it, functions and lazy targets included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Constant) and _TARGET.fullmatch(str(node.value)):
            yield str(node.value).replace(":", "."), node.lineno


def imports(root: Path) -> Iterator[Import]:
    """Yields the imports that cross from one package under `root` to another."""
    for file in sorted([*root.glob(f"{PACKAGE}/**/*.py"), *root.glob("corruptions/**/*.py")]):
        relative = file.relative_to(root)
        module = ".".join(relative.with_suffix("").parts)
        importer = package_of(module)
        if importer == "__init__":  # names that are imported when they are first used
            continue
        tree = ast.parse(file.read_text("utf-8"))
        for name, line in imported_modules(tree, module):
            imported = package_of(name)
            if importer and imported and imported not in {importer, "__init__", "__version__"}:
                yield Import(importer, imported, f"{relative}:{line}")


def upward(found: Iterable[Import]) -> list[str]:
    """Returns the imports of a higher layer, and those of a package that has no layer."""
    return [
        f"{where}: {importer} imports {imported}"
        for importer, imported, where in found
        if HEIGHT.get(imported, len(LAYERS)) > HEIGHT.get(importer, -1)
    ]


def circle(found: Iterable[Import]) -> list[str]:
    """Returns the packages of a circle of imports in a row, or nothing."""
    graph: dict[str, set[str]] = {}
    for importer, imported, _ in found:
        graph.setdefault(importer, set()).add(imported)
    done: set[str] = set()

    def walk(package: str, path: list[str]) -> list[str]:
        if package in path:
            return [*path[path.index(package) :], package]
        if package not in done:
            for imported in sorted(graph.get(package, ())):
                if closed := walk(imported, [*path, package]):
                    return closed
            done.add(package)
        return []

    return next((closed for package in sorted(graph) if (closed := walk(package, []))), [])


@pytest.fixture(scope="module")
def found() -> list[Import]:
    return list(imports(ROOT))


def test_no_package_imports_a_later_one(found: list[Import]) -> None:
    assert upward(found) == []


def test_no_packages_import_each_other(found: list[Import]) -> None:
    assert circle(found) == []


def test_corruptions_stands_alone(found: list[Import]) -> None:
    assert [item.where for item in found if item.importer == "corruptions"] == []


def test_only_its_verb_imports_nzk(found: list[Import]) -> None:
    assert {item.importer for item in found if item.imported == "nzk"} <= {"cli"}


def test_every_package_has_a_layer() -> None:
    entries = (ROOT / PACKAGE).iterdir()
    names = {e.stem for e in entries if e.is_dir() or e.suffix == ".py"}
    assert names - {"__init__", "__pycache__"} <= HEIGHT.keys()


def test_the_picture_shows_every_package_and_true_imports(found: list[Import]) -> None:
    picture = PICTURE.read_text("utf-8").split("```")[1]
    nodes = dict(re.findall(r'^ +(\w+)\["(.+)"\]$', picture, re.MULTILINE))
    members = {
        node: {node, *re.findall(r"\w+", label.partition("<br/>")[0])} & {*HEIGHT}
        for node, label in nodes.items()
    }
    assert set.union(*members.values()) >= {*HEIGHT} - {"_lazy", "__main__"}
    imported = {(item.importer, item.imported) for item in found}
    chains = [re.findall(r"\w+", line) for line in picture.splitlines() if "-->" in line]
    arrows = [arrow for chain in chains for arrow in itertools.pairwise(chain)]
    assert arrows
    for tail, head in arrows:
        assert imported & {*itertools.product(members[tail], members[head])}, (tail, head)


@pytest.mark.parametrize(
    "line",
    [
        "from robustbench_zosam.runs.plan import plan",
        "import robustbench_zosam.runs.plan",
        "from robustbench_zosam import runs",
        "from ..runs import plan",
        "def late():\n    from robustbench_zosam.runs import plan",
        "if TYPE_CHECKING:\n    from robustbench_zosam.runs import plan",
        'TARGET = "robustbench_zosam.runs.plan:plan"',
        "from robustbench_zosam.newcomer import thing",
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, line: str) -> None:
    module = tmp_path / PACKAGE / "flatness" / "made_up.py"
    module.parent.mkdir(parents=True)
    module.write_text(f"from robustbench_zosam.data import Dataset\n{line}\n")
    [complaint] = upward(imports(tmp_path))
    assert complaint.startswith(f"{PACKAGE}/flatness/made_up.py:")


def test_a_circle_is_found(tmp_path: Path) -> None:
    for importer, imported in (("runs", "nzk"), ("nzk", "runs")):
        module = tmp_path / PACKAGE / importer / "made_up.py"
        module.parent.mkdir(parents=True)
        module.write_text(f"from robustbench_zosam.{imported} import thing\n")
    found = list(imports(tmp_path))
    assert upward(found) == []
    assert circle(found) == ["nzk", "runs", "nzk"]
