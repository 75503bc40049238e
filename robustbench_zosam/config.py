"""The experiment, as validated, frozen data.

One file describes everything a run does. What can change a result goes into the identity of a cell
(one method with one seed; `runs/identity.py`); where and how it runs (`RunConfig`) does not.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StrictBool, field_validator, model_validator

from robustbench_zosam.config_fields import (
    Deviation,
    Float,
    Fraction,
    Integer,
    PathText,
    Positive,
    Section,
    Seed,
    Severity,
    Sparsity,
    UnitInterval,
)
from robustbench_zosam.config_fields import Options as Options
from robustbench_zosam.config_sweeps import Grid, TuneConfig
from robustbench_zosam.config_training import TrainingConfig as TrainingConfig

MOST_SEEDS = 100_000  # of one run


class DataConfig(Section):
    """The data set."""

    name: str = "digits"
    root: PathText | None = None
    """Data directory, or zip of the images; not needed for embedded data."""
    image_size: Annotated[Integer, Field(ge=16, le=512)] | None = None
    """Side length in pixels; defaults to the data set's own."""
    limit: Positive | None = None
    """Maximum images per split, with class counts as equal as possible."""
    stream: StrictBool | None = None
    """Decodes image files on demand instead of keeping the images in memory; by default only where
    they would take more than a quarter of it. The results are the same."""
    validation_fraction: Fraction = 0.1
    """Fraction of the training images held out where the data has no validation split."""
    test_fraction: Fraction = 0.3
    """Fraction of all images held out where the data has no test split."""
    split_seed: Seed = 0
    flip: StrictBool | None = None
    """Whether training images are mirrored at random; by default as the data set says: digits are
    not, photographs are. Set it to false where a mirrored image is of another class, or of none."""
    label_noise: UnitInterval = 0.0
    """Share of the training images that are given a wrong class, drawn from the others."""
    label_noise_matrix: PathText | None = None
    """Instead: .npy, .csv or .json of the probabilities of labels (columns) by class (rows)."""
    label_noise_seed: Seed = 0

    @model_validator(mode="after")
    def _one_noise(self) -> Self:
        if self.label_noise and self.label_noise_matrix is not None:
            raise ValueError("give label_noise or label_noise_matrix, not both")
        return self


class ModelConfig(Section):
    """The architecture, and how third-party checkpoints of it are read."""

    name: str = "digits-resnet"
    """See `zosam-robust list models`; or torchvision:NAME, timm:NAME, package.module:factory."""
    width: Annotated[Float, Field(gt=0, le=16)] = 1.0
    """Multiplier of all channel counts."""
    allow_code: StrictBool = False
    """Allows package.module:factory to be imported and called, which runs its code."""
    pretrained: StrictBool = False
    """Training starts from the published weights of a torchvision: or timm: architecture."""
    init: PathText | None = None
    """Training starts from the weights in a checkpoint, or in hf:OWNER/NAME[/FILE]."""
    classes: PathText | None = None
    """What the outputs of a checkpoint stand for, where those are more classes than the data's:
    `imagenet` (WordNet ids), or a file with a line for each output, or JSON."""
    ema: StrictBool = False
    """Takes the averaged weights of a training file (`state_dict_ema` of timm, `model_ema` of
    torchvision's scripts)."""
    zeros_as_mask: StrictBool = False
    """Treats exact zeros in the weights of a third-party checkpoint as pruned weights."""
    mean: tuple[UnitInterval, UnitInterval, UnitInterval] | None = None
    """Normalisation of a third-party checkpoint, in [0, 1]; defaults to that of the data."""
    std: tuple[Deviation, Deviation, Deviation] | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both model.mean and model.std, or neither")
        return self

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.pretrained and self.init is not None:
            raise ValueError("give pretrained or init, not both")
        return self

    def architecture(self) -> dict[str, str | float]:
        """Returns the settings that determine the network, as JSON values."""
        return {"name": self.name, "width": self.width}


