"""Which weights a sparse perturbation moves: patterns, and the choice by score."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.space import ParameterSpace


@dataclass(frozen=True)
class Pattern:
    """The shape of a perturbation mask.

    Attributes:
        kind: `"unstructured"`, any weights; `"structured"`, whole parameter tensors; or `"n:m"`, n
            of every m consecutive weights along the input channels, and all of the parameters of
            at most one dimension (biases, norms). Where the inputs are no multiple of m, n of the
            rest too.
        n: weights of a group that are perturbed.
        m: weights in a group.
    """

    kind: str
    n: int = 0
    m: int = 0

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Reads `"unstructured"`, `"structured"` or `"2:4"`; anything else is an `InputError`."""
        if text in {"unstructured", "structured"}:
            return cls(text)
        found = re.fullmatch(r"([1-9][0-9]*):([1-9][0-9]*)", str(text))
        if found is None or int(found[1]) > int(found[2]):
            raise InputError(
                f"pattern is {text!r}: choose unstructured, structured, or N:M as in 2:4"
            )
        return cls("n:m", int(found[1]), int(found[2]))

    @property
    def sparsity(self) -> float | None:
        """Fraction of weights an N:M pattern leaves out; None where it is free."""
        return 1 - self.n / self.m if self.kind == "n:m" else None

    def level(self, scores: Tensor, space: ParameterSpace, support: Tensor | None) -> Tensor:
        """Returns scores (d,) with the mean over the support for each tensor, if structured."""
        if self.kind != "structured":
            return scores
        support = torch.ones_like(scores, dtype=torch.bool) if support is None else support
        pairs = zip(space.views(scores * support), space.views(support), strict=True)
        means = [score.sum() / part.sum().clamp_min(1) for score, part in pairs]
        sizes = [param.numel() for param in space.params]
        return torch.cat([m.expand(size) for m, size in zip(means, sizes, strict=True)])

    def choose(
        self, scores: Tensor, count: int, space: ParameterSpace, support: Tensor | None
    ) -> Tensor:
        """Chooses the weights with the highest scores that the pattern allows.

        Args:
            scores: shape (d,), finite.
            count: how many; N:M patterns have a count of their own.
            support: bool, (d,): where weights may be chosen; None is everywhere.

        Returns:
            0 or 1, shape (d,). Whole tensors are taken until `count` weights are covered.
        """
        scores = self.level(scores, space, support)
        if support is not None:
            scores = scores.where(support, -torch.inf)
        if self.kind == "structured":
            chosen = _whole_tensors(scores, count, space)
        elif self.kind == "n:m":
            chosen = space.zeros()
            for view, score in zip(space.views(chosen), space.views(scores), strict=True):
                view.copy_(_groups(score, self.n, self.m))
        else:
            chosen = highest(scores, count)
        return chosen if support is None else chosen.mul_(support)


def highest(scores: Tensor, count: int) -> Tensor:
    """Returns 1 at exactly `count` places, those of the highest scores, else 0; shape (d,)."""
    chosen = torch.zeros_like(scores)
    chosen[torch.topk(scores, count, sorted=False).indices] = 1
    return chosen


def _whole_tensors(scores: Tensor, count: int, space: ParameterSpace) -> Tensor:
    """Takes tensors in the order of their score; those of the support alone count."""
    chosen = space.zeros()
    allowed = scores.isfinite()
    views = zip(space.views(chosen), space.views(scores), space.views(allowed), strict=True)
    facts = [(int(a.sum()), float(s.amax()), view) for view, s, a in views]
    for size, _, view in sorted(facts, key=lambda fact: -fact[1]):
        if count <= 0:
            break
        view.fill_(1)
        count -= size
    return chosen


def _groups(scores: Tensor, n: int, m: int) -> Tensor:
    """Marks the n highest of every m scores along the second dimension, row by row."""
    if scores.ndim <= 1:
        return torch.ones_like(scores)
    rows = scores.movedim(1, -1)
    width = rows.shape[-1]
    # the last group of a row may be shorter: n of it are marked too
    padded = functional.pad(rows, (0, -width % m), value=-torch.inf)
    grouped = padded.reshape(-1, m)
    best = torch.topk(grouped, n, dim=1).indices
    chosen = torch.zeros_like(grouped).scatter_(1, best, 1.0).view(padded.shape)
    return chosen[..., :width].movedim(-1, 1)


def perturbed_count(dimension: int, sparsity: float) -> int:
    """Returns d - ceil(sparsity d), the weights that a perturbation mask keeps."""
    return dimension - math.ceil(round(sparsity * dimension, 6))
