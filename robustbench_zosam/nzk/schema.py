"""What `nzk.json` holds, as types."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from robustbench_zosam.report.origin import Origin

VERSION = 2

Kernel = Literal["shared", "independent"]
Rates = Literal["equal", "tuned"]
"""One learning rate for all updates, or each at its own."""
Prediction = Literal["expected_outputs", "expected_loss"]
KERNELS: tuple[Kernel, ...] = ("shared", "independent")


class DistributionRow(TypedDict):
    """The mean kernel of one distribution of directions against its closed form."""

    distribution: str
    shared: bool
    theory: float
    """Trace over that of the tangent kernel."""
    measured: float
    se: float
    largest_deviation: float
    """Of an entry of the kernel, in standard errors."""
    entries: int


class DistributionStudy(TypedDict):
    """All distributions."""

    draws: int
    rows: list[DistributionRow]


class ConstancyTest(TypedDict):
    """Whether independent measurements share one mean."""

    mean: float
    se: float
    chi2: float
    df: int
    p: float


class KernelTraces(TypedDict):
    """Traces of a measured kernel through training, over the expected trace at the start."""

    measured: list[float]
    se: list[float]
    theory: list[float]
    """Closed form at the weights of each step."""
    constant: ConstancyTest | None
    """None for a network, whose kernel may move."""


class KernelHistory(TypedDict):
    """Both kernels at the weights of a training run."""

    steps: list[int]
    ntk_trace: list[float]
    """Of the tangent kernel, over that at the start."""
    ntk_cosine: list[float]
    """Between the tangent kernel and that at the start."""
    shared: KernelTraces
    independent: KernelTraces


class KernelCoupling(TypedDict):
    """A measured kernel between the outputs: sums over examples, in units of their mean."""

    measured: list[list[float]]
    """C × C, over the mean expected sum of an output with itself; 1 on average on the diagonal."""
    se: list[list[float]]
    largest_deviation: float
    """Of an entry from the closed form, in standard errors."""


class OutputCoupling(TypedDict):
    """How far the outputs of a model move each other, at the first start."""

    names: list[str]
    theory: list[list[float]]
    """C × C, for both kernels: that of the tangent kernel."""
    between: float
    """Share of the squared entries of the tangent kernel that lie between different outputs."""
    shared: KernelCoupling
    independent: KernelCoupling


class RateSearch(TypedDict):
    """The tuning of one update's learning rate."""

    chosen: int
    """Index in the grid."""
    rate: float
    relative: float
    """In units of n/λ_max of the expected kernel."""
    at_edge: bool
    losses: list[float | None]
    """Geometric mean over seeds of the loss at the end, for each rate of the grid; None where it
    diverged or was not measured."""
    theory: list[float | None]
    """Expected loss there."""


class LossCurve(TypedDict):
    """The loss of one update at one learning rate."""

    rate: float
    steps: list[int]
    mean: list[float | None]
    """Over seeds; None where a seed diverged."""
    low: list[float | None]
    """Lower 95 % limit of the mean, given the starts."""
    high: list[float | None]
    diverged: int
    """Seeds that ended above their first loss."""
    expected_outputs: list[float | None]
    """Loss of the expected outputs."""
    expected_loss: list[float | None]


class SpeedUp(TypedDict):
    """How many times fewer steps one update needs than another."""

    setting: Rates
    fast: str
    slow: str
    theory: float | None
    seeds: int
    """Seeds that gave a ratio."""
    of: int
    bounds: int
    """Ratios that are bounds: one of the two runs never reached the target."""
    per_seed: list[float]
    value: float | None
    """Geometric mean."""
    low: float | None
    high: float | None


class UpdateComparison(TypedDict):
    """The updates side by side on one problem."""

    target: float
    """Lowest loss that all updates reach at their best rate in tuning."""
    relative_rates: list[float]
    equal_rate: float
    tuning: dict[str, RateSearch]
    equal: dict[str, LossCurve]
    tuned: dict[str, LossCurve]
    speed_ups: list[SpeedUp]


class ProblemResult(UpdateComparison):
    """All that was measured on one problem."""

    name: str
    title: str
    detail: str
    linear: bool
    n: int
    """Examples."""
    dimension: int
    """Weights, without pruned ones."""
    outputs: int
    """Of an example."""
    kernel: KernelHistory
    coupling: OutputCoupling | None
    """None for a single output."""


class StudyOptions(TypedDict):
    """What was compared, and how precisely; see `StudyConfig`."""

    data: str
    models: list[str]
    """Trained classifiers; empty where the models are those of the study."""
    images: int | None
    """Of each classifier."""
    classes: list[str]
    """Empty: all of the data."""
    outputs: int | None
    """None: those that the classes take."""
    seeds: list[int]
    steps: int
    draws: int


class TuningBudget(TypedDict):
    """How many seeds and learning rates each update was tuned with."""

    seeds: int
    """0: by the expected loss in theory, without training."""
    rates: int


class StudyResults(TypedDict):
    """The whole comparison."""

    schema: int
    kind: str
    title: str
    config: StudyOptions
    tuning: TuningBudget
    distributions: DistributionStudy
    problems: list[ProblemResult]
    provenance: Origin
