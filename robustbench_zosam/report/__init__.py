"""The page and exports: what is made of stored results, without torch."""

from robustbench_zosam.report.build import build_report
from robustbench_zosam.report.exports import EXPORTS, export
from robustbench_zosam.report.side_by_side import build_side_by_side

__all__ = ["EXPORTS", "build_report", "build_side_by_side", "export"]
