"""What comes out of comparing two methods."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from robustbench_zosam.statistics.equivalence import Equivalence
from robustbench_zosam.statistics.paired import PairedDifference

Question = Literal["optimizer", "sparsity", "model"]
Verdict = Literal["better", "worse", "tie"]


@dataclass(frozen=True)
class Row:
    """One tested difference of accuracies.

    Attributes:
        corruption: "clean", "mean" (over all corruptions and severities), or a corruption.
        paired: the difference, method minus baseline.
        p_holm: corrected over the corruptions; None for the two primary tests, clean and mean.
        verdict: at the level of the interval; "better" is a higher accuracy.
        equivalence: whether a tie is a small difference, or only one that was not found.
        given_models: interval over images alone, for the trained models at hand.
    """

    corruption: str
    paired: PairedDifference
    p_holm: float | None
    verdict: Verdict
    equivalence: Equivalence
    given_models: tuple[float, float]


@dataclass(frozen=True)
class Worst:
    """Difference between two methods' accuracies, each under its own worst corruption.

    Attributes:
        method: the method's worst corruption.
        baseline: the baseline's.
        difference: of the accuracies there, means over common seeds and severities.
        low: lower limit over images, for the trained models at hand.
        high: upper limit.
    """

    method: str
    baseline: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Exact:
    """McNemar's exact test on the clean images, for one seed.

    Attributes:
        seed: of both trainings.
        only_method: images that only the method classified correctly.
        only_baseline: images that only the baseline classified correctly.
        p: two-sided.
    """

    seed: int
    only_method: int
    only_baseline: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """A method against a baseline.

    Attributes:
        method: id of the method.
        baseline: id of the baseline.
        question: what differs between the two.
        rows: clean, mean, then each corruption.
        worst: at the worst corruptions; None without corruptions.
        slope: difference of the degradations per severity; None with fewer than two severities.
        exact: seed by seed, on the clean images.
        flatness: difference of the Hessian traces; None where not measured.
        adaptive: difference of the adaptive traces; None where not measured.
    """

    method: str
    baseline: str
    question: Question
    rows: tuple[Row, ...]
    worst: Worst | None
    slope: PairedDifference | None
    exact: tuple[Exact, ...]
    flatness: PairedDifference | None
    adaptive: PairedDifference | None

    def as_dict(self) -> dict[str, Any]:
        """Returns the comparison as strict JSON values."""
        return {
            "method": self.method,
            "baseline": self.baseline,
            "question": self.question,
            "metric": "accuracy",
            "family_correction": "holm",
            "rows": [_row_dict(row) for row in self.rows],
            "worst": None if self.worst is None else asdict(self.worst),
            "slope": _paired_dict(self.slope, "slope"),
            "exact": [asdict(test) for test in self.exact],
            "flatness": _paired_dict(self.flatness, "trace"),
            "adaptive": _paired_dict(self.adaptive, "adaptive_trace"),
        }


def _row_dict(row: Row) -> dict[str, Any]:
    low, high = row.given_models
    return {
        "corruption": row.corruption,
        **asdict(row.paired),
        "per_seed": list(row.paired.per_seed),
        "p_holm": row.p_holm,
        "verdict": row.verdict,
        "equivalence": asdict(row.equivalence),
        "given_models": {"low": low, "high": high},
    }


def _paired_dict(paired: PairedDifference | None, metric: str) -> dict[str, Any] | None:
    if paired is None:
        return None
    return {**asdict(paired), "per_seed": list(paired.per_seed), "metric": metric}
