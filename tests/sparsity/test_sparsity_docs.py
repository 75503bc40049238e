"""The page of sparsifiers says what the registry says."""

import re
from pathlib import Path

import torch

from robustbench_zosam.sparsity import SPARSIFIERS, Masker, Policy

PAGE = (Path(__file__).parents[2] / "docs/sparsifiers/README.md").read_text(encoding="utf-8")


def test_the_table_has_every_sparsifier_once():
    table = PAGE.split("\n## ")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", table, re.M)) == sorted(SPARSIFIERS.names())


def test_the_example_works():
    code = re.search(r"```python\n(.*?)```", PAGE.split("## Writing one")[1], re.S).group(1)
    scope = {}
    exec(code.split("SPARSIFIERS.add")[0], scope)
    policy = scope["FirstRows"]()
    assert isinstance(policy, Policy)
    model = torch.nn.Linear(3, 8)
    assert Masker(model, policy, sparsity=0.75, total_steps=1).report().active == 6


def test_the_examples_of_use_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", PAGE.split("## Writing one")[0], re.S):
        scope = {}
        exec(code, scope)
        if "saved" in scope:
            assert 0 < scope["saved"] < 0.9
