"""The examples run, print what they promise, and use what any user may."""

from __future__ import annotations

import ast
import importlib
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = {file.name: file for file in sorted((ROOT / "examples").glob("*.py"))}
TRAINED = {
    "training_loop.py": "504 of 5,036 weights are active",
    "flatness.py": "trace of the Hessian: ",
    "corrupted_images.py": "jpeg_compression",
    "measure_a_model.py": "mean_corruption_accuracy",
}


@pytest.mark.parametrize("name", TRAINED)
def test_an_example_runs(name: str, capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    runpy.run_path(str(EXAMPLES[name]), run_name="__main__")
    assert TRAINED[name] in capsys.readouterr().out


def test_results_become_data_frames(
    tmp_path: Path,
    runs: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    folder = runs.write_run(tmp_path / "run", runs.make_results())
    monkeypatch.setattr(sys, "argv", ["results_to_pandas.py", str(folder)])
    runpy.run_path(str(EXAMPLES["results_to_pandas.py"]), run_name="__main__")
    out = capsys.readouterr().out
    assert "zo-sam-rigl-0.9" in out
    assert "p_holm" in out


def test_every_example_is_tested_and_linked():
    assert EXAMPLES.keys() == {*TRAINED, "results_to_pandas.py"}
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in EXAMPLES if f"examples/{name}" not in readme] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_imports_what_packages_export(name: str):
    """`robustbench_zosam.PACKAGE`, and no module inside one: that may move."""
    tree = ast.parse(EXAMPLES[name].read_text("utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [(node.module or "", alias.name) for node in nodes for alias in node.names]
    ours = [pair for pair in ours if pair[0].startswith(("robustbench_zosam", "corruptions"))]
    assert ours
    assert [module for module, _ in ours if module.count(".") > 1] == []
    for module, item in ours:
        assert hasattr(importlib.import_module(module), item), f"{module} exports no {item}"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its cells in order, as a kernel runs them; nothing stored in it can be stale."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    notebook = json.loads((ROOT / "examples" / "your_model.ipynb").read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {}
    for cell in code:
        exec(compile("".join(cell["source"]), "your_model.ipynb", "exec"), names)
    assert (tmp_path / "model.html").is_file()
    assert [cell["outputs"] for cell in code] == [[] for _ in code]