class SuiteConfig(Section):
    """The corrupted or shifted test images."""

    source: PathText | None = None
    """A suite on disk: NAME (looked up in data.root), PATH or NAME:PATH; by default the test images
    are corrupted."""
    name: str | None = None
    """Shown in the report; defaults to the directory's, or to `<data>-c`."""
    corruptions: Annotated[tuple[str, ...], Field(min_length=1)] = ("common",)
    """Names, or the groups common (the 15 of the published means), extra (4 more) and all."""
    severities: Annotated[tuple[Severity, ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    preset: str = "auto"
    """Severity constants of cifar, tiny-imagenet, imagenet, inception, or digits (calibrated for
    digits of 16 pixels); auto: by image size."""
    seed: Seed = 0
    reference: str = "auto"
    """Model whose errors normalise mCE: none, alexnet-imagenet-c, or a CSV file; auto: AlexNet on
    ImageNet-C and none elsewhere."""
    verify: StrictBool = True
    """Decodes every file of a suite of JPEG files before the first training run."""


class FlatnessConfig(Section):
    """Curvature at the end of training, on training images without augmentation."""

    enabled: StrictBool = True
    images: Positive = 512
    method: Literal["auto", "exact", "output-probe", "hvp", "control-variate", "xtrace"] = "auto"
    params: Literal["all", "weights", "masked-layers"] = "all"
    probes: Positive = 30
    seed: Seed = 0
    spectrum: StrictBool = False
    """Adds the five largest eigenvalues and the smallest."""
    steps: Positive = 20
    """Maximum Lanczos iterations; each takes a pass over the images."""
    density: StrictBool = False
    """Adds the spectral density; 180 passes over the images."""
    sharpness: StrictBool | Literal["brief", "full"] = False
    """Adds sharpness measures: one or two of each kind (brief, or true), or all radii (full)."""
    include_pruned: StrictBool = False
    """Adds the trace that includes pruned directions, reported separately."""


class LandscapeConfig(Section):
    """Slices through the training loss along filter-normalised random directions."""

    enabled: StrictBool = True
    images: Positive = 128
    points: Annotated[Integer, Field(ge=3)] = 41
    directions: Positive = 5
    grid: Annotated[Integer, Field(ge=3)] = 17
    span: Annotated[Float, Field(gt=0)] = 1.0
    seed: Seed = 0

    @field_validator("points", "grid")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that the trained weights are a grid point")
        return value


class StatisticsConfig(Section):
    """How methods are compared."""

    margin: Fraction = 0.01
    """Equivalence margin: differences in accuracy below it count as none."""


class ReportConfig(Section):
    """What the page is about."""

    focus: str | None = None
    """Optimizer or method that opens the page; by default the first but baselines and controls."""


class RunConfig(Section):
    """Where and how the cells run; nothing here but the threads changes a result."""

    out: PathText = "zosam-robust"
    device: str = "auto"
    workers: Annotated[Integer, Field(ge=0)] | None = None
    """Number of cells run in parallel, each in its own process; 0 runs them in this process."""
    threads: Positive | None = None
    """CPU threads per cell, which change last digits; 1, or those of the results that are there."""
    gpus_per_cell: Annotated[Float, Field(gt=0)] = 1.0
    """GPUs per cell, a whole number, or a fraction (0.5) where cells are to share one."""
    engine: str | None = None
    """What runs the cells; see `list engines`. By default processes of this machine."""
    engine_options: Options = Field(default_factory=dict)
    track: tuple[str, ...] = ()
    """Trackers to write to while training; see `list trackers`."""
    checkpoint_seconds: Annotated[Float, Field(gt=0)] = 30.0
    """Maximum training time that an interruption may cost."""


class ExperimentConfig(Section):
    """A whole experiment: methods × sparsities × seeds on one data set, and their evaluation."""

    title: str | None = None
    recipe: str | None = None
    """Named settings used as defaults; see `zosam-robust list recipes`."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizers: tuple[str, ...] = ("sgd", "random-perturbation", "zo-sam", "sam")
    sparsifiers: tuple[str, ...] = ("rigl",)
    sparsities: tuple[Sparsity, ...] = (0.9,)
    dense_reference: StrictBool = True
    """Adds dense SGD, the reference for the cost of sparsity itself."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_SEEDS)] = (0, 1, 2)
    checkpoints: tuple[PathText, ...] = ()
    """Trained models to evaluate instead of training."""
    optimizer: Options = Field(default_factory=dict)
    """Options of every optimizer that has them, or of one: `{"rho": 0.1, "zo-sam": {...}}`."""
    sparsifier: Options = Field(default_factory=dict)
    grid: Grid = Field(default_factory=dict)
    """Settings that are varied: `{"optimizer.zo-sam.rho": [0.05, 0.5]}`; each method has a variant
    for every value."""
    tune: TuneConfig = TuneConfig()
    training: TrainingConfig = TrainingConfig()
    suite: SuiteConfig = SuiteConfig()
    flatness: FlatnessConfig = FlatnessConfig()
    landscape: LandscapeConfig = LandscapeConfig()
    statistics: StatisticsConfig = StatisticsConfig()
    report: ReportConfig = ReportConfig()
    run: RunConfig = RunConfig()

    @field_validator(
        "seeds", "optimizers", "sparsifiers", "sparsities", "checkpoints", mode="after"
    )
    @classmethod
    def _no_repeats(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        repeats = {item for item in value if value.count(item) > 1}
        if repeats:
            raise ValueError(f"{', '.join(map(str, repeats))} given more than once")
        return value

    @model_validator(mode="after")
    def _focus(self) -> Self:
        focus, names = f"{self.report.focus}-", self.optimizers
        known = self.checkpoints or any(focus.startswith(f"{name}-") for name in names)
        if self.report.focus is not None and not known:
            raise ValueError(f"report.focus is {focus[:-1]}: name one of {', '.join(names)}")
        return self

    @field_validator("sparsities", mode="after")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        printed = [f"{item:g}" for item in value]  # as methods and their folders are called
        alike = next((text for text in printed if printed.count(text) > 1), None)
        if alike is not None:
            raise ValueError(f"two of them are called {alike}: give them in six digits at most")
        return value


def canonical_json(value: object) -> str:
    """Returns the one JSON text of JSON values or a section: sorted keys, no spaces, no NaN.

    Example:
        >>> canonical_json({"b": 1, "a": (1.0, None)})
        '{"a":[1.0,null],"b":1}'
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
