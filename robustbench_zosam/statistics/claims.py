"""The published claims which a run can test, and what it says about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robustbench_zosam.statistics.evidence import accuracy_gain, close_in_accuracy, flatter
from robustbench_zosam.statistics.evidence_gradients import steadier
from robustbench_zosam.statistics.evidence_runs import faster, flatter_is_more_robust
from robustbench_zosam.statistics.findings import Evidence, Finding

_PAPER = "arXiv 2603.13115"
_SECONDARY = "as reported by secondary summaries, not checked against the paper"


@dataclass(frozen=True)
class Claim:
    """A published statement and how it is tested here.

    Attributes:
        id: stable name.
        statement: what is claimed.
        source: where, with the published numbers.
        test: how a run tests it.
        evidence: the test.
    """

    id: str
    statement: str
    source: str
    test: str
    evidence: Evidence


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim and what a run says about it.

    Attributes:
        id: of the claim.
        statement: of the claim.
        source: of the claim.
        test: of the claim.
        measured: the numbers, in words.
        verdict: "supported", "not supported", "inconclusive" or "not tested".
        why: the reason of the verdict, with its limits.
    """

    id: str
    statement: str
    source: str
    test: str
    measured: str
    verdict: str
    why: str


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "zo-sam-robustness",
        "ZO-SAM makes sparse networks more accurate under common corruptions than SGD does.",
        f"{_PAPER}, Table 5: SNIP 90 %, ResNet-32, CIFAR-10-C: 59.60 % with SGD, 62.70 % with "
        f"ZO-SAM ({_SECONDARY})",
        "Paired difference of the mean corruption accuracy to SGD at equal sparsity.",
        accuracy_gain("zo-sam", "sgd", "mean"),
    ),
    Claim(
        "zo-sam-clean",
        "ZO-SAM makes sparse networks more accurate on clean images than SGD does.",
        f"{_PAPER}, Table 1: gains of 0.38 to 2.31 points on CIFAR-10 ({_SECONDARY})",
        "Paired difference of the clean accuracy to SGD at equal sparsity.",
        accuracy_gain("zo-sam", "sgd", "clean"),
    ),
    Claim(
        "zo-sam-information",
        "What helps is the zero-order information, not the random perturbation alone.",
        "Implied by the method; none of the available descriptions mentions such a control",
        "Paired difference of the mean corruption accuracy to a control that perturbs with the "
        "same radius but never asks for the loss.",
        accuracy_gain("zo-sam", "random-perturbation", "mean"),
    ),
    Claim(
        "zo-sam-flatter",
        "ZO-SAM ends in flatter minima than SGD.",
        f"{_PAPER}, Figure 4 shows loss surfaces; no Hessian trace is known to be published",
        "Paired difference of the Hessian trace over images to SGD at equal sparsity.",
        flatter("zo-sam", "sgd", "flatness", "trace"),
    ),
    Claim(
        "zo-sam-flatter-adaptive",
        "The same holds for a flatness that rescaling the weights cannot change.",
        "Not claimed by the paper; the plain trace changes when weights are rescaled",
        "Paired difference of the adaptive Hessian trace over images to SGD at equal sparsity.",
        flatter("zo-sam", "sgd", "adaptive", "adaptive trace"),
    ),
    Claim(
        "zo-sam-cost",
        "ZO-SAM trains faster than SAM.",
        f"{_PAPER}, Table 4: 76.67 % of SGD's throughput, SAM 47.67 % ({_SECONDARY})",
        "Ratio of the training throughputs (images per second), seed by seed.",
        faster("zo-sam", "sam", "sgd"),
    ),
    Claim(
        "zo-sam-near-sam",
        "ZO-SAM comes close to SAM in clean accuracy.",
        f"{_PAPER}, Table 4: 93.50 % against 93.77 % ({_SECONDARY})",
        "The interval of the paired difference to SAM must lie within one point of zero.",
        close_in_accuracy("zo-sam", "sam", margin=0.01),
    ),
    Claim(
        "zo-sam-variance",
        "ZO-SAM trains with gradients of lower variance than SGD does.",
        f"{_PAPER}, Figure 1a: about one third of SGD's at 90 % sparsity, in a definition that is "
        f"not known ({_SECONDARY})",
        "Ratio of the variances over mini-batches of the gradients each optimizer uses, at its own "
        "weights, over the epochs measured and seed by seed (runs with training.diagnostics=true).",
        steadier("zo-sam", "sgd"),
    ),
    Claim(
        "flatter-robust",
        "Flatter minima are more robust to corruptions.",
        "The premise of sharpness-aware training for robustness; disputed in the literature",
        "Rank correlation between Hessian trace and mean corruption accuracy over the methods at "
        "equal sparsity.",
        flatter_is_more_robust(),
    ),
)


def evaluate_claims(results: Mapping[str, Any], *, level: float = 0.95) -> list[ClaimVerdict]:
    """Tests every claim on a run.

    Args:
        results: in the form of `results.json`; `methods`, `cells` and `comparisons` are read.
        level: confidence level of the verdicts.

    Returns:
        One verdict per claim, in the order of `CLAIMS`.
    """
    return [_judge(claim, claim.evidence(results, level)) for claim in CLAIMS]


def _judge(claim: Claim, findings: list[Finding]) -> ClaimVerdict:
    verdicts = {finding.verdict for finding in findings}
    several = len(findings) > 1
    measured = "; ".join(f"{f.group}: {f.measured}" if several else f.measured for f in findings)
    if not findings:
        verdict, why = "not tested", "The methods this claim compares were not all measured here."
    elif len(verdicts) == 1:
        verdict, why = findings[0].verdict, findings[0].why
    else:
        parts = "; ".join(f"{f.group}: {f.verdict}" for f in findings)
        verdict, why = "inconclusive", f"The settings disagree ({parts})."
    return ClaimVerdict(
        claim.id, claim.statement, claim.source, claim.test, measured or "–", verdict, why
    )
