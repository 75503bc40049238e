"""A whole run on top of a recipe: trained as it says, and told in the results and on the page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from robustbench_zosam.files import read_json
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.estimate import describe
from robustbench_zosam.runs.plan import make_plan

EXTRAS = {
    "training.ema_decay": 0.9,
    "training.clip_norm": 1.0,
    "suite.corruptions": ["contrast"],
    "flatness.enabled": False,
    "landscape.enabled": False,
}


def test_a_recipe_is_used_and_what_was_changed_is_told(lab: SimpleNamespace, tmp_path: Path):
    (tmp_path / "images").mkdir()
    lab.write_images(tmp_path / "images")
    config = lab.small(tmp_path / "images", tmp_path / "out", recipe="quick", **EXTRAS)
    plan = make_plan(config)
    assert "changed: training.epochs = 2 where the recipe has 45" in describe(plan)
    assert experiment.run(plan, lambda event: None).failed == {}
    results = read_json(tmp_path / "out" / "results.json")
    used = results["config"]["training"]
    assert (used["precision"], used["schedule"], used["epochs"]) == ("bf16", "one-cycle", 2)
    changed = results["recipe"]["changed"]
    assert changed["training.epochs"] == {"recipe": 45, "used": 2}
    assert "training.precision" not in changed
    for cell in results["cells"]:
        training = cell["training"]
        assert cell["status"] == "done"
        assert training["history"][0]["lr"] == pytest.approx(0.2, rel=0.3)
        assert training["averaged"]["updates"] == training["steps"]
        assert training["diagnostics"]["clipped"] <= training["steps"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Recipe <code>quick</code> (this project; " in page
    assert "<code>training.epochs</code> 2 instead of 45" in page
