"""A run: its methods, its cells (one method with one seed), and where it comes from."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from robustbench_zosam.schema.claims import ClaimResult
from robustbench_zosam.schema.comparisons import Comparison, Ranking, Summary
from robustbench_zosam.schema.curvature import Flatness
from robustbench_zosam.schema.landscapes import Landscape
from robustbench_zosam.schema.measured import Robustness, Sparsity
from robustbench_zosam.schema.predictions import PredictionFacts
from robustbench_zosam.schema.training import Training
from robustbench_zosam.schema.tuning import SettingValue, Tuning

Role = Literal["method", "baseline", "control", "reference"]
Options = dict[str, Any]
"""Options of an optimizer or sparsifier, as JSON values."""


class LabelNoise(TypedDict):
    """Training labels that are wrong on purpose."""

    kind: Literal["symmetric", "matrix"]
    """Any other class with equal probability, or as a matrix of probabilities has it."""
    asked: float
    """Share of the labels that was to be wrong; by a matrix, the expected one."""
    changed: int
    """Labels that are wrong."""
    images: int
    """Training images."""
    seed: int


class DataFacts(TypedDict):
    """The clean data."""

    name: str
    title: str
    classes: list[str]
    image_size: NotRequired[int]
    """Side length in pixels."""
    counts: dict[str, int]
    """Split to images."""
    flip: NotRequired[bool]
    """Whether training images are flipped horizontally."""
    partial: str | None
    """What is left out of the data; None if nothing is."""
    label_noise: NotRequired[LabelNoise]
    """Wrong training labels, where there are any on purpose."""
    fingerprint: str
    """sha256 of images and labels."""
    mean: NotRequired[list[float]]
    """Of each channel of the training images, in [0, 1]."""
    std: NotRequired[list[float]]
    streamed: NotRequired[str]
    """Folder from which images are read while training."""


class SuiteFacts(TypedDict):
    """The corrupted test images."""

    name: str
    source: str
    preset: str | None
    seed: int | None
    reference: NotRequired[str]
    """Model that mCE is relative to, or "none"."""
    corruptions: list[str]
    severities: list[int]
    categories: dict[str, str]
    """Corruption to category."""
    left_out: list[str]
    notes: NotRequired[list[str]]
    frost: NotRequired[str]
    """Textures of frost, "published" or "synthetic"; empty without frost."""
    content: NotRequired[str]
    """sha256 of labels and sample images of every condition: whether two runs saw the same."""


class MethodFacts(TypedDict):
    """One way to obtain a trained model."""

    id: str
    label: str
    kind: Literal["trained", "checkpoint"]
    role: Role
    optimizer: str
    options: NotRequired[Options]
    sparsifier: str
    sparsifier_options: NotRequired[Options]
    sparsity: float
    """Fraction of the maskable weights that are zero."""
    training: NotRequired[Options]
    """Settings of the recipe that it has of its own."""
    varied: NotRequired[dict[str, SettingValue]]
    """Setting of the grid to its value here, as "optimizer.rho"; absent without a grid."""
    checkpoint: NotRequired[str | None]
    content: NotRequired[str | None]
    """sha256 of the checkpoint."""
    seeds: list[int]


class CellProvenance(TypedDict):
    """Where the numbers of a cell come from."""

    versions: dict[str, str]
    device: str
    threads: int
    identities: dict[str, str]
    """Stage to sha256 of all that can change its result."""
    seconds: dict[str, float]
    """Stage to wall-clock time."""


class Cell(TypedDict):
    """One method with one seed."""

    schema: NotRequired[int]
    id: str
    method: str
    """Id of the method."""
    seed: int
    status: Literal["done", "diverged"]
    training: Training | None
    """None for a loaded checkpoint."""
    sparsity: Sparsity | None
    robustness: Robustness | None
    flatness: Flatness | None
    landscape: Landscape | None
    provenance: NotRequired[CellProvenance]


class Failure(TypedDict):
    """A cell that gave no result."""

    cell: str
    method: str
    seed: int
    error: str


class Hardware(TypedDict):
    """What a run computed on."""

    cpu: str
    cores: int | None
    memory_bytes: int | None
    devices: list[str]


class Provenance(TypedDict):
    """Where results come from."""

    finished: str
    """UTC, ISO 8601."""
    command: str
    resume: NotRequired[str]
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    hardware: Hardware
    workers: int
    threads: NotRequired[int]
    seconds: float
    """Wall-clock time of the last run."""


class RecipeFacts(TypedDict):
    """The recipe a configuration starts from."""

    name: str
    source: str
    notes: list[str]
    changed: dict[str, Any]
    """Setting to the recipe's value and the one used."""


class Results(TypedDict):
    """What `zosam-robust evaluate` writes to results.json."""

    schema: int
    """Version of this format."""
    title: str
    config: dict[str, Any]
    """The whole configuration."""
    recipe: NotRequired[RecipeFacts | None]
    provenance: Provenance
    data: DataFacts
    suite: SuiteFacts
    methods: list[MethodFacts]
    tuning: NotRequired[Tuning]
    """How settings were chosen; absent where none was."""
    cells: list[Cell]
    failures: list[Failure]
    summary: Summary
    """Method id to metric to number."""
    comparisons: list[Comparison]
    ranking: list[Ranking]
    predictions: NotRequired[PredictionFacts]
    """Absent where an early release measured."""
    claims: list[ClaimResult]
