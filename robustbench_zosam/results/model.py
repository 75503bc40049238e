"""The form of `results.json`, as pydantic models: the source of its published JSON Schema.

Measurements may carry more than is named here; what is named is always there. Nothing is validated
when a file is read: the schema is for other programs, and for the tests.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from robustbench_zosam.results.versions import VERSION

Number = float | None
_OPEN = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Part(BaseModel):
    """A part of the results, open for more fields."""

    model_config = _OPEN


class Condition(Part):
    """One model on one corruption at one severity."""

    corruption: str
    """"clean", or the name of a corruption."""
    severity: int
    """1 to 5; 0 for clean images."""
    n: int
    """Images."""
    accuracy: Number
    low: Number
    """Lower 95 % Wilson limit of the accuracy over the images, for this trained model."""
    high: Number
    """Upper limit."""
    nll: Number
    """Mean negative log-likelihood of the true class, in nats."""
    brier: Number
    """Mean squared distance to the one-hot label, 0 to 2."""
    ece: Number
    """Expected calibration error of the top class, 15 equal-width bins, the last one closed."""
    rmsce: Number = None
    """Root mean square of the same gaps; absent in runs of version 1."""


class Robustness(Part):
    """One model under all conditions; means weigh each corruption and severity the same."""

    rows: list[Condition]
    clean_accuracy: Number
    mean_corruption_accuracy: Number
    drop: Number
    """Clean accuracy minus mean corruption accuracy."""


class Cell(Part):
    """One method with one seed."""

    id: str
    method: str
    """Id of the method."""
    seed: int
    status: Literal["done", "diverged"]
    training: dict[str, Any] | None
    """History and cost; None for a loaded checkpoint."""
    sparsity: dict[str, Any] | None
    robustness: Robustness | None
    flatness: dict[str, Any] | None
    landscape: dict[str, Any] | None


class Method(Part):
    """One way to obtain a trained model."""

    id: str
    label: str
    kind: Literal["trained", "checkpoint"]
    role: str
    optimizer: str
    sparsifier: str
    sparsity: float
    """Share of the maskable weights that are zero."""
    seeds: list[int]


class Measure(Part):
    """A number of a method, over its seeds."""

    value: Number
    """Mean over seeds; None where there is none, see `status`."""
    low: Number
    """Lower limit of Student's 95 % interval over seeds; None for one seed."""
    high: Number
    se: Number
    n: int
    """Seeds that gave a value."""
    unit: str
    higher_is_better: bool | None
    status: Literal["ok", "diverged", "missing"]
    detail: str


class Equivalence(Part):
    """Two one-sided tests of a difference of at least the margin."""

    margin: float
    p: float
    equivalent: bool
    """Whether such a difference is ruled out."""


class Paired(Part):
    """A paired difference, method minus baseline, over common seeds and images."""

    difference: float
    low: Number
    high: Number
    level: float
    se: Number
    df: Number
    """Satterthwaite's degrees of freedom: how few observations the standard error rests on."""
    p: float
    """Two-sided, of no difference."""
    per_seed: list[float]
    n_seeds: int
    n_images: int
    components: dict[str, Number]
    """Variance components: seed, image, residual."""
    detail: str
    squares: dict[str, float] | None = None
    """Mean squares of the differences: seed, image, residual; absent in runs of version 1."""


class Limits(Part):
    """Interval over images alone: for the trained models at hand."""

    low: float
    high: float


class ComparisonRow(Paired):
    """A difference of accuracies, as a share."""

    corruption: str
    """"clean", "mean" (over all corruptions and severities), or a corruption."""
    p_holm: Number
    """Corrected over the corruptions; None for clean and mean."""
    verdict: Literal["better", "worse", "tie"]
    """A tie is no difference that can be told from chance; see `equivalence`."""
    equivalence: Equivalence
    given_models: Limits | None


class Worst(Part):
    """Accuracies under each method's own worst corruption."""

    method: str
    baseline: str
    difference: float
    low: float
    high: float


class Exact(Part):
    """McNemar's exact test on the clean images, for one seed."""

    seed: int
    only_method: int
    only_baseline: int
    p: float


class Comparison(Part):
    """A method against a baseline."""

    method: str
    baseline: str
    question: Literal["optimizer", "sparsity", "model"]
    rows: list[ComparisonRow]
    worst: Worst | None
    slope: Paired | None
    """Difference of the changes of accuracy per severity."""
    exact: list[Exact]
    flatness: Paired | None
    adaptive: Paired | None


class Ranking(Part):
    """Methods in groups whose members cannot be told from their best, the best group first."""

    setting: str
    """Sparsifier and sparsity; empty for all methods."""
    metric: str
    groups: list[list[str]]
    means: list[list[float]]
    pairs: int
    """Comparisons that Holm's correction covers."""


class Effect(Part):
    """How large what a claim speaks of is."""

    value: float
    low: Number
    high: Number
    unit: str
    n_seeds: int
    n_images: int | None


class Setting(Part):
    """What one sparsifier and sparsity says about a claim."""

    group: str
    measured: str
    verdict: str
    why: str
    effect: Effect | None
    settles: str


class Control(Part):
    """What a claimed effect is held against."""

    against: str
    purpose: str
    group: str
    measured: str
    verdict: Literal["better", "worse", "tie"]


class Published(Part):
    """What a paper reports."""

    numbers: str
    where: str
    checked: bool
    """Whether read in the paper or its code; secondary summaries otherwise."""


class Claim(Part):
    """A published claim and what this run says about it."""

    id: str
    paper: str
    statement: str
    source: str
    test: str
    measured: str
    verdict: Literal["supported", "not supported", "inconclusive", "not tested"]
    why: str
    settles: str
    effect: Effect | None
    settings: list[Setting]
    controls: list[Control]
    published: list[Published]


class ResultsFile(Part):
    """What `zosam-robust evaluate` writes to results.json."""

    model_config = _OPEN | ConfigDict(title="results.json of zosam-robust")

    version: int = Field(alias="schema", ge=VERSION, le=VERSION)
    """Of this format."""
    title: str
    config: dict[str, Any]
    """The whole configuration."""
    recipe: dict[str, Any] | None = None
    """The recipe it started from, and what was changed of it."""
    provenance: dict[str, Any]
    """Command, versions, commit, machine, time."""
    data: dict[str, Any]
    suite: dict[str, Any]
    methods: list[Method]
    cells: list[Cell]
    failures: list[dict[str, Any]]
    """Cells that gave no result, and why."""
    summary: dict[str, dict[str, Measure]]
    """Method id to metric to measure."""
    comparisons: list[Comparison]
    ranking: list[Ranking]
    claims: list[Claim]


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of `results.json` of this release."""
    schema = ResultsFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
