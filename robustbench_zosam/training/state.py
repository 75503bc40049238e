"""Nested states of models, optimizers and masks in one file: safetensors with a JSON tree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import warn_of_damage
from robustbench_zosam.models.tensor_files import read_tensors, save_tensors, sha256_of

_TENSOR, _PAIRS, _TUPLE = "$tensor", "$pairs", "$tuple"


def save_state(file: Path, state: object) -> None:
    """Writes nested dicts, lists and tuples of tensors, numbers, texts and None; atomically.

    Dictionary keys may be texts or numbers; tensors come back on the CPU.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_take_apart(state, tensors), allow_nan=True)
    save_tensors(file, tensors, {"tree": tree, "sha256": _digest(tree, tensors)})


def load_state(file: Path) -> Any:
    """Returns what `save_state` wrote; None if the file is missing, or damaged: with a warning."""
    if not file.exists():
        return None
    try:
        tensors, metadata = read_tensors(file)
        tree = metadata["tree"]
        if metadata.get("sha256") != _digest(tree, tensors):
            raise ValueError("its sha256 differs")
        return _put_together(json.loads(tree), tensors)
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        warn_of_damage(InputError(f"the training state {file} is damaged ({error})"))
        return None


def _digest(tree: str, tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(f"{sha256_of(tensors)}{tree}".encode()).hexdigest()


def _take_apart(value: object, tensors: dict[str, Tensor]) -> object:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {_PAIRS: [[key, _take_apart(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_take_apart(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_take_apart(item, tensors) for item in value]
    return value


def _put_together(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_put_together(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_put_together(item, tensors) for item in value[_TUPLE])
    return {key: _put_together(item, tensors) for key, item in value[_PAIRS]}
