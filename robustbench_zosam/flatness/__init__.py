"""Flatness of a minimum: curvature of the loss over the active parameters."""

from robustbench_zosam.flatness.active import ActiveSet, nonzero_masks, resolve
from robustbench_zosam.flatness.caveats import CAVEATS, Caveat
from robustbench_zosam.flatness.density import DensityResult, spectral_density
from robustbench_zosam.flatness.gate import GateResult, gate
from robustbench_zosam.flatness.gauss_newton import GaussNewtonOperator
from robustbench_zosam.flatness.hutchinson import ProbeEstimate, hutchinson
from robustbench_zosam.flatness.lanczos import (
    Quadrature,
    Tridiagonal,
    lanczos,
    stochastic_quadrature,
)
from robustbench_zosam.flatness.measures import BRIEF, FULL, Measure
from robustbench_zosam.flatness.network import Data, Network
from robustbench_zosam.flatness.operators import HessianOperator, LinearOperator, MatrixOperator
from robustbench_zosam.flatness.results import ImageMean, TraceResult
from robustbench_zosam.flatness.ritz import Eigenpairs, eigenpairs
from robustbench_zosam.flatness.sharpness import Sharpness, SharpnessResult, sharpness
from robustbench_zosam.flatness.spectrum import EigenResult, top_eigenvalues
from robustbench_zosam.flatness.trace import hessian_trace

__all__ = [  # noqa: RUF022 - grouped by purpose
    # measures
    "hessian_trace",
    "top_eigenvalues",
    "spectral_density",
    "sharpness",
    "gate",
    # what sharpness can be
    "Measure",
    "BRIEF",
    "FULL",
    # what none of it says
    "CAVEATS",
    "Caveat",
    # their results
    "TraceResult",
    "ImageMean",
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
