"""The Hessian trace of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import probes as estimators
from robustbench_zosam.flatness.active import ActiveSet, Masks, Params, resolve
from robustbench_zosam.flatness.exact import Plan, Sums, sweep
from robustbench_zosam.flatness.gate import GateResult, gate
from robustbench_zosam.flatness.guard import measuring, unwrap
from robustbench_zosam.flatness.network import (
    Data,
    Network,
    Predictions,
    predict,
    uses_batch_statistics,
)
from robustbench_zosam.flatness.results import ImageMean, Method, TraceResult, of_images
from robustbench_zosam.flatness.tape import UnsupportedError

MethodChoice = Literal["auto", "exact", "output-probe", "hvp"]


def hessian_trace(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    method: MethodChoice = "auto",
    params: Params = "all",
    chunk: int = 32,
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
    "output-probe" needs the gate only, "hvp" nothing. "auto" takes the first that applies; the
    result says which one and why.

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
        probes: random probes of the two estimators.
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
    _check(method, probes, chunk, dtype)
    plan = Plan(class_threshold, output_samples, seed)
    data, model = Data(images, labels), unwrap(model)
    active = resolve(model, masks, params, include_pruned=include_pruned)
    with measuring(model):
        network = Network.of(model, dtype)
        predictions = predict(network, data, chunk)
        _check_gradients(network, data)
        run = _Run(network, data, active, predictions, plan, chunk, probes, verdict)
        measured = run.measure(method)
    return TraceResult(
        **vars(measured.trace),
        adaptive=measured.adaptive,
        fisher_empirical=measured.fisher,
        loss=predictions.loss,
        accuracy=predictions.accuracy,
        n=len(data),
        D=active.total,
        D_A=active.size,
        dead_filters=active.dead_filters,
        skipped_mass=measured.skipped_mass,
        method=measured.method,
        reason=measured.reason,
        gate=run.verdict,
        params=params,
        include_pruned=include_pruned,
        dtype=str(network.dtype).removeprefix("torch."),
        chunk=measured.chunk,
        seed=seed,
    )


@dataclass(frozen=True)
class _Measured:
    trace: ImageMean
    adaptive: ImageMean
    fisher: ImageMean | None
    method: Method
    chunk: int
    reason: str = ""
    skipped_mass: float = 0.0


@dataclass
class _Run:
    """One measurement: chooses the method and remembers the gate's verdict."""

    network: Network
    data: Data
    active: ActiveSet
    predictions: Predictions
    plan: Plan
    chunk: int
    probes: int
    verdict: GateResult | None

    def measure(self, method: MethodChoice) -> _Measured:
        if method == "auto":
            return self._automatic()
        if method == "hvp":
            return self._hvp("asked for")
        verdict = self._gate()
        if not verdict.passed:
            raise InputError(
                f"method={method!r} would not give the Hessian trace of this model: "
                f"{verdict.reason}; use method='hvp' or 'auto'"
            )
        if method == "output-probe":
            return self._output_probe("asked for")
        try:
            return self._exact("asked for")
        except UnsupportedError as error:
            raise InputError(
                f"method='exact' does not know this model: {error}; use method='auto'"
            ) from error

    def _automatic(self) -> _Measured:
        verdict = self._gate()
        if not verdict.passed:
            return self._hvp(f"the gate refused: {verdict.reason}")
        try:
            return self._exact("the gate passed")
        except UnsupportedError as error:
            return self._output_probe(f"the gate passed, but the exact method has {error}")

    def _gate(self) -> GateResult:
        if self.verdict is None:
            self.verdict = gate(
                self.network.module,
                self.data.images,
                names=self.active.masks,
                seed=self.plan.seed,
            )
        return self.verdict

    def _exact(self, reason: str) -> _Measured:
        sums = sweep(self.network, self.data, self.active, self.predictions, self.plan, self.chunk)
        enumerated = self.plan.enumerates(self.predictions.log_p.shape[1])
        trace, adaptive = (self._exact_mean(sums, which, enumerated) for which in (0, 1))
        fisher = of_images(sums.fisher, self._floats(sums.fisher_per_layer, 0))
        return _Measured(trace, adaptive, fisher, "exact", self.chunk, reason, sums.skipped_mass)

    def _exact_mean(self, sums: Sums, which: int, enumerated: bool) -> ImageMean:
        se = None if enumerated else sums.sampling_error(self.plan.samples)[which].item()
        return of_images(sums.per_image[:, which], self._floats(sums.per_layer, which), se)

    def _floats(self, per_layer: dict[str, Tensor], which: int) -> dict[str, float]:
        """Returns the shares in the model's order; a layer that is never called has none."""
        return {
            name: per_layer[name][which].item() if name in per_layer else 0.0
            for name in self.active.masks
        }

    def _output_probe(self, reason: str) -> _Measured:
        chunk = estimators.output_chunk(self.chunk)
        samples = estimators.output_probe(
            self.network,
            self.data,
            self.active,
            self.predictions,
            chunk=chunk,
            probes=self.probes,
            seed=self.plan.seed,
        )
        return self._sampled(samples, "output-probe", chunk, reason)

    def _hvp(self, reason: str) -> _Measured:
        samples = estimators.hvp(
            self.network,
            self.data,
            self.active,
            chunk=self.chunk,
            probes=self.probes,
            seed=self.plan.seed,
        )
        return self._sampled(samples, "hvp", self.chunk, reason)

    def _sampled(
        self, samples: estimators.ChunkSamples, method: Method, chunk: int, reason: str
    ) -> _Measured:
        fisher = None
        if uses_batch_statistics(self.network.module):
            reason += "; it uses batch statistics, so that the value belongs to this chunk size"
        else:
            fisher = _fisher_one_by_one(self.network, self.data, self.active)
        return _Measured(samples.summary(0), samples.summary(1), fisher, method, chunk, reason)


def _fisher_one_by_one(network: Network, data: Data, active: ActiveSet) -> ImageMean:
    """Returns the empirical Fisher trace from one backward pass for each image."""
    leaves = network.leaves()
    selected = [leaves[name] for name in active.masks]
    rows: list[Tensor] = []
    for one in data.chunks(1):
        loss = F.cross_entropy(network(one.images), one.labels.to(network.device))
        gradients = torch.autograd.grad(loss, selected, materialize_grads=True)
        pairs = zip(gradients, active.masks.values(), strict=True)
        rows.append(torch.stack([(g.double().square() * mask).sum() for g, mask in pairs]))
    table = torch.stack(rows)  # (n, tensors)
    layers = dict(zip(active.masks, table.mean(0).tolist(), strict=True))
    return of_images(table.sum(1), layers)


def _check(method: str, probes: int, chunk: int, dtype: torch.dtype | None) -> None:
    if method not in get_args(MethodChoice):
        raise InputError(
            f"method must be one of {', '.join(get_args(MethodChoice))}, got {method!r}"
        )
    if probes < 1 or chunk < 1:
        raise InputError(f"probes and chunk must be at least 1, got {probes} and {chunk}")
    if dtype is not None and dtype not in (torch.float32, torch.float64):
        raise InputError(f"dtype must be torch.float32 or torch.float64, got {dtype}")


def _check_gradients(network: Network, data: Data) -> None:
    if not network(data.images[:2]).requires_grad:
        raise InputError(
            "the model's logits carry no gradient to its parameters; "
            "remove no_grad or detach from its forward method"
        )
