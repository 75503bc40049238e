"""What a run says about the claims: verdict, effect, controls, and what would settle it."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zosam.claims.catalogue import CLAIMS
from robustbench_zosam.claims.claim import Claim, Control, citation
from robustbench_zosam.claims.findings import Rule
from robustbench_zosam.claims.pooling import pool
from robustbench_zosam.schema import (
    ClaimResult,
    ControlResult,
    Outcome,
    PooledEffect,
    Results,
    SettingResult,
    Verdict,
)


def evaluate_claims(results: Results, *, level: float = 0.95) -> list[ClaimResult]:
    """Tests every claim on a run.

    Where nothing differs, a claim of a gain is called supported with a probability of at most half
    of 1 - level, and each verdict stands alone: among many claims some error is more likely.
    Several settings are pooled; other hardware than the paper's does not refute a claim about time.

    Args:
        results: of a run; `methods`, `cells` and `comparisons` are read.
        level: confidence level of the verdicts.

    Returns:
        One result per claim, in the order of `CLAIMS`.
    """
    return [_evaluate(claim, results, level) for claim in CLAIMS]


def _evaluate(claim: Claim, results: Results, level: float) -> ClaimResult:
    scope = claim.setting.against(results)
    elsewhere = claim.only_there in scope["differs"]
    settings = [] if elsewhere else claim.evidence(results, level)
    controls = [row for c in claim.controls if settings for row in _control(c, results, level)]
    several = len(settings) > 1
    measured = [f"{s['group']}: {s['measured']}" if several else s["measured"] for s in settings]
    effects = [s["effect"] for s in settings]
    known = [effect for effect in effects if effect is not None]
    whole = pool(known, level) if several and len(known) == len(effects) else None
    if whole is not None:
        measured.insert(0, _pooled_text(whole))
    verdict, why = _verdict(settings, whole, claim.evidence.rule)
    if claim.timed and "hardware" in scope["differs"] and verdict in _REFUTES:
        verdict = "undecided"
        why = f"Measured on other hardware than the paper's, which does not refute it. {why}"
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
        "effect": settings[0]["effect"] if len(settings) == 1 else whole,
        "scope": scope,
        "settings": settings,
        "controls": controls,
        "published": list(claim.published),
    }


_REFUTES = {"not supported", "published size excluded"}


def _verdict(
    settings: Sequence[SettingResult], whole: PooledEffect | None, rule: Rule | None
) -> tuple[Outcome, str]:
    if not settings:
        return "not tested", "What this claim compares was not measured here."
    if len(settings) == 1:
        return settings[0]["verdict"], settings[0]["why"]
    parts = "; ".join(f"{setting['group']}: {setting['verdict']}" for setting in settings)
    found = {setting["verdict"] for setting in settings}
    if found >= {"supported", "not supported"}:
        return "undecided", f"The settings disagree ({parts})."
    if whole is None or rule is None:
        same = settings[0]["verdict"] if len(found) == 1 else "undecided"
        return same, f"By setting: {parts}."
    differ = (
        f"The settings differ by more than chance (p = {whole['p']:.2g})"
        if whole["p"] < _DIFFER
        else f"No difference between the settings is shown (p = {whole['p']:.2g})"
    )
    return rule.judge(whole["low"], whole["high"]), (
        f"Pooled over {whole['settings']} settings. {differ}: {parts}."
    )


_DIFFER = 0.1  # of so few settings a test finds little


def _pooled_text(whole: PooledEffect) -> str:
    scale, unit = (100.0, "points") if whole["unit"] == "accuracy" else (1.0, whole["unit"])
    form = "{:.2f}" if whole["unit"] == "ratio" else "{:+.3g}"
    value, low, high = (
        form.format(scale * (x or 0.0)) for x in (whole["value"], whole["low"], whole["high"])
    )
    return (
        f"pooled over {whole['settings']} settings {value} {unit} [{low}, {high}], "
        f"I² = {100 * whole['share']:.0f} %"
    )


def _settles(claim: Claim, settings: Sequence[SettingResult]) -> str:
    if not settings:
        return f"Needs {claim.needs}."
    if len({setting["settles"] for setting in settings}) == 1:
        return settings[0]["settles"]
    return " ".join(f"{setting['group']}: {setting['settles']}" for setting in settings)


_VERDICTS: dict[Outcome, Verdict] = {
    "supported": "better",
    "not supported": "worse",
    "published size excluded": "tie",
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
