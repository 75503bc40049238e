"""What a run says about the claims: verdict, effect, controls, and what would settle it."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zosam.claims.catalogue import CLAIMS
from robustbench_zosam.claims.claim import Claim, Control, citation
from robustbench_zosam.schema import (
    ClaimResult,
    ControlResult,
    Outcome,
    Results,
    SettingResult,
    Verdict,
)


def evaluate_claims(results: Results, *, level: float = 0.95) -> list[ClaimResult]:
    """Tests every claim on a run.

    Where nothing differs, a claim of a gain is called supported with a probability of at most half
    of 1 - level (exactly so for one setting; less for several, which must agree), and each verdict
    stands alone: among many claims some error is more likely.

    Args:
        results: of a run; `methods`, `cells` and `comparisons` are read.
        level: confidence level of the verdicts.

    Returns:
        One result per claim, in the order of `CLAIMS`.
    """
    return [_evaluate(claim, results, level) for claim in CLAIMS]


def _evaluate(claim: Claim, results: Results, level: float) -> ClaimResult:
    settings = claim.evidence(results, level)
    controls = [row for c in claim.controls for row in _control(c, results, level)]
    several = len(settings) > 1
    measured = [f"{s['group']}: {s['measured']}" if several else s["measured"] for s in settings]
    verdict, why = _verdict(settings)
    return {
        "id": claim.id,
        "paper": claim.paper,
        "statement": claim.statement,
        "source": "; ".join(map(citation, claim.published)),
        "test": claim.test,
        "measured": "; ".join(measured) or "–",
        "verdict": verdict,
        "why": " ".join(filter(None, (why, _attribution(verdict, controls)))),
        "settles": _settles(claim, settings),
        "effect": settings[0]["effect"] if len(settings) == 1 else None,
        "settings": settings,
        "controls": controls,
        "published": list(claim.published),
    }


def _verdict(settings: Sequence[SettingResult]) -> tuple[Outcome, str]:
    if not settings:
        return "not tested", "The methods this claim compares were not all measured here."
    if len({setting["verdict"] for setting in settings}) == 1:
        return settings[0]["verdict"], settings[0]["why"]
    parts = "; ".join(f"{setting['group']}: {setting['verdict']}" for setting in settings)
    return "undecided", f"The settings disagree ({parts})."


def _settles(claim: Claim, settings: Sequence[SettingResult]) -> str:
    if not settings:
        return f"Needs {claim.needs}."
    if len({setting["settles"] for setting in settings}) == 1:
        return settings[0]["settles"]
    return " ".join(f"{setting['group']}: {setting['settles']}" for setting in settings)


_VERDICTS: dict[Outcome, Verdict] = {
    "supported": "better",
    "not supported": "worse",
    "undecided": "tie",
}


def _control(control: Control, results: Results, level: float) -> list[ControlResult]:
    return [
        {
            "against": control.against,
            "purpose": control.purpose,
            "attributes": control.attributes,
            "group": found["group"],
            "measured": found["measured"],
            "verdict": _VERDICTS[found["verdict"]],
        }
        for found in control.evidence(results, level)
    ]


def _attribution(verdict: Outcome, controls: Sequence[ControlResult]) -> str:
    """Returns what a supported claim may not be attributed to, by its controls."""
    unbeaten = dict.fromkeys(
        c["against"] for c in controls if c["attributes"] and c["verdict"] != "better"
    )
    if verdict != "supported" or not unbeaten:
        return ""
    return (
        f"But it is not shown to beat {' or '.join(unbeaten)}, so that the effect cannot be "
        "attributed to the loss queries."
    )
