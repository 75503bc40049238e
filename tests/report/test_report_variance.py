"""The figure of gradient variances, where a run has diagnostics."""

import numpy as np

from robustbench_zosam.report.figures.training import training_curves, variances
from robustbench_zosam.report.run import Run


def test_gradient_variances_are_drawn_where_they_were_measured(make):
    results = make(kinds=3, seeds=2, corruptions=2, n=40, flat=False, slices=False)
    titles = [panel.title for panel in training_curves(Run(results, None)).panels]
    assert not any("variance" in title for title in titles)
    chosen = results["cells"][0]["method"]
    for cell in results["cells"]:
        if cell["method"] == chosen:
            rows = [
                {"epoch": e, "step": 17 * e, "variance": (cell["seed"] + 1) / e} for e in (2, 4)
            ]
            cell["training"]["diagnostics"] = {"gradients": [*rows, {"step": 99, "variance": None}]}
    run = Run(results, None)
    steps, values = variances(run, next(m for m in run.methods if m.id == chosen))
    assert np.array_equal(steps, [[34, 68], [34, 68]])
    assert np.array_equal(values, [[0.5, 0.25], [1.0, 0.5]])
    block = training_curves(run)
    assert [panel.title for panel in block.panels][:-1] == titles
    assert "variance" in block.panels[-1].title
    assert "At the end" in str(block.panels[-1].svg)
