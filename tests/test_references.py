"""What documentation, docstrings and comments point at exists."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("robustbench_zosam", "corruptions")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
SOURCES = [*ROOT.glob("robustbench_zosam/**/*.py"), *ROOT.glob("corruptions/**/*.py")]
_LINK = re.compile(r"\]\(([^)#]+)")
_FILE = re.compile(r"(?<![\w./-])[\w-]+(?:/[\w-]+)+\.(?:py|md)\b")
_MODULE = re.compile(r"\b(?:robustbench_zosam|corruptions)(?:\.[a-z_0-9]+)+\b(?!\.py|\()")
_PLACEHOLDER = ("NAME", "OUT", "RUN")


def lines(files: list[Path]) -> Iterator[tuple[Path, str, str]]:
    for file in files:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
            yield file, f"{file.relative_to(ROOT)}:{number}", line


def exists(module: str) -> bool:
    """Whether a dotted name is a module, or what a module may have."""
    for name in (module, module.rpartition(".")[0]):
        try:
            if importlib.util.find_spec(name) is not None:
                return True
        except ModuleNotFoundError:
            continue
    return False


def test_links_between_pages_lead_somewhere():
    dead = [
        f"{where}: {link}"
        for file, where, line in lines(PAGES)
        for link in _LINK.findall(line)
        if "://" not in link and not (file.parent / link).exists()
    ]
    assert dead == []


def test_named_files_exist():
    roots = (ROOT, *(ROOT / package for package in PACKAGES))
    gone = [
        f"{where}: {name}"
        for file, where, line in lines([*PAGES, *SOURCES])
        for name in _FILE.findall(line)
        if "://" not in line and not any(word in name for word in _PLACEHOLDER)
        if not any((home / name).exists() for home in (*roots, file.parent))
    ]
    assert gone == []


def test_named_modules_exist():
    gone = [
        f"{where}: {name}"
        for _, where, line in lines([*PAGES, *SOURCES])
        for name in _MODULE.findall(line)
        if not name.endswith(".py") and not exists(name)
    ]
    assert gone == []
