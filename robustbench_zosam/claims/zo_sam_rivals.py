"""What the paper of ZO-SAM reports on other data, and of methods beside it."""

from __future__ import annotations

from robustbench_zosam.claims.claim import Claim, Expected, published
from robustbench_zosam.claims.evidence_cost import faster_convergence
from robustbench_zosam.claims.evidence_paired import claimed_gain
from robustbench_zosam.claims.paper_settings import CIFAR_10, CIFAR_100, CORRUPTED, DEIT, MEST
from robustbench_zosam.claims.zo_sam import PAIR, ZO_SAM

_GAIN_100 = Expected("zo-sam", "sgd", "clean", 0.0045)
_GAIN_DEIT = Expected("zo-sam", "sgd", "clean", 0.0072)
_BELOW_GSAM = Expected("zo-sam", "gsam", "clean", -0.0022)
_ABOVE_GSAM = Expected("zo-sam", "gsam", "mean", 0.0105)
_EPOCHS = {"esam": ("ESAM", 75, 92), "looksam": ("LookSAM", 79, 94), "gsam": ("GSAM", 84, 113)}

RIVAL_CLAIMS: tuple[Claim, ...] = (
    Claim(
        "zo-sam-clean-cifar100",
        ZO_SAM,
        "On CIFAR-100, ZO-SAM makes highly sparse networks more accurate than SGD does.",
        (
            published(
                "CIFAR-100, ResNet-32: gains of 0.45 to 2.54 points; RigL at 90, 95 and 98 %: "
                "70.34 to 72.88, 68.22 to 70.58, 64.07 to 65.17 %",
                f"{ZO_SAM}, Table 1",
            ),
        ),
        "Paired difference of the clean accuracy to SGD at equal sparsity, on CIFAR-100.",
        claimed_gain(_GAIN_100),
        f"{PAIR}, with --data cifar100 --model resnet32",
        expected=_GAIN_100,
        setting=CIFAR_100,
        only_there="data",
    ),
    Claim(
        "zo-sam-clean-deit",
        ZO_SAM,
        "On ImageNet, ZO-SAM makes sparse vision transformers more accurate.",
        (
            published(
                "DeiT-Small, RigL 70 %: 77.99 to 79.16 %; DeiT-Tiny at 50 %: SViTE 70.18 to 71.32, "
                "MEST 69.69 to 70.41 % (summaries contradict each other on the base methods)",
                f"{ZO_SAM}, Table 2",
            ),
        ),
        "Paired difference of the clean accuracy to the base optimizer at equal sparsity.",
        claimed_gain(_GAIN_DEIT),
        f"{PAIR}, with DeiT on ImageNet",
        expected=_GAIN_DEIT,
        setting=DEIT,
        only_there="network",
    ),
    *(
        Claim(
            f"zo-sam-convergence-{name}",
            ZO_SAM,
            f"ZO-SAM needs fewer epochs to an accuracy than {label} does.",
            (
                published(
                    f"epochs to 90 % test accuracy on CIFAR-10 at 90 and 95 % sparsity: {label} "
                    f"{ninety} and {more}, ZO-SAM 70 and 88",
                    f"{ZO_SAM}, Table 3",
                ),
            ),
            "Ratio of the epochs to 90 % validation accuracy (or the highest multiple of 5 % that "
            "every run reached), seed by seed.",
            faster_convergence("zo-sam", name, expected=70 / ninety, published=True),
            f"{name} and zo-sam at one sparsity",
            setting=CIFAR_10,
        )
        for name, (label, ninety, more) in _EPOCHS.items()
    ),
    Claim(
        "gsam-clean",
        ZO_SAM,
        "GSAM is more accurate on clean images than ZO-SAM, at twice the backward passes.",
        (published("MEST 90 %: GSAM 93.72, ZO-SAM 93.50 %", f"{ZO_SAM}, Table 4"),),
        "Paired difference of the clean accuracy of ZO-SAM to GSAM at equal sparsity.",
        claimed_gain(_BELOW_GSAM),
        "gsam and zo-sam at one sparsity",
        expected=_BELOW_GSAM,
        setting=MEST,
    ),
    Claim(
        "zo-sam-robustness-gsam",
        ZO_SAM,
        "ZO-SAM is more accurate under common corruptions than GSAM.",
        (
            published(
                "CIFAR-10-C, SNIP 90 %, ResNet-32, mean of 19 corruptions: GSAM 61.65, ZO-SAM "
                "62.70 %",
                f"{ZO_SAM}, Table 5",
            ),
        ),
        "Paired difference of the mean corruption accuracy to GSAM at equal sparsity.",
        claimed_gain(_ABOVE_GSAM),
        "gsam and zo-sam at one sparsity",
        expected=_ABOVE_GSAM,
        setting=CORRUPTED,
    ),
)
