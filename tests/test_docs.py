"""What README and documentation print works: commands parse, code runs or compiles."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import typer

from robustbench_zosam.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "corruptions" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
TUTORIALS = ("docs/tutorials/your-model.md", "docs/tutorials/experiment.md", "README.md")
GROUP = typer.main.get_command(app)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in _FENCE.findall(page.read_text("utf-8")) if name == language]


def commands() -> Iterator[tuple[str, str]]:
    """Yields the printed commands of the tool, without comments and what stands before them."""
    for page in PAGES:
        for code in (*blocks(page, ""), *blocks(page, "console"), *blocks(page, "sh")):
            for line in code.replace("\\\n", " ").splitlines():
                found = re.search(r"(?:^|uv run |&& )zosam-robust (\w.*)", line.partition("  #")[0])
                if found and "…" not in found[1] and "NAME=VALUE" not in found[1]:
                    yield f"{page.relative_to(ROOT)}: {line.strip()}", found[1].rstrip(" &\\")


COMMANDS = dict(commands())


def test_commands_are_found():
    assert sum(where.startswith("README.md") for where in COMMANDS) >= 2


@pytest.mark.parametrize("where", COMMANDS)
def test_a_printed_command_is_understood(where: str):
    verb, *arguments = shlex.split(COMMANDS[where], comments=True)
    GROUP.commands[verb].make_context(verb, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_is_code(page: Path):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_code_of_a_page_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_names: dict[str, object]
):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = dict(digits_names) if name == "README.md" else {}
    for code in blocks(ROOT / name, "python"):
        exec(compile(code, name, "exec"), names)


@pytest.fixture
def digits_names() -> dict[str, object]:
    """What a reader of the README has: a model, images, labels and a short experiment."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(24, 3, 16, 16, generator=generator)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 10))
    return {"model": model, "images": images, "labels": torch.arange(24) % 10, "torch": torch}


def test_the_readme_is_short():
    words = re.sub(r"<[^>]+>|\]\([^)]*\)", " ", (ROOT / "README.md").read_text("utf-8")).split()
    assert len(words) < 700
