"""Nested states of models, optimizers and masks in one file: safetensors with a JSON tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from robustbench_zosam.files import atomic_path

_TENSOR, _PAIRS, _TUPLE = "$tensor", "$pairs", "$tuple"


def save_state(file: Path, state: Any) -> None:
    """Writes nested dicts, lists and tuples of tensors, numbers, texts and None; atomically.

    Args:
        state: what; dictionary keys may be texts or numbers, tensors come back on the CPU.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_take_apart(state, tensors), allow_nan=True)
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, metadata={"tree": tree})


def load_state(file: Path) -> Any | None:
    """Reads what `save_state` wrote.

    Returns:
        The state, or None where the file is missing or damaged (training then starts over).
    """
    try:
        with safe_open(file, framework="pt") as content:
            tree = json.loads(content.metadata()["tree"])
            names = content.keys()
            return _put_together(tree, {name: content.get_tensor(name) for name in names})
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None


def random_state(device: torch.device) -> list[Tensor]:
    """Returns the state of torch's global generators: the CPU's, and the device's if it has one."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """Goes back to what `random_state` returned, as far as it is for this kind of device.

    Args:
        device: where the training goes on.
    """
    torch.set_rng_state(states[0])
    if device.type != "cpu" and len(states) > 1:
        torch.get_device_module(device).set_rng_state(states[1], device)


def _take_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
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
