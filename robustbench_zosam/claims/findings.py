"""What a setting of a run says about a claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from robustbench_zosam.analysis.planned import setting

Results = Mapping[str, Any]
Outcome = Literal["supported", "not supported", "inconclusive", "not tested"]


@dataclass(frozen=True)
class Effect:
    """How large what a claim speaks of is.

    Attributes:
        value: the estimate.
        low: lower limit; None where the data gives no interval.
        high: upper limit.
        unit: "accuracy" (a difference of shares), "ratio", "trace", "adaptive trace" or "rank
            correlation".
        n_seeds: training runs of each method.
        n_images: images it rests on; None where it rests on none.
    """

    value: float
    low: float | None
    high: float | None
    unit: str
    n_seeds: int
    n_images: int | None = None


@dataclass(frozen=True)
class Finding:
    """What one setting (sparsifier and sparsity) says about a claim.

    Attributes:
        group: the setting, in words.
        measured: the numbers, in words.
        verdict: at the level asked for.
        why: the reason, with its limits.
        effect: the numbers; None where nothing was estimated.
        settles: what would settle it.
    """

    group: str
    measured: str
    verdict: Outcome
    why: str
    effect: Effect | None = None
    settles: str = ""


Evidence = Callable[[Results, float], list[Finding]]


def groups(results: Results) -> dict[str, dict[str, str]]:
    """Returns setting (sparsifier and sparsity, in words) to optimizer to method id.

    Args:
        results: in the form of `results.json`.
    """
    found: dict[str, dict[str, str]] = {}
    for m in results["methods"]:
        if m["kind"] == "trained":
            found.setdefault(setting(m), {})[m["optimizer"]] = m["id"]
    return found


def decide(gain: float, p: float, level: float) -> Outcome:
    """Returns the verdict of a two-sided test about a claim that expects a gain.

    Args:
        gain: the estimate, positive where the claim is right.
        p: two-sided p-value of no gain.
    """
    if p >= 1 - level or gain == 0:
        return "inconclusive"
    return "supported" if gain > 0 else "not supported"
