"""All claims, paper by paper, with the published numbers and how a run tests them."""

from __future__ import annotations

from robustbench_zosam.claims.claim import Claim, Expected, published
from robustbench_zosam.claims.evidence_cost import throughput_ratio
from robustbench_zosam.claims.evidence_flatness import trace_robustness_correlation
from robustbench_zosam.claims.evidence_paired import between, claimed_gain, noninferior_accuracy
from robustbench_zosam.claims.findings import NONE
from robustbench_zosam.claims.scope import PaperSetting
from robustbench_zosam.claims.zo_sam import ZO_SAM_CLAIMS
from robustbench_zosam.claims.zo_sam_rivals import RIVAL_CLAIMS

XSAM, SSAM, NZK = (f"arXiv {number}" for number in ("2603.10048", "2210.05177", "2603.21169"))

_XSAM = Expected("xsam", "sam", "clean", 0.003)
_RESNET_18 = PaperSetting("CIFAR-10, ResNet-18, dense", ("cifar10", "cifar100"), ("resnet18",))
_TIMED = PaperSetting("CIFAR-100, ResNet-18, on a GPU", ("cifar100",), ("resnet18",), gpu=True)

CLAIMS: tuple[Claim, ...] = (
    *ZO_SAM_CLAIMS,
    *RIVAL_CLAIMS,
    Claim(
        "xsam-accuracy",
        XSAM,
        "XSAM is more accurate than SAM.",
        (
            published(
                "CIFAR-10, ResNet-18: SAM 96.0, XSAM 96.3 %; CIFAR-100: 79.5, 80.3 %; no result "
                "under corruptions",
                f"{XSAM}, tables",
            ),
        ),
        "Paired difference of the clean accuracy to SAM at equal sparsity.",
        claimed_gain(_XSAM),
        "sam and xsam at one sparsity",
        expected=_XSAM,
        setting=_RESNET_18,
    ),
    Claim(
        "xsam-cost",
        XSAM,
        "XSAM costs about as much as SAM.",
        (
            published(
                "hours per 200 epochs of ResNet-18 on CIFAR-100: SAM 2.40, XSAM 2.43",
                f"{XSAM}, tables",
            ),
        ),
        "Ratio of the training throughputs, seed by seed; about as much means above nine tenths.",
        throughput_ratio(
            "xsam", "sam", above=0.9, expected=2.40 / 2.43, of="SAM's throughput", published=True
        ),
        "sam and xsam at one sparsity",
        setting=_TIMED,
        timed=True,
    ),
    *(
        Claim(
            f"{name}-accuracy",
            SSAM,
            f"{label} perturbs only half of the weights and is as accurate as SAM, or more.",
            (
                published(
                    "at 50 % sparsity of the perturbation, performance is kept or better; the "
                    "tables are not known here",
                    f"{SSAM}, abstract",
                    checked=True,
                ),
            ),
            "The interval of the paired difference to SAM must exclude a loss of one point.",
            noninferior_accuracy(between(name, "sam"), margin=0.01),
            f"sam and {name} (optimizer.{name}.sparsity=0.5) at one sparsity",
        )
        for name, label in (("ssam-f", "SSAM-F"), ("ssam-d", "SSAM-D"))
    ),
    Claim(
        "nzk-kernel",
        NZK,
        "Zero-order training follows a kernel that stays constant for linear models, and a shared "
        "random vector accelerates it.",
        (published("proofs and curves; no table of numbers is known here", f"{NZK}, abstract"),),
        "On small problems of their own: `zosam-robust nzk` tests each of the paper's claims.",
        NONE,
        "`zosam-robust nzk`, which has a page of its own",
    ),
    Claim(
        "flatter-robust",
        "The premise",
        "Flatter minima are more robust to corruptions.",
        (
            published(
                "disputed in the literature",
                "The premise of sharpness-aware training for robustness",
                checked=True,
            ),
        ),
        "Rank correlation between Hessian trace and mean corruption accuracy over the methods at "
        "equal sparsity.",
        trace_robustness_correlation(),
        "at least 5 methods at one sparsity, with flatness",
    ),
)
