"""The data that checkpoints were trained on, where they or their run say it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from robustbench_zosam.config import DataConfig, ExperimentConfig
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import parse_json, warn_of_damage
from robustbench_zosam.runs.run_folder import RunFolder


def with_own_data(config: ExperimentConfig) -> tuple[ExperimentConfig, str]:
    """Returns the configuration with the data of its checkpoints, unless it names data.

    Returns:
        The configuration, and where its data is from, in words; empty where that is plain.

    Raises:
        InputError: the checkpoints were trained on different data.
    """
    if not config.checkpoints or "data" in config.model_fields_set:
        return config, ""
    recorded = {path: found for path in config.checkpoints if (found := _data(Path(path)))}
    if not recorded:
        return config, "the default, as no --data is given and the checkpoints do not say theirs"
    first, *others = recorded
    for other in others:
        if recorded[other] != recorded[first]:
            raise InputError(
                f"the checkpoints {first} and {other} were trained on different data "
                f"({recorded[first].name}, {recorded[other].name}): name one with --data"
            )
    changed = config.model_copy(update={"data": recorded[first]})
    changed.model_fields_set.add("data")
    return changed, f"as recorded with {first}"


def _data(file: Path) -> DataConfig | None:
    places = file.resolve().parents
    try:
        record = RunFolder(places[2]).read() if len(places) > 2 else None
        if record is not None and places[1].name == "cells":
            return DataConfig.model_validate(record.config.get("data", {}))
    except (InputError, ValidationError) as error:
        warn_of_damage(InputError(f"the run of {file} does not say its data ({error})"))
    name = _recorded(file)
    return DataConfig(name=name) if name in DATASETS else None


def _recorded(file: Path) -> str:
    """Returns the name of the data that a checkpoint of ours says; empty where it says none."""
    if file.suffix != ".safetensors":
        return ""
    from robustbench_zosam.models.tensor_files import read_tensors  # imports torch

    try:
        header = parse_json(read_tensors(file)[1].get("header", "{}"))
    except ValueError:  # which whoever loads it will say
        return ""
    name = header.get("data") if isinstance(header, dict) else None
    return name if isinstance(name, str) else ""
