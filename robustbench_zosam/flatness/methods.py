"""How the trace of the Hessian is computed, and which method applies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import probes as estimators
from robustbench_zosam.flatness.active import ActiveSet
from robustbench_zosam.flatness.exact import Plan, Sums, sweep
from robustbench_zosam.flatness.gate import GateResult, gate
from robustbench_zosam.flatness.network import Data, Network
from robustbench_zosam.flatness.results import ImageMean, Method, of_chunks, of_images
from robustbench_zosam.flatness.subject import Subject
from robustbench_zosam.flatness.tape import UnsupportedError

MethodChoice = Literal["auto", "exact", "output-probe", "hvp", "control-variate"]


@dataclass(frozen=True)
class Measured:
    """What a method found.

    Attributes:
        trace: of the Hessian.
        adaptive: weighted by theta^2.
        fisher: the empirical Fisher trace; None where images interact.
        gauss_newton: the Fisher trace with labels drawn from the model; None where unknown.
        method: the method.
        chunk: images per pass.
        reason: why this method.
        skipped_mass: mean probability of the classes left out.
    """

    trace: ImageMean
    adaptive: ImageMean
    fisher: ImageMean | None
    gauss_newton: ImageMean | None
    method: Method
    chunk: int
    reason: str = ""
    skipped_mass: float = 0.0


@dataclass
class TraceRun:
    """One measurement: chooses the method and remembers the gate's verdict.

    Attributes:
        subject: what is measured.
        plan: passes of the exact method.
        chunk: images per pass.
        probes: of the estimators.
        verdict: of the gate, once known.
    """

    subject: Subject
    plan: Plan
    chunk: int
    probes: int
    verdict: GateResult | None

    def measure(self, method: MethodChoice) -> Measured:
        """Measures the trace.

        Args:
            method: how.

        Returns:
            What was found.

        Raises:
            InputError: the method does not apply to this model.
        """
        if method == "auto":
            return self._automatic()
        if method == "hvp":
            return self._hvp("asked for")
        if method == "control-variate":
            return self._known(self._control_variate, method)
        verdict = self._gate()
        if not verdict.passed:
            raise InputError(
                f"method={method!r} would not give the Hessian trace of this model: "
                f"{verdict.reason}; use method='hvp' or 'auto'"
            )
        if method == "output-probe":
            return self._output_probe("asked for")
        return self._known(self._exact, method)

    def _known(self, measure: Callable[[str], Measured], method: str) -> Measured:
        try:
            return measure("asked for")
        except UnsupportedError as error:
            raise InputError(
                f"method={method!r} does not know this model: {error}; use method='auto'"
            ) from error

    def _automatic(self) -> Measured:
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
                self.subject.network.module,
                self.subject.data.images,
                names=self.subject.active.masks,
                seed=self.plan.seed,
            )
        return self.verdict

    def _sweep(self) -> Sums:
        s = self.subject
        return sweep(s.network, s.data, s.active, s.predictions, self.plan, self.chunk)

    def _exact(self, reason: str) -> Measured:
        sums = self._sweep()
        trace, adaptive = (self._exact_mean(sums, which) for which in (0, 1))
        return Measured(
            trace,
            adaptive,
            self._own_fisher(sums),
            trace,
            "exact",
            self.chunk,
            reason,
            sums.skipped_mass,
        )

    def _control_variate(self, reason: str) -> Measured:
        sums, s = self._sweep(), self.subject
        beyond = estimators.remainder(
            s.network,
            s.data,
            s.active,
            chunk=self.chunk,
            probes=self.probes,
            seed=self.plan.seed,
        )
        trace, adaptive = (self._corrected(sums, beyond, which) for which in (0, 1))
        return Measured(
            trace,
            adaptive,
            self._own_fisher(sums),
            self._exact_mean(sums, 0),
            "control-variate",
            self.chunk,
            reason,
            sums.skipped_mass,
        )

    def _corrected(self, sums: Sums, beyond: estimators.ChunkSamples, which: int) -> ImageMean:
        """Adds the estimated trace of H - G to the exact one of G, chunk by chunk."""
        exact, extra = self._exact_mean(sums, which), beyond.summary(which)
        assert exact.per_image is not None
        by_chunk = torch.stack([part.sum() for part in torch.split(exact.per_image, self.chunk)])
        layers = {name: exact.per_layer[name] + extra.per_layer[name] for name in extra.per_layer}
        errors = [se for se in (exact.se_probes, extra.se_probes) if se is not None]
        totals = by_chunk + beyond.totals[..., which].mean(1)
        return of_chunks(totals, beyond.counts, layers, math.hypot(*errors) if errors else None)

    def _own_fisher(self, sums: Sums) -> ImageMean:
        return of_images(sums.fisher, self._floats(sums.fisher_per_layer, 0))

    def _exact_mean(self, sums: Sums, which: int) -> ImageMean:
        enumerated = self.plan.enumerates(self.subject.predictions.log_p.shape[1])
        se = None if enumerated else sums.sampling_error(self.plan.samples)[which].item()
        return of_images(sums.per_image[:, which], self._floats(sums.per_layer, which), se)

    def _floats(self, per_layer: dict[str, Tensor], which: int) -> dict[str, float]:
        """Returns the shares in the model's order; a layer that is never called has none."""
        return {
            name: per_layer[name][which].item() if name in per_layer else 0.0
            for name in self.subject.active.masks
        }

    def _output_probe(self, reason: str) -> Measured:
        chunk = estimators.output_chunk(self.chunk)
        samples = estimators.output_probe(
            self.subject.network,
            self.subject.data,
            self.subject.active,
            self.subject.predictions,
            chunk=chunk,
            probes=self.probes,
            seed=self.plan.seed,
        )
        return self._sampled(samples, "output-probe", chunk, reason)

    def _hvp(self, reason: str) -> Measured:
        samples = estimators.hvp(
            self.subject.network,
            self.subject.data,
            self.subject.active,
            chunk=self.chunk,
            probes=self.probes,
            seed=self.plan.seed,
        )
        return self._sampled(samples, "hvp", self.chunk, reason)

    def _sampled(
        self, samples: estimators.ChunkSamples, method: Method, chunk: int, reason: str
    ) -> Measured:
        fisher, s = None, self.subject
        if s.facts.batch_statistics:
            reason += "; it uses batch statistics, so that the value belongs to this chunk size"
        else:
            fisher = _fisher_one_by_one(s.network, s.data, s.active)
        trace = samples.summary(0)
        model = trace if method == "output-probe" else None
        return Measured(trace, samples.summary(1), fisher, model, method, chunk, reason)


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
