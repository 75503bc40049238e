"""What the site makes when it is built: reference pages, and what lies outside `docs`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "corruptions/README.md",
    "reports/README.md",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, and the files outside `docs` that pages link to."""
    sys.path.insert(0, str(Path(__file__).parent))
    import pages  # imports the project

    for name, text in pages.generated().items():
        files.append(File.generated(config, name, content=text))
    for path in _outside():
        name = str(path.relative_to(ROOT))
        if path.suffix == ".md":
            files.append(File.generated(config, _uri(path), content=path.read_text("utf-8")))
        else:
            files.append(File.generated(config, f"source/{name}", abs_src_path=str(path)))
    return files


def _outside() -> set[Path]:
    """Returns the files outside `docs` that pages link to, and those that these link to."""
    found: set[Path] = set()
    waiting = [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in _OUTSIDE)]
    found |= {ROOT / name for name in _OUTSIDE}
    while waiting:
        page = waiting.pop()
        for target in _targets(page):
            if target not in found and ROOT / "docs" not in target.parents:
                found.add(target)
                waiting += [target] if target.suffix == ".md" else []
    return found


def _targets(page: Path) -> Iterator[Path]:
    """Yields the files of this repository that a page links to."""
    for link, _ in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        target = Path(os.path.normpath(page.parent / link))
        if target.is_file() and ROOT in target.parents:
            yield target


def _uri(path: Path) -> str:
    """Returns where a file of the repository stands in the site's sources."""
    if ROOT / "docs" in path.parents:
        return str(path.relative_to(ROOT / "docs"))
    name = str(path.relative_to(ROOT))
    return f"source/{name.replace('README', 'about')}" if path.suffix == ".md" else f"source/{name}"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Makes links between files of the repository links between pages of the site."""
    del config, files
    here = page.file.src_uri
    home = ROOT / "docs" / here
    if here.startswith("source/"):
        home = ROOT / here.removeprefix("source/").replace("about", "README")

    def rewritten(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(home.parent / match[1]))
        if not target.is_file():
            return match[0]
        link = os.path.relpath(_uri(target), Path(here).parent)
        return f"]({link}{match[2] or ''})"

    pieces = re.split(r"(^```.*?^```)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(p if p.startswith("```") else _LINK.sub(rewritten, p) for p in pieces)
