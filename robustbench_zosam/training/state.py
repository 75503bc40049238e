"""Nested states of models, optimizers and masks in one file: safetensors with a JSON tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from robustbench_zosam.files import atomic_path

_TENSOR, _PAIRS, _TUPLE = "$tensor", "$pairs", "$tuple"


def save_state(file: Path, state: object) -> None:
    """Writes nested dicts, lists and tuples of tensors, numbers, texts and None; atomically.

    Dictionary keys may be texts or numbers; tensors come back on the CPU.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_take_apart(state, tensors), allow_nan=True)
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, metadata={"tree": tree})


def load_state(file: Path) -> Any:
    """Returns what `save_state` wrote; None if the file is missing or damaged."""
    try:
        with safe_open(file, framework="pt") as content:
            tree = json.loads(content.metadata()["tree"])
            names = content.keys()
            return _put_together(tree, {name: content.get_tensor(name) for name in names})
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None


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
