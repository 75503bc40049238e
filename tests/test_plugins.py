"""Small packages outside the repository, written from the documentation alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CORRUPTION = """
import torch
from corruptions import ANY, CorruptionInfo
from corruptions.kernel import deterministic

def darken(images, row):
    return (images * row[0]).to(torch.uint8)

darkness = deterministic(darken)
info = CorruptionInfo(
    "darkness", "digital", "Every pixel times a factor.", ("factor",),
    {ANY: ((0.9,), (0.7,), (0.5,), (0.3,), (0.1,))}, "outside:darkness", random=False,
)
"""
METRIC = """
from robustbench_zosam.metrics import ConditionMetric

def worst_class(predictions):
    right = predictions.correct
    return min(float(right[predictions.labels == c].mean()) for c in set(predictions.labels))

metric = ConditionMetric(
    "worst_class", "accuracy of the worst class", worst_class, label="worst class",
    short="Worst class", unit="fraction", higher_is_better=True, bounds=(0, 1),
)
"""
RUN = """
import numpy as np, torch, robustbench_zosam as rz, corruptions
images = np.full((9, 16, 16, 3), 200, np.uint8)
assert corruptions.corrupt(images, "darkness", 3)[0, 0, 0].tolist() == [100] * 3
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3))
found = rz.evaluate(model, (images, np.arange(9) % 3), corruptions=["darkness", "contrast"],
                    flatness=False, landscape=False)
frame = found.frame()
assert set(frame.corruption) >= {"darkness", "contrast"}, frame
assert "worst_class" in set(frame.metric), frame
found.report(OUT)
"""


def install(folder: Path, points: str, **modules: str) -> dict[str, str]:
    """Returns the environment of a process that finds a package with these entry points."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    facts = folder / "outside-1.5.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.5\n")
    (facts / "entry_points.txt").write_text(points)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def listed(kind: str, environment: dict[str, str]) -> tuple[list[dict[str, str]], str]:
    code = "from robustbench_zosam.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "list", kind, "--json"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout), done.stderr


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, str]:
    points = (
        "[zosam_robust.corruptions]\ndarkness = outside:info\nbroken = nowhere:info\n"
        "[zosam_robust.metrics]\nworst_class = outside_metric:metric\n"
        "[zosam_robust.optimizers]\nbad = nowhere:info\n"
    )
    return install(tmp_path, points, outside=CORRUPTION, outside_metric=METRIC)


def test_a_corruption_and_a_metric_from_outside_are_used_everywhere(outside, tmp_path):
    code = RUN.replace("OUT", repr(str(tmp_path / "r.html")))
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=outside, check=True)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "darkness" in page
    assert "Worst class" in page


def test_list_says_where_an_entry_comes_from_and_a_broken_one_is_a_sentence(outside):
    found, said = listed("corruptions", outside)
    origins = {entry["name"]: entry["from"] for entry in found}
    assert (origins["fog"], origins["darkness"]) == ("zosam-robust", "outside 1.5")
    assert "warning: the corruption 'broken' of outside 1.5 cannot be used" in said
    assert "Traceback" not in said
    optimizers, said = listed("optimizers", outside)
    assert {"sgd", "zo-sam"} <= {entry["name"] for entry in optimizers}
    assert "warning: the optimizer 'bad' of outside 1.5 cannot be used" in said
