"""What the figure of flatness says of its measurements."""

from __future__ import annotations

from robustbench_zosam.report.figures.scatter import _left_out


def test_the_share_left_out_of_the_exact_trace_stands_on_the_page():
    exact = {"method": "exact", "skipped_mass": 2e-6}
    assert "at most 0.00020 %" in _left_out([exact, {"method": "hvp", "skipped_mass": 0.5}])
    assert _left_out([exact | {"skipped_mass": 0.0}]) == ""
