"""Panels of corruptions that do nothing are folded away, and only those."""

import copy

from robustbench_zosam.report.build import render
from robustbench_zosam.report.figures.severity import severity_curves
from robustbench_zosam.report.run import Run


def test_level_panels_are_folded_away_and_keep_their_numbers(make):
    results = copy.deepcopy(make(kinds=2, seeds=2, corruptions=3, n=40, slices=False))
    for cell in results["cells"]:
        rows = cell["robustness"]["rows"]
        clean = rows[0]["accuracy"]
        for row in rows:
            if row["corruption"] == "shot_noise":
                row["accuracy"] = clean - 0.004
            elif row["corruption"] != "clean":
                row["accuracy"] = clean - 0.02 * row["severity"]
    run = Run(results, None)
    block = severity_curves(run)
    assert [panel.title for panel in block.folded] == ["shot noise"]
    assert [panel.title for panel in block.panels] == ["gaussian noise", "impulse noise"]
    assert {row[0] for row in block.tables[0].rows} >= {"shot noise"}
    assert "1 corruption of which no severity changes a mean by more than 1 point" in render(run)
