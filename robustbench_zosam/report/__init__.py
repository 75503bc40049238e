"""The page: one self-contained HTML file from stored results."""

from robustbench_zosam.report.build import build_report
from robustbench_zosam.report.side_by_side import build_side_by_side

__all__ = ["build_report", "build_side_by_side"]
