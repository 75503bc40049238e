"""What a published claim is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from robustbench_zosam.claims.findings import Evidence
from robustbench_zosam.claims.scope import ANY, PaperSetting
from robustbench_zosam.schema import PublishedNumbers


@dataclass(frozen=True)
class Expected:
    """A gain of accuracy that a paper reports.

    Attributes:
        method: optimizer.
        baseline: optimizer that it is compared with, at equal sparsity.
        row: "clean" or "mean" over corruptions.
        gain: as a fraction; the smallest of several. Negative where the baseline is the better.
    """

    method: str
    baseline: str
    row: Literal["clean", "mean"]
    gain: float


@dataclass(frozen=True)
class Control:
    """A comparison that says what a claimed effect may be attributed to.

    Attributes:
        against: what the method is compared with.
        purpose: what beating it would show.
        evidence: the test.
        attributes: whether an effect of ZO-SAM that does not exceed it cannot be due to its loss
            queries.
    """

    against: str
    purpose: str
    evidence: Evidence
    attributes: bool = False


@dataclass(frozen=True)
class Claim:
    """A published statement and how it is tested here.

    Attributes:
        id: stable name.
        paper: that makes it.
        statement: what is claimed.
        published: the numbers behind it.
        test: how a run tests it, in words.
        evidence: the test.
        needs: what a run must hold, in words.
        controls: comparisons that say what the effect may be attributed to.
        expected: the gain that is claimed, where that is a gain of accuracy.
        setting: where the published numbers were measured.
        only_there: what of that setting a test needs, since the claim speaks of nothing else.
        timed: whether it is about time, which other hardware neither shows nor refutes.
    """

    id: str
    paper: str
    statement: str
    published: tuple[PublishedNumbers, ...]
    test: str
    evidence: Evidence
    needs: str
    controls: tuple[Control, ...] = ()
    expected: Expected | None = None
    setting: PaperSetting = ANY
    only_there: Literal["", "data", "network"] = ""
    timed: bool = False


def published(numbers: str, where: str, *, checked: bool = False) -> PublishedNumbers:
    """Returns what a paper reports: numbers in words, and the table or figure they are in.

    Args:
        checked: whether read in the paper or its code; if not, secondary summaries report it.
    """
    return {"numbers": numbers, "where": where, "checked": checked}


def citation(found: PublishedNumbers) -> str:
    """Returns where and what was published, and whether it was checked."""
    note = " (by secondary summaries, not checked against the paper)"
    return f"{found['where']}: {found['numbers']}{'' if found['checked'] else note}"
