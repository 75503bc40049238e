"""The unit of work: a cell is one method with one seed, from training to the last measurement.

A cell has stages. Each is stored the moment it is finished, under the identity of all that can
change it, so that a longer list of corruptions measures again but never trains again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from robustbench_zosam.config import FlatnessConfig, LandscapeConfig, ModelConfig, TrainingConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json, read_own_json, warn_of_damage, write_json, write_text
from robustbench_zosam.privacy import redacted
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.methods import Method
from robustbench_zosam.runs.stored_stages import Stage as Stage
from robustbench_zosam.runs.stored_stages import read_stage
from robustbench_zosam.schema import (
    Flatness,
    Landscape,
    RobustnessScores,
    StoredTraining,
    ValidationScores,
)

StageValue = StoredTraining | ValidationScores | RobustnessScores | Flatness | Landscape
_UNKNOWN = "what it said counts as never said"
T = TypeVar("T")
V_co = TypeVar("V_co", bound=StageValue, covariant=True)


class _Failure(TypedDict):
    """Why an attempt left no result."""

    error: str
    traceback: str
    final: bool


_ENDINGS = TypeAdapter(list[Ending])
_FAILURE = TypeAdapter(_Failure)


class CellSpec(BaseModel):
    """All that a process needs to run a cell.

    Attributes:
        id: folder name: method, seed and the start of the training identity.
        seed: of initialisation, masks, data order and augmentation.
        data_file: prepared data.
        classes: number of classes.
        model: the architecture; None where a checkpoint says it.
        suite: the corrupted test images; None measures no robustness.
        validation_suite: corrupted validation images, for trials that are scored on them.
        with_plane: whether the landscape has a plane beside its lines.
        identities: of the stages that are wanted, in order.
        device: "cpu" or "cuda:N"; chosen where the cell runs, so it is not stored with the rest.
        threads: CPU threads; part of the identities.
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
    validation_suite: SuitePlan | None = None
    flatness: FlatnessConfig
    landscape: LandscapeConfig
    with_plane: bool = True
    identities: dict[Stage, str]
    device: str = Field(default="cpu", exclude=True)
    threads: int
    checkpoint_seconds: float


@dataclass(frozen=True)
class Finished(Generic[V_co]):
    """A stored stage: what it found, how long it took, which versions ran it, and on what."""

    value: V_co
    seconds: float
    versions: dict[str, str]
    device: str = "cpu"


