"""Flatness of a minimum: curvature of the loss over the active parameters."""

from robustbench_zosam.flatness.algorithms.eigenpairs import Eigenpairs, eigenpairs
from robustbench_zosam.flatness.algorithms.hutchinson import ProbeEstimate, hutchinson
from robustbench_zosam.flatness.algorithms.lanczos import Tridiagonal, lanczos
from robustbench_zosam.flatness.algorithms.quadrature import Quadrature, stochastic_quadrature
from robustbench_zosam.flatness.caveats import CAVEATS
from robustbench_zosam.flatness.curvature import Curvature
from robustbench_zosam.flatness.density import DensityResult
from robustbench_zosam.flatness.exact.gate import GateResult, gate
from robustbench_zosam.flatness.functions import (
    hessian_trace,
    sharpness,
    spectral_density,
    top_eigenvalues,
)
from robustbench_zosam.flatness.means import SampleMean
from robustbench_zosam.flatness.model.active import ActiveSet, nonzero_masks, resolve
from robustbench_zosam.flatness.model.network import Data, Network
from robustbench_zosam.flatness.operators.gauss_newton import GaussNewtonOperator
from robustbench_zosam.flatness.operators.hessian import HessianOperator
from robustbench_zosam.flatness.operators.linear import LinearOperator, MatrixOperator
from robustbench_zosam.flatness.sharpness.family import Sharpness, SharpnessResult
from robustbench_zosam.flatness.sharpness.measures import (
    BRIEF,
    FULL,
    SharpnessMeasure,
    where_it_looks,
)
from robustbench_zosam.flatness.spectrum import EigenResult
from robustbench_zosam.flatness.trace import TraceResult

__all__ = [  # noqa: RUF022 - grouped by purpose
    # measures
    "Curvature",
    "hessian_trace",
    "top_eigenvalues",
    "spectral_density",
    "sharpness",
    "gate",
    # what sharpness can be
    "SharpnessMeasure",
    "BRIEF",
    "FULL",
    "where_it_looks",
    # what none of it says
    "CAVEATS",
    # their results
    "TraceResult",
    "SampleMean",
    "EigenResult",
    "DensityResult",
    "SharpnessResult",
    "Sharpness",
    "GateResult",
    # algorithms, for any operator
    "hutchinson",
    "ProbeEstimate",
    "lanczos",
    "Tridiagonal",
    "eigenpairs",
    "Eigenpairs",
    "stochastic_quadrature",
    "Quadrature",
    # operators
    "LinearOperator",
    "MatrixOperator",
    "HessianOperator",
    "GaussNewtonOperator",
    # what they are about
    "Network",
    "Data",
    "ActiveSet",
    "resolve",
    "nonzero_masks",
]
