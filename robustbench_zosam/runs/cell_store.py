"""The unit of work: one method with one seed, from training to the last measurement.

A cell has stages. Each is stored the moment it is finished, under the identity of all that can
change it, so that a longer corruption list measures again but never trains again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from robustbench_zosam.config import (
    ExperimentConfig,
    FlatnessConfig,
    LandscapeConfig,
    ModelConfig,
    TrainingConfig,
    canonical_json,
)
from robustbench_zosam.files import read_json, write_json
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.runs.methods import Method

IDENTITY_VERSION = 1  # to be raised whenever the same configuration would give other numbers
STAGES = ("training", "robustness", "flatness", "landscape")


class CellSpec(BaseModel):
    """All that a process needs to run a cell.

    Attributes:
        id: folder name: method, seed and the start of the training identity.
        method: how the model is obtained.
        seed: of initialisation, masks, data order and augmentation.
        data_file: prepared data.
        classes: number of classes.
        model: the architecture; None where a checkpoint says it.
        training: the recipe.
        suite: the corrupted test images; None measures no robustness.
        flatness: settings of the curvature measurement.
        landscape: settings of the slices.
        identities: stage to identity, for the stages that are wanted.
        device: "cpu" or "cuda:0".
        threads: CPU threads.
        checkpoint_seconds: how much training an interruption may cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    method: Method
    seed: int
    data_file: str
    classes: int
    model: ModelConfig | None
    training: TrainingConfig
    suite: SuitePlan | None
    flatness: FlatnessConfig
    landscape: LandscapeConfig
    identities: dict[str, str]
    device: str
    threads: int
    checkpoint_seconds: float


def identity(**parts: Any) -> str:
    """Returns the sha256 of everything that can change a result.

    Args:
        **parts: JSON values or configuration sections.
    """
    plain = {
        key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for key, value in parts.items()
    }
    text = canonical_json({"version": IDENTITY_VERSION, **plain})
    return hashlib.sha256(text.encode()).hexdigest()


def named_model(config: ExperimentConfig) -> ModelConfig | None:
    """Returns the architecture, or None where the user leaves it to the checkpoints to say."""
    named = "model" in config.model_fields_set
    return config.model if named or not config.checkpoints else None


def training_identity(config: ExperimentConfig, method: Method, seed: int, fingerprint: str) -> str:
    """Returns the identity of a trained model.

    Args:
        method: how the model is obtained.
        fingerprint: sha256 of the data.
    """
    if method.kind == "checkpoint":
        named = named_model(config)
        return identity(
            checkpoint=method.content,
            model=named and named.model_dump(exclude={"allow_code"}),
            fingerprint=fingerprint,
        )
    return identity(
        fingerprint=fingerprint,
        model=config.model.architecture(),
        optimizer=method.optimizer,
        options=method.options,
        sparsifier=method.sparsifier,
        sparsifier_options=method.sparsifier_options,
        sparsity=method.sparsity,
        seed=seed,
        training=config.training,
    )


class CellStore:
    """The folder of one cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec_file = folder / "cell.json"
        self.model_file = folder / "model.safetensors"
        self.resume_file = folder / "resume.safetensors"
        self.predictions_file = folder / "predictions.npz"
        self.flatness_file = folder / "flatness.npz"
        self.error_file = folder / "error.json"
        self.log_file = folder / "log.txt"
        self.result_file = folder / "result.json"

    def write_spec(self, spec: CellSpec) -> None:
        """Stores what the cell's process reads."""
        write_json(self.spec_file, spec.model_dump(mode="json"))

    def read_spec(self) -> CellSpec:
        """Returns what `write_spec` stored."""
        return CellSpec.model_validate(read_json(self.spec_file))

    def load(self, stage: str, wanted: str) -> Any | None:
        """Returns a stage's value if it was stored under this identity.

        Args:
            stage: one of `STAGES`.
            wanted: the identity.
        """
        file = self.folder / f"{stage}.json"
        if not file.exists():
            return None
        stored = read_json(file)
        return stored["value"] if stored["identity"] == wanted else None

    def save(self, stage: str, wanted: str, value: Any) -> None:
        """Stores a stage's value."""
        write_json(self.folder / f"{stage}.json", {"identity": wanted, "value": value})

    def is_finished(self, spec: CellSpec) -> bool:
        """Returns whether all wanted stages are stored; a diverged training has no others."""
        return self.missing(spec) == []

    def missing(self, spec: CellSpec) -> list[str]:
        """Returns the wanted stages that are not stored, in order."""
        training = self.load("training", spec.identities["training"])
        if training is not None and training["status"] == "diverged":
            return []
        return [name for name, wanted in spec.identities.items() if self.load(name, wanted) is None]