class CellStore:
    """The folder of one cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec_file = folder / "cell.json"
        self.model_file = folder / "model.safetensors"
        self.resume_file = folder / "resume.safetensors"
        self.live_file = folder / "live.txt"
        self.predictions_file = folder / "predictions.npz"
        self.flatness_file = folder / "flatness.npz"
        self.error_file = folder / "error.json"
        self.attempts_file = folder / "attempts.json"
        self.log_file = folder / "log.txt"
        self.result_file = folder / "result.json"

    @property
    def root(self) -> Path:
        """Returns the output folder that the cell belongs to."""
        return self.folder.parent.parent

    def write_spec(self, spec: CellSpec) -> None:
        """Stores what the cell's process reads; paths in the output folder relative to it.

        No file says that code may run.
        """
        moved = _with_paths(spec, lambda path: _below(path, self.root))
        stored = moved.model_dump_json(indent=1, exclude={"model": {"allow_code"}}) + "\n"
        if not self.spec_file.exists() or self.spec_file.read_bytes() != stored.encode():
            write_text(self.spec_file, stored)

    def read_spec(self, *, device: str = "cpu", allow_code: bool = False) -> CellSpec:
        """Returns what `write_spec` stored, wherever the output folder is now.

        Args:
            device: to compute on; not stored, like the next.
            allow_code: whether the model may be made by the user's own code.

        Raises:
            InputError: it is missing or damaged.
        """
        try:
            spec = CellSpec.model_validate(read_json(self.spec_file))
        except ValidationError as error:
            raise InputError(
                f"{self.spec_file} describes no cell ({error.error_count()} errors): start the run "
                "again, which writes it anew"
            ) from error
        spec = _with_paths(spec, lambda path: str(self.root / path))
        model = spec.model and spec.model.model_copy(update={"allow_code": allow_code})
        return spec.model_copy(update={"device": device, "model": model})

    def attempts(self) -> list[Ending]:
        """Returns how the attempts ended that might have gone otherwise."""
        return _read_own(self.attempts_file, _ENDINGS) or []

    def add_attempt(self, ending: Ending) -> int:
        """Stores the end of an attempt; returns how many there are now."""
        endings = [*self.attempts(), ending]
        write_json(self.attempts_file, [item.model_dump(mode="json") for item in endings])
        return len(endings)

    def fail(self, error: str, trace: str = "", *, final: bool = True) -> None:
        """Stores why there is no result.

        Args:
            error: one sentence.
            trace: of the exception, for the log.
            final: whether no other attempt will be made.
        """
        facts: _Failure = {"error": error, "traceback": trace, "final": final}
        write_json(self.error_file, redacted(facts))

    def error(self) -> str | None:
        """Returns why there is no result; None where no attempt has left a reason."""
        failure = _read_own(self.error_file, _FAILURE)
        return failure and failure["error"]

    def is_given_up(self) -> bool:
        """Returns whether no other attempt will be made."""
        failure = _read_own(self.error_file, _FAILURE)
        return failure is not None and failure["final"]

    def forget_failures(self) -> None:
        """Lets the cell be tried as if for the first time."""
        self.error_file.unlink(missing_ok=True)
        self.attempts_file.unlink(missing_ok=True)

    @overload
    def load(
        self, stage: Literal["training"], identity: str | None
    ) -> Finished[StoredTraining] | None: ...

    @overload
    def load(
        self, stage: Literal["validation"], identity: str | None
    ) -> Finished[ValidationScores] | None: ...

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
        return Finished(
            value, value.pop("stage_seconds"), value.pop("versions"), value.pop("device")
        )

    def save(self, stage: Stage, identity: str, found: Finished[StageValue]) -> None:
        """Stores a stage under its identity."""
        facts = {
            "stage_seconds": round(found.seconds, 3),
            "versions": found.versions,
            "device": found.device,
        }
        stored = {"identity": identity, "value": {**found.value, **facts}}
        write_json(self.folder / f"{stage}.json", stored)

    def has_results(self) -> bool:
        """Returns whether there is a trained model, or a part of its training."""
        return self.resume_file.exists() or (self.folder / "training.json").exists()

    def is_finished(self, spec: CellSpec) -> bool:
        """Returns whether all wanted stages are stored; a diverged training has no others."""
        return self.missing(spec) == []

    def missing(self, spec: CellSpec) -> list[Stage]:
        """Returns the wanted stages that are not stored, in order."""
        training = self.load("training", spec.identities["training"])
        if training is not None and training.value["status"] == "diverged":
            return []
        return [stage for stage, wanted in spec.identities.items() if not self.load(stage, wanted)]


def _read_own(file: Path, form: TypeAdapter[T]) -> T | None:
    """Returns what is in a file about attempts; None if it is absent or damaged."""
    found = read_own_json(file, _UNKNOWN) if file.exists() else None
    if found is None:
        return None
    try:
        return form.validate_python(found)
    except ValidationError as error:
        reason = f"{file} is damaged ({error.error_count()} errors)"
        warn_of_damage(InputError(reason), _UNKNOWN)
        return None


def _with_paths(spec: CellSpec, change: Callable[[str], str]) -> CellSpec:
    suites: dict[str, object] = {
        name: suite and suite.model_copy(update={"folders": tuple(map(change, suite.folders))})
        for name, suite in (("suite", spec.suite), ("validation_suite", spec.validation_suite))
    }
    return spec.model_copy(update={"data_file": change(spec.data_file), **suites})


def _below(path: str, root: Path) -> str:
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path
