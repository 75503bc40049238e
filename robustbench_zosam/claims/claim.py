"""What a published claim is."""

from __future__ import annotations

from dataclasses import dataclass

from robustbench_zosam.claims.findings import Evidence


@dataclass(frozen=True)
class Published:
    """What a paper reports.

    Attributes:
        numbers: as published, in words.
        where: paper, and table or figure.
        checked: whether read in the paper or its code; if not, secondary summaries report it.
    """

    numbers: str
    where: str
    checked: bool = False

    def text(self) -> str:
        """Returns where and what, and how it is known."""
        note = "" if self.checked else " (by secondary summaries, not checked against the paper)"
        return f"{self.where}: {self.numbers}{note}"


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
        test: how a run tests it.
        evidence: the test.
        needs: what a run must hold, in words.
        controls: what stands beside it.
    """

    id: str
    paper: str
    statement: str
    published: tuple[Published, ...]
    test: str
    evidence: Evidence
    needs: str
    controls: tuple[Control, ...] = ()

    @property
    def source(self) -> str:
        """Returns what was published, in a line."""
        return "; ".join(found.text() for found in self.published)
