"""The Hessian trace of a trained network."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.active import Masks, Params
from robustbench_zosam.flatness.exact import Plan
from robustbench_zosam.flatness.gate import GateResult
from robustbench_zosam.flatness.methods import MethodChoice, TraceRun
from robustbench_zosam.flatness.results import TraceResult
from robustbench_zosam.flatness.subject import measured


def hessian_trace(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    method: MethodChoice = "auto",
    params: Params = "all",
    chunk: int = 16,
    class_threshold: float = 1e-6,
    probes: int = 30,
    output_samples: int = 8,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    verdict: GateResult | None = None,
) -> TraceResult:
    """Measures the trace of the Hessian of the mean cross-entropy over the active coordinates.

    The model is evaluated in evaluation mode, without TF32 and autocast, and is left bit-identical.
    "exact" needs a network whose logits are affine in each parameter tensor taken alone (the gate)
    and made of convolutions, linear layers and batch norms; it has no probe noise up to 20 classes.
    "output-probe" needs the gate only, "hvp" nothing. "control-variate" needs known layers but not
    the gate: it adds the exact trace of the Gauss-Newton matrix and probes of the rest, which pays
    where the gate fails only mildly (a smooth activation). "auto" takes the first
    of the first three that applies; the result says which one and why.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, 3, h, w) floating point in [0, 1].
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active; None: nothing is pruned.
        method: how to compute it.
        params: "all", "weights" (tensors of dimension 2 and more), or "masked-layers".
        chunk: images per pass.
        class_threshold: the exact method leaves out a class for the images that give it less
            probability; 0 visits all.
        probes: random probes of the two estimators, one after another: many take time, not memory.
        output_samples: random output directions per image in the exact method above 20 classes.
        seed: seed of all draws.
        dtype: type to compute in; that of the model when None.
        include_pruned: measure pruned directions as well.
        verdict: an earlier verdict of the gate on this architecture, to save its cost.

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
    _check(method, probes)
    plan = Plan(class_threshold, output_samples, seed)
    with measured(
        model,
        images,
        labels,
        masks=masks,
        params=params,
        include_pruned=include_pruned,
        chunk=chunk,
        dtype=dtype,
    ) as subject:
        run = TraceRun(subject, plan, chunk, probes, verdict)
        found = run.measure(method)
    facts = asdict(subject.facts) | {"chunk": found.chunk}
    del facts["batch_statistics"]  # the reason says it
    return TraceResult(
        **vars(found.trace),
        **facts,
        adaptive=found.adaptive,
        fisher_empirical=found.fisher,
        fisher_model=found.gauss_newton,
        skipped_mass=found.skipped_mass,
        method=found.method,
        reason=found.reason,
        gate=run.verdict,
        seed=seed,
    )


def _check(method: str, probes: int) -> None:
    if method not in get_args(MethodChoice):
        raise InputError(
            f"method must be one of {', '.join(get_args(MethodChoice))}, got {method!r}"
        )
    if probes < 1:
        raise InputError(f"probes must be at least 1, got {probes}")
