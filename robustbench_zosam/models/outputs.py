"""Outputs of a checkpoint that has more classes than the data: those of the data are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json, read_text
from robustbench_zosam.models.external import require_timm
from robustbench_zosam.models.fitting import class_axes
from robustbench_zosam.models.naming import IMAGENET


def output_names(source: str) -> tuple[str, ...]:
    """Returns the class that each output stands for.

    Args:
        source: "imagenet" for the WordNet ids of its 1,000 classes, in timm's order; or a file: a
            line for each output, or JSON: a list of names, or the usual `{"0": ["n01440764",
            "tench"], …}`, of which the first name counts.

    Raises:
        InputError: the file is damaged, or names a class twice.
    """
    if source == IMAGENET:
        return tuple(require_timm().data.ImageNetInfo().label_names())
    file = Path(source)
    found = _from_json(file) if file.suffix == ".json" else read_text(file).split("\n")
    names = tuple(name.strip() for name in found if name.strip())
    if not names:
        raise InputError(f"model.classes: {file} names no class: write a line for each output")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"model.classes: {file} names {twice} twice: name each output once")
    return names


def _from_json(file: Path) -> list[str]:
    content = read_json(file)
    if isinstance(content, dict):
        content = [content.get(str(index)) for index in range(len(content))]
    first = [item[0] if isinstance(item, list) and item else item for item in content or []]
    if not first or not all(isinstance(name, str) for name in first):
        raise InputError(
            f'model.classes: {file} holds neither a list of names nor {{"0": name, "1": name, …}}'
        )
    return first


def keep_outputs(
    state: dict[str, Tensor],
    config: ModelConfig,
    outputs: Sequence[str],
    classes: Sequence[str],
    image_size: int | None,
) -> dict[str, Tensor]:
    """Returns a state dict whose classifier has the outputs of the data's classes alone.

    Args:
        outputs: the class of each output.
        classes: those to keep, in order.

    Raises:
        InputError: a class of the data is none of the outputs.
    """
    places = {name: index for index, name in enumerate(outputs)}
    missing = [name for name in classes if name not in places]
    if missing:
        raise InputError(
            f"model.classes: {config.classes} has no output for {len(missing)} of the data's "
            f"{len(classes)} classes, such as {missing[0]!r} (its first is {outputs[0]!r}): "
            "rename the folders, or give the right list"
        )
    rows = [places[name] for name in classes]
    for name, axis in class_axes(config, image_size).items():
        if axis is not None and name in state and state[name].shape[axis] == len(outputs):
            state[name] = state[name].index_select(axis, torch.tensor(rows))
    return state
