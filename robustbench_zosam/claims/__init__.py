"""What the papers claim, and what a run says about it."""

from robustbench_zosam.claims.catalogue import CLAIMS
from robustbench_zosam.claims.claim import Claim, Control
from robustbench_zosam.claims.evaluate import evaluate_claims

__all__ = ["CLAIMS", "Claim", "Control", "evaluate_claims"]
