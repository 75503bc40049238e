"""A self-test of one step: does the method do what it says, with this model and closure?"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.guards import SavedBuffers
from robustbench_zosam.optim.ranks import spread
from robustbench_zosam.optim.rehearsal import untouched
from robustbench_zosam.optim.sharp import SharpnessAware
from robustbench_zosam.optim.zo_probes import ZeroOrder


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes:
        what: was looked at.
        found: in words and numbers.
        advice: what to mend; empty where all is well.
    """

    what: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class StepCheck:
    """What a rehearsed step was like; printed, it is a table and what to mend."""

    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Returns whether nothing is to be mended."""
        return not any(finding.advice for finding in self.findings)

    def __getitem__(self, what: str) -> Finding:
        return next(finding for finding in self.findings if finding.what == what)

    def __str__(self) -> str:
        width = max(len(finding.what) for finding in self.findings)
        lines = [
            f"{'mend' if f.advice else 'ok':4}  {f.what:{width}}  {f.found}" for f in self.findings
        ]
        advice = [f"- {f.what}: {f.advice}" for f in self.findings if f.advice]
        return "\n".join(lines + (["", *advice] if advice else []))


@torch.no_grad()
def check_step(optimizer: WrappedOptimizer, closure: Closure) -> StepCheck:
    """Rehearses one step and says what it was like (see `WrappedOptimizer.check`)."""
    with untouched(optimizer) as saved:
        observed = _Observed(optimizer, closure, saved)
        hook = register_module_forward_pre_hook(saved.meet)  # also what the guard does not know
        try:
            observed.rehearse()
        except InputError as error:
            return StepCheck((Finding("step", "refused", str(error)),))
        finally:
            hook.remove()
        return StepCheck((
            observed.gradient(),
            observed.perturbation(),
            observed.loss(),
            observed.noise(),
            observed.buffers(),
            observed.ranks(),
        ))


class _Observed:
    """A step as it was rehearsed, and what follows from it."""

    def __init__(self, optimizer: WrappedOptimizer, closure: Closure, saved: SavedBuffers) -> None:
        self._optimizer, self._closure, self._saved = optimizer, closure, saved
        self._space = optimizer.space
        self._start = self._space.gather_weights()
        self._moved, self._slope = self._space.zeros(), self._space.zeros()
        self._length = 0.0  # that the method asked for
        self._clean: list[float] = []
        self._raised = 0.0
        self._states: list[list[Tensor]] = []  # of the buffers, before each pass and at the end
        self._updating = False
        self._counts = optimizer.diagnostics

    def rehearse(self) -> None:
        """Runs the loss twice, a step, and the loss where its gradient was taken."""
        passes, space = self._optimizer._passes(self._closure), self._space
        self._clean = [float(passes.loss(precision="same")) for _ in range(2)]
        displace = space.displace

        def watched_displace(direction: Tensor, scale: float = 1.0) -> None:
            self._length = float(torch.linalg.vector_norm(direction)) * abs(scale)
            displace(direction, scale)

        space.displace = watched_displace  # type: ignore[method-assign] # for this step
        try:
            self._optimizer.rehearse(self._watched(), watch=self._visit)
        finally:
            del space.displace
        self._states.append(self._snapshot())
        self._slope = space.gather_gradients()
        with space.excursion():
            space.displace(self._moved)
            self._raised = float(passes.loss(precision="same"))

    def _visit(self) -> None:
        self._moved = self._space.gather_weights() - self._start

    def _watched(self) -> Closure:
        closure = self._closure

        @functools.wraps(closure)
        def watched(*arguments: object, **options: object) -> Tensor:
            self._states.append(self._snapshot())
            loss = closure(*arguments, **options)
            self._updating |= not _same(self._states[-1], self._snapshot())
            return loss

        return watched

    def _snapshot(self) -> list[Tensor]:
        return [buffer.clone() for buffer in self._saved.buffers]

    def gradient(self) -> Finding:
        """Is there a gradient to step along?"""
        length = float(torch.linalg.vector_norm(self._slope))
        advice = ""
        if not math.isfinite(length):
            advice = "lower the scale of the gradient scaler, or look for a loss that is not finite"
        elif length == 0:
            advice = "the loss does not depend on the parameters that the optimizer was given"
        return Finding("gradient", f"length {length:.3g}", advice)

    def perturbation(self) -> Finding:
        """Is the gradient taken where the method wants it?"""
        length = float(torch.linalg.vector_norm(self._moved))
        moved, count = int((self._moved != 0).sum()), self._space.dimension
        if length == 0 and (not self._perturbs() or self._length == 0):
            why = "this step is not perturbed" if self._perturbs() else "none, as it should be"
            return Finding("perturbation", why)
        found = f"length {length:.3g} of {self._length:.3g}, {moved} of {count} weights"
        advice = ""
        if not math.isclose(length, self._length, rel_tol=0.1):
            kinds = ", ".join(sorted({str(p.dtype)[6:] for p in self._space.params}))
            advice = (
                f"weights in {kinds} round it away: keep them in float32, under autocast where "
                "speed is wanted, or take a larger rho"
            )
        return Finding("perturbation", found, advice)

    def _perturbs(self) -> bool:
        own = self._optimizer
        return isinstance(own, SharpnessAware) and own._radius() > 0

    def loss(self) -> Finding:
        """Does the loss see the perturbation?"""
        if not self._moved.any():
            return Finding("second pass", "at the weights themselves")
        change = self._raised - self._clean[0]
        advice = ""
        if change == 0:
            advice = (
                "the loss does not change with the weights: the closure must run the model that "
                "the optimizer has the parameters of, anew at each call"
            )
        return Finding("second pass", f"loss {self._clean[0]:.6g}, {change:+.3g} there", advice)

    def noise(self) -> Finding:
        """Does the closure compute the same loss twice, and are differences above rounding?"""
        noise = abs(self._clean[1] - self._clean[0])
        change = abs(self._raised - self._clean[0]) if self._moved.any() else math.inf
        if noise > 0.1 * change or (noise > 0 and change == math.inf):
            advice = (
                "let every call see the same examples, draw random numbers from torch alone and "
                "nothing but the loss remember a call; the data loader goes outside the closure"
            )
            return Finding("noise", f"two equal passes differ by {noise:.3g}", advice)
        counts = self._optimizer.diagnostics
        if not isinstance(self._optimizer, ZeroOrder) or counts["probes"] == 0:
            return Finding("noise", f"two equal passes differ by {noise:.3g}")
        before = self._counts
        lost, asked = (counts[key] - before[key] for key in ("below_noise", "probes"))
        advice = ""
        if lost:
            advice = "take longer probes (rho, sigma, probe_radius or delta), or more precise ones"
        return Finding("noise", f"{lost} of {asked} probes within rounding", advice)

    def buffers(self) -> Finding:
        """Are batch-norm statistics updated once?"""
        if not self._saved.buffers:
            return Finding("buffers", "none seen")
        pairs = zip(self._states, self._states[1:], strict=False)
        updates = sum(not _same(before, after) for before, after in pairs)
        wanted = int(self._updating)
        found = f"updated by {updates} of {len(self._states) - 1} passes"
        advice = "" if updates == wanted else "give the optimizer model=, the whole network"
        return Finding("buffers", found, advice)

    def ranks(self) -> Finding:
        """Do the processes agree?"""
        ranks = self._optimizer.ranks
        if ranks.count == 1:
            return Finding("ranks", "one process")
        apart = {"weights": spread([self._start]), "gradients": spread([self._slope])}
        if ranks.shared:
            apart["perturbations"] = spread([self._moved])
        differ = [what for what, distance in apart.items() if distance > 0]
        advice = ""
        if differ:
            advice = (
                "start all ranks from the same weights, seeds and options, and wrap the model in "
                "DistributedDataParallel"
            )
        found = f"{', '.join(differ)} differ" if differ else f"{', '.join(apart)} are equal"
        return Finding("ranks", f"{found} on {ranks.count} ranks", advice)


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(map(torch.equal, one, other))
