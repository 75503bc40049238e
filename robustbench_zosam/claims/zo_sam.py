"""What the paper of ZO-SAM claims, and the controls of each claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from robustbench_zosam.claims.claim import Claim, Control, Expected, published
from robustbench_zosam.claims.evidence_cost import (
    faster_convergence,
    one_backward_pass,
    throughput_ratio,
)
from robustbench_zosam.claims.evidence_gradients import smaller_gradient_variance
from robustbench_zosam.claims.evidence_paired import (
    accuracy_gain,
    between,
    claimed_gain,
    equivalent_accuracy,
    smaller_drop,
    smaller_trace,
    sparse_against_dense,
)
from robustbench_zosam.claims.findings import Evidence
from robustbench_zosam.claims.paper_settings import CIFAR_10, CORRUPTED, MEST, TIMED

ZO_SAM = "arXiv 2603.13115"
_PURPOSES = {
    "random-perturbation": "whether the loss queries matter, or any perturbation of this size",
    "s2-sam": "whether the queries are worth more than reusing the last gradient, at no cost",
    "sam": "how it compares with a perturbation along the exact gradient",
}


def _controls(evidence: Callable[[str], Evidence]) -> tuple[Control, ...]:
    """Returns the comparisons of ZO-SAM with each control method, all by one test."""
    return tuple(
        Control(name, purpose, evidence(name), attributes=name != "sam")
        for name, purpose in _PURPOSES.items()
    )


def _gain_controls(row: str) -> tuple[Control, ...]:
    dense = Control(
        "sparse SGD against dense",
        "what sparsity alone costs",
        accuracy_gain(sparse_against_dense, row),
    )
    return (*_controls(lambda name: accuracy_gain(between("zo-sam", name), row)), dense)


def _flat_controls(field: Literal["flatness", "adaptive"], measure: str) -> tuple[Control, ...]:
    beside = _controls(lambda name: smaller_trace(between("zo-sam", name), field, measure))
    sparsity = smaller_trace(sparse_against_dense, field, measure)
    return (*beside, Control("sparse SGD against dense", "what sparsity alone does", sparsity))


PAIR = "sgd and zo-sam at one sparsity"
_TABLE_1 = (
    "CIFAR-10, ResNet-32: gains of 0.38 to 2.31 points; RigL at 90, 95 and 98 %: 93.07 to 93.66, "
    "91.83 to 92.21, 89.00 to 90.61 %"
)
_TABLE_3 = (
    "epochs to 90 % test accuracy on CIFAR-10 at 90 and 95 % sparsity: SGD 104 and 131, ZO-SAM 70 "
    "and 88"
)

_ROBUST = Expected("zo-sam", "sgd", "mean", 0.031)
_CLEAN = Expected("zo-sam", "sgd", "clean", 0.0038)

ZO_SAM_CLAIMS: tuple[Claim, ...] = (
    Claim(
        "zo-sam-robustness",
        ZO_SAM,
        "ZO-SAM makes sparse networks more accurate under common corruptions than SGD does.",
        (
            published(
                "CIFAR-10-C, SNIP 90 %, ResNet-32, mean of 19 corruptions at 5 severities: 59.60 % "
                "with SGD, 62.70 % with ZO-SAM",
                f"{ZO_SAM}, Table 5",
            ),
        ),
        "Paired difference of the mean corruption accuracy to SGD at equal sparsity.",
        claimed_gain(_ROBUST),
        PAIR,
        _gain_controls("mean"),
        _ROBUST,
        CORRUPTED,
    ),
    Claim(
        "zo-sam-drop",
        ZO_SAM,
        "With ZO-SAM accuracy falls less from clean to corrupted images than with SGD.",
        (
            published(
                "CIFAR-10-C, SNIP 90 %, ResNet-32, mean of 19 corruptions: 32.99 points with SGD, "
                "30.68 with ZO-SAM",
                f"{ZO_SAM}, Table 5",
            ),
        ),
        "Paired difference of clean minus mean corruption accuracy to SGD at equal sparsity.",
        smaller_drop(between("zo-sam", "sgd"), expected=-0.0231),
        PAIR,
        _controls(lambda name: smaller_drop(between("zo-sam", name), expected=-0.0231)),
        setting=CORRUPTED,
    ),
    Claim(
        "zo-sam-clean",
        ZO_SAM,
        "ZO-SAM makes highly sparse networks more accurate on clean images than SGD does.",
        (published(_TABLE_1, f"{ZO_SAM}, Table 1"),),
        "Paired difference of the clean accuracy to SGD at equal sparsity.",
        claimed_gain(_CLEAN),
        PAIR,
        _gain_controls("clean"),
        _CLEAN,
        CIFAR_10,
    ),
    Claim(
        "zo-sam-information",
        ZO_SAM,
        "What helps is the zero-order information, not the random perturbation alone.",
        (published("no such control is known to be published", "Implied by the method"),),
        "Paired difference of the mean corruption accuracy to a control that perturbs with the "
        "same radius but never asks for the loss.",
        accuracy_gain(between("zo-sam", "random-perturbation"), "mean"),
        "random-perturbation and zo-sam at one sparsity",
    ),
    Claim(
        "zo-sam-flatter",
        ZO_SAM,
        "ZO-SAM ends in flatter minima than SGD.",
        (
            published(
                "loss surfaces; no Hessian trace is known to be published", f"{ZO_SAM}, Figure 4"
            ),
        ),
        "Paired difference of the Hessian trace over images to SGD at equal sparsity.",
        smaller_trace(between("zo-sam", "sgd"), "flatness", "trace"),
        PAIR,
        _flat_controls("flatness", "trace"),
        setting=CIFAR_10,
    ),
    Claim(
        "zo-sam-flatter-adaptive",
        ZO_SAM,
        "The same holds for a flatness that rescaling the weights cannot change.",
        (
            published(
                "not claimed; the plain trace changes when weights are rescaled",
                "This project",
                checked=True,
            ),
        ),
        "Paired difference of the adaptive Hessian trace over images to SGD at equal sparsity.",
        smaller_trace(between("zo-sam", "sgd"), "adaptive", "adaptive trace"),
        PAIR,
        _flat_controls("adaptive", "adaptive trace"),
    ),
    Claim(
        "zo-sam-variance",
        ZO_SAM,
        "ZO-SAM trains with gradients of lower variance than SGD does.",
        (
            published(
                "about one third of SGD's at 90 % sparsity, in a definition that is not known",
                f"{ZO_SAM}, Figure 1a",
            ),
        ),
        "Ratio of the variances over mini-batches of the gradients each optimizer uses, at its own "
        "weights, over the epochs measured and seed by seed (runs with training.diagnostics=true).",
        smaller_gradient_variance("zo-sam", "sgd", expected=1 / 3),
        f"{PAIR}, with training.diagnostics=true",
        _controls(lambda name: smaller_gradient_variance("zo-sam", name, expected=0.5)),
        setting=CIFAR_10,
    ),
    Claim(
        "zo-sam-convergence",
        ZO_SAM,
        "ZO-SAM needs fewer epochs to an accuracy than SGD does.",
        (published(_TABLE_3, f"{ZO_SAM}, Table 3"),),
        "Ratio of the epochs to 90 % validation accuracy (or the highest multiple of 5 % that "
        "every run reached), seed by seed.",
        faster_convergence("zo-sam", "sgd", expected=70 / 104, published=True),
        PAIR,
        _controls(lambda name: faster_convergence("zo-sam", name, expected=70 / 104)),
        setting=CIFAR_10,
    ),
    Claim(
        "zo-sam-backward",
        ZO_SAM,
        "ZO-SAM takes one backward pass per step, where SAM takes two.",
        (published("a single backpropagation per step", f"{ZO_SAM}, abstract", checked=True),),
        "The passes are counted during training.",
        one_backward_pass("zo-sam", "sam"),
        "zo-sam",
    ),
    Claim(
        "zo-sam-throughput",
        ZO_SAM,
        "ZO-SAM keeps about three quarters of SGD's throughput.",
        (
            published(
                "4349.53 of 5673.95 images per second on ResNet-32 (76.67 %), 76.6 % on WRN-28-10",
                f"{ZO_SAM}, Table 4",
            ),
        ),
        "Ratio of the training throughputs, seed by seed; kept means above two thirds. Two more "
        "forward passes cost about 40 % of a step where a backward pass costs two forward ones.",
        throughput_ratio(
            "zo-sam", "sgd", above=2 / 3, expected=0.7667, of="SGD's throughput", published=True
        ),
        PAIR,
        tuple(
            Control(
                name,
                purpose,
                throughput_ratio("zo-sam", name, expected=ratio, of=f"the throughput of {name}"),
            )
            for name, purpose, ratio in (
                ("random-perturbation", "what the loss queries cost", 0.6),
                ("s2-sam", "what the cheapest relative costs", 0.6),
                ("sam", "what they save of a second backward pass", 1.61),
            )
        ),
        setting=TIMED,
        timed=True,
    ),
    Claim(
        "zo-sam-cost",
        ZO_SAM,
        "ZO-SAM trains faster than SAM.",
        (
            published(
                "76.67 % of SGD's throughput, SAM 47.67 %, so 1.61 times SAM's; LookSAM every 10 "
                "steps 75.3 %",
                f"{ZO_SAM}, Table 4",
            ),
        ),
        "Ratio of the training throughputs (images per second), seed by seed.",
        throughput_ratio("zo-sam", "sam", expected=1.61, of="SAM's throughput", published=True),
        "sam and zo-sam at one sparsity",
        setting=TIMED,
        timed=True,
    ),
    Claim(
        "zo-sam-near-sam",
        ZO_SAM,
        "ZO-SAM comes close to SAM in clean accuracy.",
        (published("93.50 % against 93.77 %, MEST 90 %", f"{ZO_SAM}, Table 4"),),
        "The interval of the paired difference to SAM must lie within one point of zero.",
        equivalent_accuracy(between("zo-sam", "sam"), margin=0.01),
        "sam and zo-sam at one sparsity",
        setting=MEST,
    ),
)
