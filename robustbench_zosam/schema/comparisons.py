"""Numbers over seeds, and differences between methods."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

Question = Literal["optimizer", "sparsity", "model"]
Design = Literal["paired", "unpaired"]
Verdict = Literal["better", "worse", "tie"]


class MetricSummary(TypedDict):
    """A number of a method, over its seeds."""

    value: float | None
    """Mean over seeds; None where there is none, see `status`."""
    low: float | None
    """Lower limit of Student's 95 % interval over seeds; None for one seed."""
    high: float | None
    se: float | None
    n: int
    """Seeds that gave a value."""
    unit: str
    higher_is_better: bool | None
    status: Literal["ok", "diverged", "missing"]
    detail: str
    """What the interval covers, and what is left out."""


Summary = dict[str, dict[str, MetricSummary]]
"""Method id to metric to number."""


class VarianceComponents(TypedDict):
    """Variance of one entry of the table of differences, split by where it comes from."""

    seed: float | None
    """Between training runs; None for a single seed."""
    image: float | None
    """Between images, common to all seeds."""
    residual: float | None
    """Of one image in one run; None where it cannot be told from the others."""


class MeanSquares(TypedDict):
    """Analysis of variance of a crossed table with one entry per seed and image."""

    seed: float
    """Between rows; 0 for one row."""
    image: float
    """Between columns; 0 for one column."""
    residual: float
    """Of the interaction; 0 where there is none."""


class NestedSquares(TypedDict):
    """Mean squares of two tables on the same images whose training runs are not paired."""

    method: MeanSquares
    baseline: MeanSquares
    seeds: list[int]
    """Training runs of the method and of the baseline."""
    difference: float
    """Variance over the images of the difference of the methods' means."""


class PairedDifference(TypedDict):
    """A mean difference, method minus baseline, over common images, and seeds where paired."""

    difference: float
    """In the unit of the scores."""
    low: float | None
    """None where one observation is all there is."""
    high: float | None
    level: float
    """Confidence level of the interval."""
    se: float | None
    df: float | None
    """Satterthwaite's degrees of freedom: how few observations the standard error rests on."""
    p: float
    """Two-sided, of no difference."""
    per_seed: list[float]
    """Empty where training runs are not paired."""
    n_seeds: int
    """The smaller number where training runs are not paired."""
    n_images: int
    components: VarianceComponents
    """Estimates; a negative one is set to zero."""
    squares: NotRequired[MeanSquares | None]
    """Absent in runs of version 1, and where training runs are not paired."""
    nested: NotRequired[NestedSquares]
    """Where training runs are not paired."""


class MeasurePaired(PairedDifference):
    """A paired difference of a measure that is no accuracy."""

    detail: str
    """What the interval covers."""
    metric: str


class ScoreRow(MeasurePaired):
    """A paired difference of a score of predictions of which less is better, or near zero."""

    corruption: str
    """"clean" or "mean"."""
    p_holm: float
    """Corrected over the scores of one comparison."""


class Equivalence(TypedDict):
    """Two one-sided tests of a difference of at least the margin."""

    margin: float
    p: float
    equivalent: bool
    """Whether such a difference is ruled out."""


class Limits(TypedDict):
    """Interval over images alone: for the trained models at hand."""

    low: float
    high: float


class ComparisonRow(PairedDifference):
    """A difference of accuracies, as a fraction."""

    corruption: str
    """"clean", "mean" (over all corruptions and severities), or a corruption."""
    detail: str
    """What the interval covers."""
    p_holm: float | None
    """Corrected over the corruptions; that of clean and of mean over the comparisons made together,
    None where there is only one."""
    verdict: Verdict
    """"tie" is undecided, since chance may explain it, or equivalent; see `equivalence`."""
    equivalence: Equivalence
    given_models: Limits | None


class WorstCorruptions(TypedDict):
    """Accuracies under each method's own worst corruption."""

    method: str
    """The method's worst corruption."""
    baseline: str
    difference: float
    low: float
    """Lower limit over images, for the trained models at hand."""
    high: float


class ExactTest(TypedDict):
    """McNemar's exact test on the clean images, for one seed."""

    seed: int
    only_method: int
    """Images that only the method classified correctly."""
    only_baseline: int
    p: float
    """Two-sided."""


class Comparison(TypedDict):
    """A method against a baseline."""

    method: str
    baseline: str
    question: Question
    """What differs between the two."""
    metric: NotRequired[str]
    family_correction: NotRequired[str]
    design: NotRequired[Design]
    """Whether training runs of one seed are paired; absent before version 3, where all were."""
    rows: list[ComparisonRow]
    """Clean, mean, then each corruption."""
    worst: WorstCorruptions | None
    """None without corruptions."""
    drop: NotRequired[MeasurePaired | None]
    """Difference of the drops from clean to corrupted images; None where the clean set has other
    images than the suite, absent before version 3."""
    scores: NotRequired[list[ScoreRow]]
    """Negative log-likelihood, Brier score and overconfidence; absent before version 3."""
    slope: MeasurePaired | None
    """Difference of the changes of accuracy per severity."""
    exact: list[ExactTest]
    flatness: MeasurePaired | None
    """Difference of the Hessian traces."""
    adaptive: MeasurePaired | None
    """Difference of the adaptive traces."""


class Ranking(TypedDict):
    """Methods in the order of their means."""

    metric: str
    """"mean" over all corruptions and severities, or "clean" without corruptions."""
    order: list[str]
    """Method ids, the best mean first."""
    means: list[float]
    """Accuracies over seeds, in the same order."""
    with_best: list[str]
    """Those that are not told from the best, itself included; not shown to be equal to it."""
    pairs: int
    """Comparisons that Holm's correction covers."""
    setting: str
    """Sparsifier and sparsity; empty for all methods."""
