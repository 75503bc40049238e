"""What a run says about the claims: verdict, effect, controls, and what would settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from robustbench_zosam.claims.catalogue import CLAIMS
from robustbench_zosam.claims.claim import Claim, Control
from robustbench_zosam.claims.findings import Effect, Finding, Results


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim and what a run says about it.

    Attributes:
        id: of the claim.
        paper: that makes it.
        statement: of the claim.
        source: what was published and where, in a line.
        test: of the claim.
        measured: the numbers, in words.
        verdict: "supported", "not supported", "inconclusive" or "not tested".
        why: the reason of the verdict, with its limits and what the controls say.
        settles: what would settle it.
        effect: the numbers, where the run has a single setting.
        settings: setting by setting: `group`, `measured`, `verdict`, `why`, `effect`, `settles`.
        controls: `against`, `purpose`, `attributes`, `group`, `measured`, `verdict` ("better",
            "worse" or "tie").
        published: `numbers`, `where`, `checked`.
    """

    id: str
    paper: str
    statement: str
    source: str
    test: str
    measured: str
    verdict: str
    why: str
    settles: str
    effect: Effect | None
    settings: tuple[Mapping[str, Any], ...]
    controls: tuple[Mapping[str, Any], ...]
    published: tuple[Mapping[str, Any], ...]


def evaluate_claims(results: Results, *, level: float = 0.95) -> list[ClaimVerdict]:
    """Tests every claim on a run.

    Where nothing differs, a claim of a gain is called supported with a probability of at most half
    of 1 - level (exactly so for one setting; less for several, which must agree), and each verdict
    stands alone: among many claims some error is more likely.

    Args:
        results: in the form of `results.json`; `methods`, `cells` and `comparisons` are read.
        level: confidence level of the verdicts.

    Returns:
        One verdict per claim, in the order of `CLAIMS`.
    """
    return [_judge(claim, results, level) for claim in CLAIMS]


def claims_dict(verdicts: Sequence[ClaimVerdict]) -> list[dict[str, Any]]:
    """Returns verdicts as strict JSON values.

    Args:
        verdicts: from `evaluate_claims`.
    """
    keys = ("settings", "controls", "published")
    return [asdict(found) | {key: list(getattr(found, key)) for key in keys} for found in verdicts]


def _judge(claim: Claim, results: Results, level: float) -> ClaimVerdict:
    findings = claim.evidence(results, level)
    controls = tuple(row for c in claim.controls for row in _control(c, results, level))
    several = len(findings) > 1
    measured = "; ".join(f"{f.group}: {f.measured}" if several else f.measured for f in findings)
    verdict, why = _verdict(findings)
    settles = _settles(claim, findings)
    return ClaimVerdict(
        claim.id,
        claim.paper,
        claim.statement,
        claim.source,
        claim.test,
        measured or "–",
        verdict,
        " ".join(part for part in (why, _attribution(verdict, controls)) if part),
        settles,
        findings[0].effect if len(findings) == 1 else None,
        tuple(asdict(finding) for finding in findings),
        controls,
        tuple(asdict(found) for found in claim.published),
    )


def _verdict(findings: Sequence[Finding]) -> tuple[str, str]:
    if not findings:
        return "not tested", "The methods this claim compares were not all measured here."
    if len({finding.verdict for finding in findings}) == 1:
        return findings[0].verdict, findings[0].why
    parts = "; ".join(f"{finding.group}: {finding.verdict}" for finding in findings)
    return "inconclusive", f"The settings disagree ({parts})."


def _settles(claim: Claim, findings: Sequence[Finding]) -> str:
    if not findings:
        return f"Needs {claim.needs}."
    distinct = dict.fromkeys(finding.settles for finding in findings)
    if len(distinct) == 1:
        return findings[0].settles
    return " ".join(f"{finding.group}: {finding.settles}" for finding in findings)


_WORDS = {"supported": "better", "not supported": "worse", "inconclusive": "tie"}


def _control(control: Control, results: Results, level: float) -> list[dict[str, Any]]:
    return [
        {
            "against": control.against,
            "purpose": control.purpose,
            "attributes": control.attributes,
            "group": finding.group,
            "measured": finding.measured,
            "verdict": _WORDS[finding.verdict],
        }
        for finding in control.evidence(results, level)
    ]


def _attribution(verdict: str, controls: Sequence[Mapping[str, Any]]) -> str:
    """Returns what a supported claim may not be attributed to, by its controls."""
    if verdict != "supported":
        return ""
    unbeaten = dict.fromkeys(
        c["against"] for c in controls if c["attributes"] and c["verdict"] != "better"
    )
    if not unbeaten:
        return ""
    return (
        f"But it is not shown to beat {' or '.join(unbeaten)}, so that the effect cannot be "
        "attributed to the loss queries."
    )
