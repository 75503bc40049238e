"""Stages of a cell as they lie on the disk: what is damaged counts as absent, with a warning."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from robustbench_zosam import schema
from robustbench_zosam.arrays import read_arrays
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import parse_json, read_json, warn_of_damage

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from robustbench_zosam.arrays import Arrays
    from robustbench_zosam.schema import Robustness, RobustnessScores

Stage = Literal["training", "validation", "robustness", "flatness", "landscape"]
_OUTCOMES = ("clean_correct", "correct")
_CONFIDENCES = ("clean_confidence", "confidence")
_PER_IMAGE = ("predicted", "nll", "brier", "labels")
PREDICTED = tuple(f"{clean}{name}" for name in _PER_IMAGE for clean in ("clean_", ""))
"""Arrays that files of early releases lack: predicted and true classes, and scores."""
_FORMS: dict[Stage, Any] = {
    "training": schema.StoredTraining,
    "validation": schema.ValidationScores,
    "robustness": schema.RobustnessScores,
    "flatness": schema.Flatness,
    "landscape": schema.Landscape,
}


def read_stage(folder: Path, stage: Stage, identity: str | None) -> dict[str, Any] | None:
    """Returns the value of a stage that was stored under this identity, if all of it is sound.

    A stage is sound if its numbers are of the form they were written in, and the files beside
    them (weights, outcomes of each image) are whole and belong to them.
    """
    file = folder / f"{stage}.json"
    if not file.exists():
        return None
    try:
        stored = read_json(file)
        found = _opened(file, stored)
        if stored["identity"] != identity:
            return None
        _require_form(file, stage, found)
        _require_companion(folder, stage, found)
    except InputError as error:
        warn_of_damage(error)
        return None
    return found


def _opened(file: Path, stored: object) -> dict[str, Any]:
    value = stored.get("value") if isinstance(stored, dict) else None
    if not isinstance(stored, dict) or not isinstance(value, dict):
        raise InputError(f"{file} is damaged: it holds no stage")
    if not isinstance(stored.get("identity"), str):
        raise InputError(f"{file} is damaged: it has no identity")
    seconds, versions = value.get("stage_seconds"), value.get("versions")
    sound = isinstance(seconds, int | float) and isinstance(value.get("device"), str)
    if not sound or not isinstance(versions, dict):
        raise InputError(f"{file} is damaged: it does not say what it was computed with")
    return value


def _require_form(file: Path, stage: Stage, value: dict[str, Any]) -> None:
    from pydantic import ValidationError

    try:
        _adapter(stage).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{file} is damaged: {place}: {first['msg']}") from error


@functools.cache
def _adapter(stage: Stage) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(_FORMS[stage])


def _require_companion(folder: Path, stage: Stage, value: dict[str, Any]) -> None:
    if stage == "training" and value["status"] == "done":
        require_tensor_file(folder / "model.safetensors")
    elif stage == "robustness":
        scores = cast("RobustnessScores", value)  # as `_require_form` has found
        needed = _OUTCOMES + _CONFIDENCES
        require_predictions(folder / "predictions.npz", scores, needed=needed)
    elif stage == "flatness":
        _require_traces(folder / "flatness.npz", value)


def require_tensor_file(file: Path) -> None:
    """Refuses a safetensors file that is cut, without torch; its reader checks the values."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > 2**27:
                raise ValueError("its header is too long")
            header = parse_json(stream.read(length).decode("utf-8"))
            ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
            size = stream.seek(0, 2)
        if size != 8 + length + max(ends, default=0):
            raise ValueError("it is cut")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged: {error}") from error


def require_predictions(
    file: Path, scores: Robustness | RobustnessScores, *, needed: tuple[str, ...] = _OUTCOMES
) -> None:
    """Refuses outcomes of each image that are damaged, or of other conditions or images.

    Args:
        needed: arrays that must be there; others are checked where they are.

    Raises:
        InputError: the file is missing, damaged, or of other conditions or images.
    """
    stamp = _stamp(file)
    if stamp is None:
        raise InputError(f"{file} is missing")
    rows = tuple((row["corruption"], row["severity"], row["n"]) for row in scores["rows"])
    _check_predictions(file, stamp, rows, needed)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@functools.cache
def _check_predictions(
    file: Path,
    stamp: tuple[int, int],
    rows: tuple[tuple[str, int, int], ...],
    needed: tuple[str, ...],
) -> None:
    """Reads a file once in a process, as long as it is not changed.

    Raises:
        InputError: it does not hold the outcomes of these rows.
    """
    del stamp
    arrays = read_arrays(file)
    absent = [name for name in ("conditions", *needed) if name not in arrays]
    if absent:
        raise InputError(f"{file} is damaged: it lacks {', '.join(absent)}")
    wanted = [f"{name}/{severity}" for name, severity, _ in rows]
    if list(map(str, arrays["conditions"].ravel())) != wanted:
        raise InputError(f"{file} is damaged: it is not of these conditions")
    clean, corrupted = (rows[0][2],), (len(rows) - 1, rows[-1][2])
    _check_scores(file, arrays, clean, corrupted)
    for name in _CONFIDENCES + _OUTCOMES:
        if name not in arrays:
            continue
        found = arrays[name]
        if found.shape != (clean if name.startswith("clean") else corrupted):
            raise InputError(f"{file} is damaged: {name} is not of these images")
        values = found.astype(np.float64)
        if not ((values >= 0) & (values <= 1)).all():  # refuses NaN as well
            raise InputError(f"{file} is damaged: {name} has values outside 0 … 1")
        if name in _OUTCOMES and not np.isin(values, (0, 1)).all():
            raise InputError(f"{file} is damaged: {name} holds more than 0 and 1")


def _check_scores(
    file: Path, arrays: Arrays, clean: tuple[int, ...], corrupted: tuple[int, ...]
) -> None:
    """Refuses damaged classes and scores of each image, which files of early releases lack."""
    absent = [name for name in PREDICTED if name not in arrays]
    if absent:
        if len(absent) < len(PREDICTED):
            raise InputError(f"{file} is damaged: it lacks {', '.join(absent)}")
        return
    for name in PREDICTED:
        found = arrays[name]
        shape = clean if name.startswith("clean") else corrupted
        if found.shape != (shape[-1:] if name.endswith("labels") else shape):
            raise InputError(f"{file} is damaged: {name} is not of these images")
        classes = name.endswith(("labels", "predicted"))
        if classes and found.dtype.kind != "u":
            raise InputError(f"{file} is damaged: {name} holds no classes")
        values = found.astype(np.float64)
        if not classes and not (np.isfinite(values).all() and (values >= -0.01).all()):
            raise InputError(f"{file} is damaged: {name} holds negative numbers, NaN or infinity")


def _require_traces(file: Path, value: dict[str, Any]) -> None:
    arrays = read_arrays(file)
    for name in ("trace", "adaptive_trace"):
        each = arrays.get(f"{name}_per_image")
        if each is None:
            if value["method"] == "exact" and value.get(name) is not None:
                raise InputError(f"{file} is damaged: it lacks {name}_per_image")
        elif each.dtype.kind != "f" or each.shape != (value["images"],):
            raise InputError(f"{file} is damaged: {name}_per_image is not of these images")
        elif not np.isfinite(each).all():
            raise InputError(f"{file} is damaged: {name}_per_image holds NaN or infinity")
