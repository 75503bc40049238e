"""The measures of curvature as functions, each for a model of its own; see `Curvature`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from robustbench_zosam.flatness.algorithms.eigenpairs import Resolve
from robustbench_zosam.flatness.algorithms.lanczos import OnStep
from robustbench_zosam.flatness.curvature import Curvature
from robustbench_zosam.flatness.density import DensityResult
from robustbench_zosam.flatness.exact.gate import GateResult
from robustbench_zosam.flatness.model.active import Masks, Params
from robustbench_zosam.flatness.operators.gauss_newton import Matrix
from robustbench_zosam.flatness.sharpness.family import SharpnessResult
from robustbench_zosam.flatness.sharpness.measures import BRIEF, SharpnessMeasure
from robustbench_zosam.flatness.spectrum import EigenResult
from robustbench_zosam.flatness.trace import MethodChoice, TraceResult


def hessian_trace(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    method: MethodChoice = "auto",
    params: Params = "all",
    chunk: int | None = None,
    class_threshold: float = 1e-6,
    probes: int = 30,
    output_samples: int | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    verdict: GateResult | None = None,
) -> TraceResult:
    """Measures the trace of the Hessian of the mean cross-entropy over the active coordinates.

    "exact" needs a network whose logits are affine in each parameter tensor taken alone (the gate);
    it has no probe noise up to 20 classes. "output-probe" is its substitute where the images of a
    mini-batch interact. The others need nothing: "hvp" are plain probes; "control-variate" adds the
    exact trace of the Gauss-Newton matrix and probes of the rest; "xtrace" is XTrace. "auto" takes
    "exact" behind the gate, and else the one of the last three with the least error per product on
    the first images; the result says which one and why.

    Args:
        model, images, labels, masks, params, seed, dtype, verdict: see `Curvature`.
        method: how to compute it.
        chunk: images per pass; None: 16 for the exact method, 4 to 32 for products.
        class_threshold: the exact method leaves out a class for the images that give it less
            probability than this times the mean of sum_c p_c (1 - p_c); 0 visits all.
        probes: random probes, one after another: many take time, not memory; under "auto" and
            "xtrace" the products with H and G for each chunk of images.
        output_samples: random output directions per image in the exact method above 20 classes;
            None: 8, or more for fewer than 16 images.
        include_pruned: measure pruned directions as well.

    Returns:
        Trace, adaptive trace and empirical Fisher trace with standard errors.

    Raises:
        InputError: an argument is wrong, or the chosen method does not apply to this model.
        DivergedError: the logits are not finite.

    Source: the residual part of the Hessian has a zero diagonal where the logits are affine in each
        tensor, so that tr(H) = tr(G); G by sum_c p_c (e_c - p)(e_c - p)^T = diag(p) - p p^T.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import hessian_trace
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
        >>> _ = nn.init.zeros_(model[1].weight)
        >>> images = torch.full((4, 3, 2, 2), 0.5)  # p = 1/2: trace = 2 p (1 - p) |x|^2 = 1.5
        >>> result = hessian_trace(model, images, torch.tensor([0, 1, 0, 1]))
        >>> result.method, round(result.value, 6), result.se
        ('exact', 1.5, 0.0)
    """
    return Curvature(
        model,
        images,
        labels,
        masks=masks,
        params=params,
        chunk=chunk,
        seed=seed,
        dtype=dtype,
        verdict=verdict,
    ).trace(
        method=method,
        class_threshold=class_threshold,
        probes=probes,
        output_samples=output_samples,
        include_pruned=include_pruned,
    )


def top_eigenvalues(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    k: int = 5,
    steps: int = 20,
    tol: float = 1e-3,
    resolve: Resolve = "vectors",
    smallest: bool = True,
    matrix: Matrix = "hessian",
    params: Params = "all",
    chunk: int = 32,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    on_step: OnStep | None = None,
) -> EigenResult:
    """Finds the largest eigenvalues of the Hessian over the active coordinates.

    Lanczos' iteration with full re-orthogonalisation on Hessian-vector products.

    Args:
        model, images, labels, masks, params, seed, dtype: see `Curvature`.
        k: how many eigenvalues.
        steps: products at most; each keeps one vector of D_A numbers.
        tol: stop when the residuals are below this fraction of lambda_1.
        resolve: "values" applies it to `errors` instead, which takes fewer products.
        smallest: whether lambda_min must converge as well, which takes many more steps.
        matrix: "hessian", or "gauss-newton" for the positive semi-definite part G of H.
        chunk: images whose graph is held at once.
        include_pruned: measure pruned directions as well.
        on_step: called with (products done, products at most).

    Returns:
        Eigenvalues with residuals and vectors, with loss and accuracy.

    Raises:
        InputError: an argument is wrong.
        DivergedError: the logits are not finite.

    Source: Pearlmutter 1994 for the products; Lanczos 1950.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import top_eigenvalues
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
        >>> _ = nn.init.zeros_(model[1].weight)
        >>> images = torch.full((4, 3, 2, 2), 0.5)  # H = (diag(p) - p p^T) x x^T: 2 p (1 - p) |x|^2
        >>> found = top_eigenvalues(model, images, torch.tensor([0, 1, 0, 1]))
        >>> round(found.values[0], 5), found.converged
        (1.5, True)
    """
    curvature = Curvature(
        model, images, labels, masks=masks, params=params, chunk=chunk, seed=seed, dtype=dtype
    )
    return curvature.eigenvalues(
        k=k,
        steps=steps,
        tol=tol,
        resolve=resolve,
        smallest=smallest,
        matrix=matrix,
        include_pruned=include_pruned,
        on_step=on_step,
    )


def spectral_density(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    starts: int = 3,
    steps: int = 60,
    sigma: float | None = None,
    points: int = 513,
    matrix: Matrix = "hessian",
    params: Params = "all",
    chunk: int = 32,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    on_step: OnStep | None = None,
) -> DensityResult:
    """Estimates the spectral density of the Hessian over the active coordinates.

    Without the restriction to active coordinates, a spike at 0 would hold the pruned ones. Costs
    starts * steps Hessian-vector products.

    Args:
        model, images, labels, masks, params, seed, dtype: see `Curvature`.
        starts: random starts; two or more give standard errors.
        steps: products for each.
        sigma: width of the Gaussian around each node; (lambda_1 - lambda_min) / steps when None.
        points: grid points, from lambda_min - 3 sigma to lambda_1 + 3 sigma.
        matrix: "hessian", or "gauss-newton" for the positive semi-definite part G of H.
        chunk: images whose graph is held at once.
        include_pruned: measure pruned directions as well.
        on_step: called with (products done, products in all).

    Returns:
        The density with its standard error over starts.

    Raises:
        InputError: an argument is wrong.
        DivergedError: the logits are not finite.

    Source: Ubaru, Chen & Saad 2017; Ghorbani, Krishnan & Xiao, "An investigation into neural net
        optimization via Hessian eigenvalue density", 2019.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import spectral_density
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        >>> images, labels = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1])
        >>> found = spectral_density(model, images, labels, starts=2, steps=8)
        >>> round(float(found.density.sum() * (found.grid[1] - found.grid[0])), 2)  # a density
        1.0
    """
    curvature = Curvature(
        model, images, labels, masks=masks, params=params, chunk=chunk, seed=seed, dtype=dtype
    )
    return curvature.density(
        starts=starts,
        steps=steps,
        sigma=sigma,
        points=points,
        matrix=matrix,
        include_pruned=include_pruned,
        on_step=on_step,
    )


def sharpness(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    measures: Sequence[SharpnessMeasure] = BRIEF,
    params: Params = "all",
    chunk: int = 64,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    on_measure: Callable[[int, int], None] | None = None,
) -> SharpnessResult:
    """Measures the rise of the loss around a model, displacing active coordinates alone.

    Random displacements depend on (seed, tensor name, draw), so that models of one architecture
    share them.

    Args:
        model, images, labels, masks, params, seed, dtype: see `Curvature`.
        measures: what to measure; `BRIEF`, `FULL`, or your own.
        chunk: images per pass.
        include_pruned: displace pruned coordinates as well.
        on_measure: called with (measures done, measures in all).

    Returns:
        Each measure, raw and with normalised logits, with loss and accuracy.

    Raises:
        InputError: an argument is wrong.
        DivergedError: the logits are not finite.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import SharpnessMeasure, sharpness
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
        >>> images, labels = torch.rand(8, 3, 2, 2), torch.tensor([0, 1] * 4)
        >>> found = sharpness(model, images, labels, measures=[SharpnessMeasure("sam", 0.05)])
        >>> found.measures[0].raw.value > 0
        True
    """
    curvature = Curvature(
        model, images, labels, masks=masks, params=params, chunk=chunk, seed=seed, dtype=dtype
    )
    return curvature.sharpness(measures, include_pruned=include_pruned, on_measure=on_measure)
