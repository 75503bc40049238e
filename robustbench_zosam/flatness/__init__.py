"""Flatness of a minimum: curvature of the loss over the active parameters."""

from robustbench_zosam.flatness.active import ActiveSet, nonzero_masks, resolve
from robustbench_zosam.flatness.gate import GateResult, gate
from robustbench_zosam.flatness.hutchinson import ProbeEstimate, hutchinson
from robustbench_zosam.flatness.network import Data, Network
from robustbench_zosam.flatness.operators import HessianOperator, LinearOperator, MatrixOperator
from robustbench_zosam.flatness.results import ImageMean, TraceResult
from robustbench_zosam.flatness.trace import hessian_trace

__all__ = [  # noqa: RUF022 - grouped by purpose
    # measures
    "hessian_trace",
    "gate",
    # their results
    "TraceResult",
    "ImageMean",
    "GateResult",
    # algorithms, for any operator
    "hutchinson",
    "ProbeEstimate",
    # operators
    "LinearOperator",
    "MatrixOperator",
    "HessianOperator",
    # what they are about
    "Network",
    "Data",
    "ActiveSet",
    "resolve",
    "nonzero_masks",
]
