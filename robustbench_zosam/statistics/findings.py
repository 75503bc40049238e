"""What a setting of a run says about a claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Results = Mapping[str, Any]
Outcome = Literal["supported", "not supported", "inconclusive", "not tested"]


@dataclass(frozen=True)
class Finding:
    """What one setting (sparsifier and sparsity) says about a claim.

    Attributes:
        group: the setting, in words.
        measured: the numbers, in words.
        verdict: at the level asked for.
        why: the reason, with its limits.
    """

    group: str
    measured: str
    verdict: Outcome
    why: str


Evidence = Callable[[Results, float], list[Finding]]


def groups(results: Results) -> dict[str, dict[str, str]]:
    """Returns setting (sparsifier and sparsity, in words) to optimizer to method id.

    Args:
        results: in the form of `results.json`.
    """
    found: dict[str, dict[str, str]] = {}
    for m in results["methods"]:
        if m["kind"] == "trained":
            dense = m["sparsity"] == 0
            name = "dense" if dense else f"{m['sparsifier']} {100 * m['sparsity']:g} %"
            found.setdefault(name, {})[m["optimizer"]] = m["id"]
    return found


def decide(gain: float, p: float, level: float) -> Outcome:
    """Returns the verdict of a two-sided test about a claim that expects a gain.

    Args:
        gain: the estimate, positive where the claim is right.
        p: two-sided p-value of no gain.
        level: confidence level.
    """
    if p >= 1 - level:
        return "inconclusive"
    return "supported" if gain > 0 else "not supported"
