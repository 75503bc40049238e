"""The unit of work: a cell is one method with one seed, from training to the last measurement.

A cell has stages. Each is stored the moment it is finished, under the identity of all that can
change it, so that a longer list of corruptions measures again but never trains again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

from pydantic import BaseModel, ConfigDict

from robustbench_zosam.config import FlatnessConfig, LandscapeConfig, ModelConfig, TrainingConfig
from robustbench_zosam.files import read_json, write_json
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.runs.methods import Method
from robustbench_zosam.runs.stored_stages import Stage as Stage
from robustbench_zosam.runs.stored_stages import read_stage
from robustbench_zosam.schema import Flatness, Landscape, RobustnessScores, StoredTraining

StageValue = StoredTraining | RobustnessScores | Flatness | Landscape
ALLOW_CODE = "ZOSAM_ALLOW_CODE"
"""Environment variable by which a run whose command line allows code tells its cells."""
V_co = TypeVar("V_co", bound=StageValue, covariant=True)


class CellSpec(BaseModel):
    """All that a process needs to run a cell.

    Attributes:
        id: folder name: method, seed and the start of the training identity.
        seed: of initialisation, masks, data order and augmentation.
        data_file: prepared data.
        classes: number of classes.
        model: the architecture; None where a checkpoint says it.
        suite: the corrupted test images; None measures no robustness.
        identities: of the stages that are wanted, in order.
        device: "cpu" or "cuda:N".
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
    identities: dict[Stage, str]
    device: str
    threads: int
    checkpoint_seconds: float


@dataclass(frozen=True)
class Finished(Generic[V_co]):
    """A stored stage: what it found, how long it took, and which versions ran it."""

    value: V_co
    seconds: float
    versions: dict[str, str]


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
        """Stores what the cell's process reads; no file says that code may run."""
        write_json(self.spec_file, spec.model_dump(mode="json", exclude={"model": {"allow_code"}}))

    def read_spec(self) -> CellSpec:
        """Returns what `write_spec` stored."""
        spec = CellSpec.model_validate(read_json(self.spec_file))
        if spec.model is None or os.environ.get(ALLOW_CODE) != "1":
            return spec
        return spec.model_copy(update={"model": spec.model.model_copy(update={"allow_code": True})})

    @overload
    def load(
        self, stage: Literal["training"], identity: str | None
    ) -> Finished[StoredTraining] | None: ...

    @overload
    def load(
        self, stage: Literal["robustness"], identity: str | None
    ) -> Finished[RobustnessScores] | None: ...

    @overload
    def load(
        self, stage: Literal["flatness"], identity: str | None
    ) -> Finished[Flatness] | None: ...

    @overload
    def load(
        self, stage: Literal["landscape"], identity: str | None
    ) -> Finished[Landscape] | None: ...

    def load(self, stage: Stage, identity: str | None) -> Finished[StageValue] | None:
        """Returns a stage if it was stored under this identity, and nothing of it is damaged."""
        value: Any = read_stage(self.folder, stage, identity)
        if value is None:
            return None
        return Finished(value, value.pop("stage_seconds"), value.pop("versions"))

    def save(self, stage: Stage, identity: str, found: Finished[StageValue]) -> None:
        """Stores a stage under its identity."""
        facts = {"stage_seconds": round(found.seconds, 3), "versions": found.versions}
        stored = {"identity": identity, "value": {**found.value, **facts}}
        write_json(self.folder / f"{stage}.json", stored)

    def is_finished(self, spec: CellSpec) -> bool:
        """Returns whether all wanted stages are stored; a diverged training has no others."""
        return self.missing(spec) == []

    def missing(self, spec: CellSpec) -> list[Stage]:
        """Returns the wanted stages that are not stored, in order."""
        training = self.load("training", spec.identities["training"])
        if training is not None and training.value["status"] == "diverged":
            return []
        return [stage for stage, wanted in spec.identities.items() if not self.load(stage, wanted)]
