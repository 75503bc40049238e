"""What the papers claim, and what a run says about it."""

from robustbench_zosam.claims.catalogue import CLAIMS
from robustbench_zosam.claims.claim import Claim, Control, Published
from robustbench_zosam.claims.judge import ClaimVerdict, claims_dict, evaluate_claims

__all__ = [
    "CLAIMS",
    "Claim",
    "ClaimVerdict",
    "Control",
    "Published",
    "claims_dict",
    "evaluate_claims",
]
