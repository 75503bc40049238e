"""The page: one self-contained HTML file from stored results."""

from robustbench_zosam.report.build import build_report

__all__ = ["build_report"]
