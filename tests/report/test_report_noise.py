"""Wrong training labels are said first."""

from __future__ import annotations

from robustbench_zosam.report.build import render
from robustbench_zosam.report.run import Run
from robustbench_zosam.results.robustbench import entries


def test_label_noise_is_in_the_first_lines(make):
    clean = render(Run(make(kinds=2, seeds=2, corruptions=2, n=20), None))
    results = make(kinds=2, seeds=2, corruptions=2, n=20)
    results["data"]["label_noise"] = {
        "kind": "symmetric", "asked": 0.2, "changed": 216, "images": 1078, "seed": 0,
    }  # fmt: skip
    page = render(Run(results, None))
    said = "216 of 1,078 training labels (20 %) are wrong on purpose"
    assert said in page[: page.index('id="methods"')]
    assert "wrong on purpose" not in clean
    assert all(said in entry["footnote"] for entry in entries(results).values())
