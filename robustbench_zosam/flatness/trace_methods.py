"""How the trace of the Hessian is computed, and which method applies to a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.algorithms.exchangeable import exchangeable_samples
from robustbench_zosam.flatness.algorithms.hutchinson import diagonal_samples
from robustbench_zosam.flatness.exact.gate import GateResult
from robustbench_zosam.flatness.exact.sweep import Sums, SweepPlan, label_gradients, sweep
from robustbench_zosam.flatness.exact.tape import UnsupportedError
from robustbench_zosam.flatness.fallback import estimate
from robustbench_zosam.flatness.means import SampleMean, of_chunks, of_images
from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.operators.gauss_newton import RemainderOperator
from robustbench_zosam.flatness.operators.hessian import HessianOperator
from robustbench_zosam.flatness.probes import ChunkSamples, Sampler, operator_probe, output_probe
from robustbench_zosam.flatness.trace import Method, MethodChoice, TraceResult

_OUTPUT_CHUNK = 16  # cross-image terms of output probes double the deviation in chunks of 128


@dataclass
class TraceMeasurement:
    """One measurement of the trace: chooses the method.

    Attributes:
        model: what is measured.
        plan: passes of the exact method.
        probes: of the estimators: probes, or products for each chunk of images.
        product_chunk: images per pass of estimators that multiply with H.
        gate: tests the model, or returns what is known of it.
        verdict: of the gate, once it was needed.
    """

    model: BoundModel
    plan: SweepPlan
    probes: int
    gate: Callable[[], GateResult]
    product_chunk: int
    verdict: GateResult | None = None

    def measure(self, method: MethodChoice) -> TraceResult:
        """Returns the trace, measured by this method.

        Raises:
            InputError: the method does not apply to this model.
        """
        if method == "auto":
            return self._automatic()
        if method == "hvp":
            return self._by_products("hvp", "asked for", diagonal_samples)
        if method == "xtrace":
            return self._by_products("xtrace", "asked for", exchangeable_samples)
        if method == "control-variate":
            return self._supported(self._control_variate, method)
        if refusal := self._refusal():
            raise InputError(
                f"method={method!r} would not give the Hessian trace of this model: "
                f"{refusal}; use method='hvp' or 'auto'"
            )
        if method == "output-probe":
            return self._output_probe("asked for")
        return self._supported(self._exact, method)

    def _supported(self, measure: Callable[[str], TraceResult], method: str) -> TraceResult:
        try:
            return measure("asked for")
        except UnsupportedError as error:
            raise InputError(
                f"method={method!r} does not know this model: {error}; use method='auto'"
            ) from error

    def _automatic(self) -> TraceResult:
        if refusal := self._refusal():
            return self._estimated(f"the gate refused: {refusal}")
        try:
            return self._exact("the gate passed")
        except UnsupportedError as error:
            return self._output_probe(f"the gate passed, but {error}")

    def _estimated(self, reason: str) -> TraceResult:
        """Measures with the estimator that has the least error per product for this model."""
        model = replace(self.model, chunk=self.product_chunk)
        chosen, samples = estimate(model, self.probes)
        reason += f"; of the estimators, {chosen} had the least error per product"
        if chosen != "control-variate":
            return self._sampled(model, chosen, reason, samples)
        try:
            return self._corrected_by(model, samples, reason)
        except UnsupportedError:
            return self._by_products("hvp", reason, diagonal_samples)  # images interact

    def _refusal(self) -> str:
        """Returns why the gate does not pass, empty if it does."""
        self.verdict = self.gate()
        return "" if self.verdict.passed else self.verdict.reason

    def _exact(self, reason: str) -> TraceResult:
        sums = sweep(self.model, self.plan)
        trace, adaptive = (self._exact_mean(sums, which) for which in (0, 1))
        fisher, skipped = self._own_fisher(sums), sums.skipped_mass
        return self._result("exact", reason, trace, adaptive, fisher, trace, skipped)

    def _control_variate(self, reason: str) -> TraceResult:
        m = replace(self.model, chunk=self.product_chunk)
        remainder = RemainderOperator(m.network, m.data, m.active, m.chunk)
        return self._corrected_by(m, operator_probe(m, remainder, self.probes), reason)

    def _corrected_by(self, model: BoundModel, beyond: ChunkSamples, reason: str) -> TraceResult:
        """Adds the sampled trace of H - G, in the chunks of a model, to the exact one of G."""
        sums = sweep(self.model, self.plan)
        trace, adaptive = (self._corrected(sums, beyond, which, model.chunk) for which in (0, 1))
        fisher, known = self._own_fisher(sums), self._exact_mean(sums, 0)
        return self._result(
            "control-variate", reason, trace, adaptive, fisher, known, sums.skipped_mass, model
        )

    def _corrected(self, sums: Sums, beyond: ChunkSamples, which: int, chunk: int) -> SampleMean:
        """Adds the estimated trace of H - G to the exact one of G, chunk by chunk."""
        exact, extra = self._exact_mean(sums, which), beyond.summary(which)
        assert exact.per_image is not None
        parts = torch.split(exact.per_image, chunk)
        by_chunk = torch.stack([part.sum() for part in parts])
        layers = {name: exact.per_layer[name] + extra.per_layer[name] for name in extra.per_layer}
        errors = [se for se in (exact.se_probes, extra.se_probes) if se is not None]
        totals = by_chunk + beyond.means[:, which]
        return of_chunks(totals, beyond.counts, layers, math.hypot(*errors) if errors else None)

    def _own_fisher(self, sums: Sums) -> SampleMean:
        return of_images(sums.fisher, self._shares(sums.fisher_per_layer, 0))

    def _exact_mean(self, sums: Sums, which: int) -> SampleMean:
        enumerated = self.plan.enumerates(self.model.predictions.log_p.shape[1])
        se = None if enumerated else sums.sampling_error(self.plan.samples)[which].item()
        return of_images(sums.per_image[:, which], self._shares(sums.per_layer, which), se)

    def _shares(self, per_layer: dict[str, Tensor], which: int) -> dict[str, float]:
        """Returns the shares in the model's order; a layer that is never called has none."""
        return {
            name: per_layer[name][which].item() if name in per_layer else 0.0
            for name in self.model.active.masks
        }

    def _output_probe(self, reason: str) -> TraceResult:
        model = replace(self.model, chunk=min(self.model.chunk, _OUTPUT_CHUNK))
        return self._sampled(model, "output-probe", reason, output_probe(model, self.probes))

    def _by_products(self, method: Method, reason: str, sampler: Sampler) -> TraceResult:
        m = replace(self.model, chunk=self.product_chunk)
        hessian = HessianOperator(m.network, m.data, m.active, m.chunk)
        return self._sampled(m, method, reason, operator_probe(m, hessian, self.probes, sampler))

    def _sampled(
        self, model: BoundModel, method: Method, reason: str, samples: ChunkSamples
    ) -> TraceResult:
        fisher = None
        if model.bound()["batch_statistics"]:
            reason += "; it uses batch statistics, so that the value belongs to this chunk size"
        else:
            with suppress(UnsupportedError):
                fisher = self._own_fisher(label_gradients(self.model))
        trace, adaptive = (samples.summary(which) for which in (0, 1))
        known = trace if method == "output-probe" else None
        return self._result(method, reason, trace, adaptive, fisher, known, model=model)

    def _result(
        self,
        method: Method,
        reason: str,
        trace: SampleMean,
        adaptive: SampleMean,
        fisher_empirical: SampleMean | None,
        fisher_model: SampleMean | None,
        skipped_mass: float = 0.0,
        model: BoundModel | None = None,
    ) -> TraceResult:
        return TraceResult(
            **(model or self.model).bound(),
            trace=trace,
            adaptive_trace=adaptive,
            fisher_model=fisher_model,
            fisher_empirical=fisher_empirical,
            skipped_mass=skipped_mass,
            method=method,
            reason=reason,
            gate=self.verdict,
        )
