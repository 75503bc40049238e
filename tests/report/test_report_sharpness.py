"""The table of eigenvalues and sharpness behind the flatness figure."""

from __future__ import annotations

import copy

import pytest

from robustbench_zosam.report import build_report
from robustbench_zosam.report.figures.scatter import flatness_against_robustness
from robustbench_zosam.report.figures.sharpness import sharpness_tables
from robustbench_zosam.report.run import load_run


def spectrum(first):
    return {
        "lambda_1": first, "lambda_5": 0.5, "lambda_1_over_5": 2 * first,
        "residuals": [0.001, 0.04, 0.02], "smallest": -0.25, "smallest_residual": 0.1,
    }  # fmt: skip


def family(value):
    normalised = {"value": 7, "se": None}
    measure = {"name": "sam ρ=0.05", "value": value, "se": None, "logit_normalised": normalised}
    return {"measures": [measure]}


@pytest.fixture
def measured(make, write, tmp_path):
    """Two methods of two seeds; the second seed's λ1 is 4 against 2, its sharpness overflowed."""
    results = copy.deepcopy(make(kinds=2, seeds=2, corruptions=2, n=40, dense=False))
    for cell in results["cells"]:
        facts = cell["flatness"]
        facts["spectrum"] = spectrum(4.0 if cell["seed"] else 2.0)
        facts["sharpness"] = family(None if cell["seed"] else 0.125)
    return write(tmp_path, results)


def test_means_over_seeds_with_their_errors_and_gaps(measured):
    (table,) = sharpness_tables(load_run(measured))
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.head[0] == "measure"
    assert len(table.head) == 3
    assert rows["λ1"] == ("3.00 ± 1.0",) * 2  # 2 and 4: deviation √2, error of the mean 1
    assert rows["λ1 / λ5"] == ("6.00 ± 2.0",) * 2
    assert rows["largest residual of λ1 to λ5"][0].startswith("0.0400")
    assert rows["λmin"][0].startswith("−0.250")
    assert rows["sam ρ=0.05"] == ("0.125 (1 of 2 seeds)",) * 2
    assert rows["sam ρ=0.05, logits normalised"][0].startswith("7.00")


def test_the_figure_shows_it_and_none_without_measurements(measured, make, write, tmp_path):
    run = load_run(measured)
    assert flatness_against_robustness(run).tables == sharpness_tables(run)
    assert "λ1 / λ5" in build_report(measured).read_text(encoding="utf-8")
    bare = write(tmp_path / "bare", make(kinds=1, seeds=1, corruptions=2, n=40, dense=False))
    assert sharpness_tables(load_run(bare)) == ()
