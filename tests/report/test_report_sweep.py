"""The figure of a grid: outcomes along the settings that were varied."""

from __future__ import annotations

from types import ModuleType

import pytest

from robustbench_zosam.report.build import render
from robustbench_zosam.report.figures.sweep import setting_axis, sweeps
from robustbench_zosam.report.run import Run

GRID: dict[str, list[float]] = {"optimizer.rho": [0.05, 0.5, 2], "training.lr": [0.1, 0.2]}


@pytest.fixture(scope="module")
def swept(runs: ModuleType) -> Run:
    return Run(runs.make_results(corruptions=2, n=40, slices=False, grid=GRID), None)


def test_without_a_grid_there_is_no_figure(runs: ModuleType):
    assert sweeps(Run(runs.make_results(corruptions=2, n=40, slices=False), None)) is None


def test_each_outcome_is_drawn_along_each_setting(swept: Run):
    block = sweeps(swept)
    assert block is not None
    titles = [panel.title for panel in block.panels]
    assert len(titles) == 8
    assert titles[4:6] == ["Mean accuracy under corruption along ρ", "Clean accuracy along ρ"]
    labels = [line.label for line in block.legend]
    assert "ZO-SAM lr = 0.1\u00a0· RigL 90\u00a0%" in labels  # along rho
    assert "ZO-SAM ρ = 0.5\u00a0· RigL 90\u00a0%" in labels  # along lr
    assert "SGD\u00a0· dense" in labels
    first = block.tables[1]
    assert [row[1] for row in first.rows[:3]] == ["0.05", "0.5", "2"]
    assert "[" in first.rows[0][2]


def test_a_line_has_a_marker_and_an_interval_for_each_value(swept: Run):
    block = sweeps(swept)
    assert block is not None
    along_rho = block.panels[4].svg
    lines = sum("lr =" in line.label for line in block.legend)
    assert along_rho.count("<polyline") == lines
    assert along_rho.count('class="s"') == 3 * lines


def test_the_axis_is_logarithmic_where_the_values_are():
    assert setting_axis("ρ", [0.05, 0.5, 2]).log
    assert setting_axis("ρ", [0.02, 0.05, 0.1, 0.2]).log
    assert setting_axis("ρ", [0.1, 1]).log
    assert not setting_axis("ρ", [0.1, 0.2, 0.3]).log
    assert not setting_axis("ρ", [0, 0.1, 1]).log
    assert not setting_axis("ρ", [0.1, 0.2]).log
    words = setting_axis("sides", ["one", "two"])
    assert [name for _, name in words.ticks] == ["one", "two"]
    assert [name for _, name in setting_axis("ρ", [2, 0.5]).ticks] == ["0.5", "2"]


def test_the_page_has_the_figure_and_says_what_differs(swept: Run):
    page = render(swept)
    assert 'id="sweep"' in page
    assert "Along the settings" in page
    assert "lr 0.1" not in page.partition("The same for all")[2][:300]
