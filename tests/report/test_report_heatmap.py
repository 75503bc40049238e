"""The map of differences: colour only where a difference is shown."""

import copy

from robustbench_zosam.report.build import render
from robustbench_zosam.report.heatmap import difference_map
from robustbench_zosam.report.run import Run


def test_only_decided_differences_have_a_colour_and_its_side(make):
    results = copy.deepcopy(make(kinds=3, seeds=2, corruptions=2, n=40, slices=False))
    words = {"clean": "tie", "mean": "better", "gaussian_noise": "worse", "shot_noise": "tie"}
    for comparison in results["comparisons"]:
        for row in comparison["rows"]:
            row["verdict"] = words[row["corruption"]]
            row["difference"] = {"better": 0.04, "worse": -0.02, "tie": 0.01}[row["verdict"]]
    run = Run(results, None)
    found = difference_map(run)
    assert len(found.heads) == len(run.main_comparisons)
    assert [row.name for row in found.rows[:2]] == ["clean images", "mean over corruptions"]
    clean, mean, noise, shot = (row.cells[0] for row in found.rows)
    assert (clean.fill, shot.fill, clean.text) == ("", "", "+1.0")
    assert mean.fill == "#0066b3"  # the largest difference, blue
    red, _, blue = (int(noise.fill[i : i + 2], 16) for i in (1, 3, 5))
    assert red > blue
    assert (noise.text, float(noise.digits)) == ("−2.0", -2.0)
    assert "Method − baseline, in points" in render(run)


def test_without_comparisons_there_is_no_map(make):
    made = make(kinds=1, seeds=1, corruptions=1, n=20, dense=False, slices=False)
    assert difference_map(Run(made, None)) is None
