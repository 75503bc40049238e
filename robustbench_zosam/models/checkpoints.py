"""Checkpoints: ours in safetensors with everything needed to predict, and other people's weights.

Nothing is ever unpickled beyond plain tensors (`weights_only=True`).
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path
from robustbench_zosam.models.classifier import Classifier, build_model
from robustbench_zosam.models.encoding import decode, encode

FORMAT = "zosam-checkpoint-1"
Masks = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with what it was trained for.

    Attributes:
        model: the classifier, in evaluation mode.
        masks: parameter name to bool mask; empty for a dense model.
        classes: class names in the order of the logits; empty when the file does not say.
        image_size: side length in pixels; None when the file does not say.
        header: all further facts in the file.
    """

    model: Classifier
    masks: Masks
    classes: tuple[str, ...]
    image_size: int | None
    header: dict[str, Any]


def save_checkpoint(
    file: Path,
    model: Classifier,
    config: ModelConfig,
    *,
    masks: Mapping[str, Tensor] | None = None,
    classes: Sequence[str] = (),
    image_size: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint: mask and values apart for sparse tensors, dense ones as they are.

    Args:
        file: where; replaced atomically.
        model: the trained classifier.
        config: the architecture.
        masks: parameter name to bool mask.
        classes: class names in the order of the logits.
        image_size: side length in pixels.
        facts: further JSON values for the header.
    """
    tensors: dict[str, Tensor] = {}
    encodings: dict[str, Any] = {}
    for name, value in model.state_dict().items():
        if masks and name in masks:
            parts, encodings[name] = encode(name, value, masks[name])
            tensors |= parts
        else:
            tensors[name] = value.detach().cpu().contiguous()
    header = {
        "model": config.model_dump(mode="json"),
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
        "classes": list(classes),
        "image_size": image_size,
        "encodings": encodings,
        **(facts or {}),
    }
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "header": text})


def load_checkpoint(
    file: Path,
    *,
    config: ModelConfig | None = None,
    classes: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Checkpoint:
    """Loads a checkpoint of ours, or a plain state dict of a named architecture.

    Args:
        file: a `.safetensors` file or a torch file holding a state dict.
        config: the architecture; required for a plain state dict, checked against ours otherwise.
        classes: class names, for a plain state dict.
        mean: normalisation of a plain state dict, per channel in [0, 1].
        std: idem.

    Returns:
        The model in evaluation mode, with its masks. For a plain state dict, masks are the
        non-zero entries of convolution and linear weights that hold exact zeros.

    Raises:
        InputError: the file is missing, damaged, or of another architecture.
    """
    if not file.is_file():
        raise InputError(f"the checkpoint {file} does not exist: give the path of a file")
    tensors, header = _read(file)
    if header is None:
        return _from_state_dict(file, tensors, config, classes, mean, std)
    own = ModelConfig.model_validate(header["model"])
    if config is not None and config != own:
        raise InputError(
            f"the checkpoint {file} holds {own.name} of width {own.width:g}, not {config.name} of "
            f"width {config.width:g}: leave out --model or name the right one"
        )
    model = build_model(own, len(header["classes"]), header["mean"], header["std"])
    state, masks = _decode_all(file, tensors, header["encodings"])
    _load_into(file, model, state, own)
    return Checkpoint(model.eval(), masks, tuple(header["classes"]), header["image_size"], header)


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    try:
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a mapping
        ours = metadata.get("format") == FORMAT
        return tensors, json.loads(metadata["header"]) if ours else None
    except (SafetensorError, ValueError) as error:
        if file.suffix == ".safetensors":
            raise InputError(
                f"the checkpoint {file} is truncated or damaged ({error}): restore it"
            ) from error
    return _read_torch(file), None


def _read_torch(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"the checkpoint {file} is not a readable file of plain tensors ({reason}): "
            "save model.state_dict() with torch.save"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise InputError(f"the checkpoint {file} holds no state dict: save model.state_dict()")
    wrong = next((key for key, value in content.items() if not isinstance(value, Tensor)), None)
    if wrong is not None:
        raise InputError(
            f"the checkpoint {file} holds {wrong!r}, which is no tensor: save model.state_dict()"
        )
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _from_state_dict(
    file: Path,
    tensors: dict[str, Tensor],
    config: ModelConfig | None,
    classes: Sequence[str],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Checkpoint:
    if config is None or mean is None or std is None:
        raise InputError(
            f"the checkpoint {file} is a plain state dict, which does not say its architecture: "
            "name it with --model"
        )
    model = build_model(config, len(classes), mean, std)
    prefixed = {
        name if name.startswith("backbone.") else f"backbone.{name}": value
        for name, value in tensors.items()
    }
    _load_into(file, model, prefixed, config)
    return Checkpoint(model.eval(), _masks_from_zeros(model), tuple(classes), None, {})


def _decode_all(
    file: Path, tensors: dict[str, Tensor], encodings: dict[str, Any]
) -> tuple[dict[str, Tensor], Masks]:
    state, masks = dict(tensors), {}
    for name, facts in encodings.items():
        try:
            value, mask = decode(name, tensors, facts)
        except (ValueError, KeyError) as error:
            raise InputError(f"the checkpoint {file} is damaged: {error}") from error
        del state[f"{name}.mask"], state[f"{name}.values"]
        state[name], masks[name] = value, mask
    return state, masks


def _load_into(file: Path, model: nn.Module, state: dict[str, Tensor], config: ModelConfig) -> None:
    expected = model.state_dict()
    differences = [f"{name} is missing" for name in expected.keys() - state.keys()] + [
        f"{name} is not part of it" for name in state.keys() - expected.keys()
    ]
    differences += [
        f"{name} has shape {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    if differences:
        more = f" and {len(differences) - 1} more differences" if len(differences) > 1 else ""
        raise InputError(
            f"the checkpoint {file} does not fit {config.name} of width {config.width:g}: "
            f"{min(differences)}{more}: name its architecture with --model"
        )
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise InputError(
            f"the checkpoint {file} has values in {broken[0]} that are not finite numbers: "
            "its training diverged"
        )
    model.load_state_dict(state)


def _masks_from_zeros(model: nn.Module) -> Masks:
    weights = {
        f"{name}.weight": module.weight.detach()
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    return {name: weight != 0 for name, weight in weights.items() if (weight == 0).any()}
