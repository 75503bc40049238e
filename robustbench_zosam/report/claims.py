"""Published claims as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from robustbench_zosam.report import text
from robustbench_zosam.results.words import scope_words
from robustbench_zosam.schema import ControlResult, Outcome, Results


@dataclass(frozen=True)
class ClaimRow:
    """A claim and what was measured of it.

    Attributes:
        beside: comparisons that put the measurement into proportion, as sentences.
        settles: what would settle it; may be empty.
        setting: the paper's and this run's; may be empty.
    """

    statement: str
    source: str
    measured: str
    test: str
    verdict: Outcome
    why: str
    beside: tuple[str, ...] = ()
    settles: str = ""
    setting: str = ""


def claim_rows(results: Results) -> Iterator[ClaimRow]:
    """Yields the claims of a run in their order."""
    for claim in results["claims"]:
        yield ClaimRow(
            claim["statement"],
            claim["source"],
            text.minus(claim["measured"]),
            claim["test"],
            claim["verdict"],
            claim["why"],
            tuple(_beside(control) for control in claim["controls"]),
            claim["settles"],
            scope_words(claim["scope"]),
        )


def _beside(control: ControlResult) -> str:
    against = control["against"]
    subject = against if " against " in against else f"against {against}"
    measured = text.minus(control["measured"])
    verdict = {"tie": "undecided"}.get(control["verdict"], control["verdict"])
    return f"For comparison, {subject} ({control['group']}): {measured}, {verdict}."
