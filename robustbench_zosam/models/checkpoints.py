"""Checkpoints: ours in safetensors with all that predictions need, and third-party weights.

Nothing is ever unpickled beyond plain tensors (`weights_only=True`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import parse_json, require_regular
from robustbench_zosam.models.classifier import Classifier, build_model
from robustbench_zosam.models.decoding import decode_all
from robustbench_zosam.models.encoding import encode_state
from robustbench_zosam.models.fitting import (
    class_axes,
    fill_in,
    require_finite_predictions,
    require_fit,
    skeleton,
)
from robustbench_zosam.models.header import parse_header
from robustbench_zosam.models.hub import local_file
from robustbench_zosam.models.masks import masks_from_zeros, require_known
from robustbench_zosam.models.outputs import keep_outputs, output_names
from robustbench_zosam.models.tensor_files import read_tensors, save_tensors, sha256_of
from robustbench_zosam.models.third_party import match_names, take_masks, take_normalisation
from robustbench_zosam.models.torch_files import read_state_dict

FORMAT = "zosam-checkpoint-1"
Masks = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with what it was trained for.

    Attributes:
        model: in evaluation mode.
        masks: parameter name to bool mask; empty for a dense model.
        classes: class names in the order of the logits; empty when the file does not say.
        image_size: side length in pixels; None when the file does not say.
        header: all that our files say beside their tensors, as JSON values.
    """

    model: Classifier
    config: ModelConfig
    masks: Masks
    classes: tuple[str, ...]
    image_size: int | None
    header: dict[str, object]


def save_checkpoint(
    file: Path,
    model: Classifier,
    config: ModelConfig,
    *,
    masks: Mapping[str, Tensor] | None = None,
    classes: Sequence[str] = (),
    image_size: int | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Writes a checkpoint: sparse tensors as mask and values, dense ones as they are.

    Tensors are named as in the network without its normalisation.

    Args:
        file: replaced atomically.
        model: the trained classifier.
        config: its architecture.
        masks: parameter name to bool mask.
        classes: class names in the order of the logits.
        image_size: side length in pixels.
        facts: further JSON values for the header.

    Raises:
        InputError: a mask is of no tensor of the model.
    """
    require_known(model.backbone, masks or {})
    inner = {name.removeprefix("backbone."): mask for name, mask in (masks or {}).items()}
    tensors, shapes = encode_state(model.backbone.state_dict(), inner)
    encodings = {name: {"shape": shape} for name, shape in shapes.items()}
    header = describe(model, config, classes, image_size)
    header |= {"encodings": encodings, **(facts or {})}
    header["sha256"] = sha256_of(tensors)
    text = json.dumps(header, sort_keys=True, allow_nan=False, separators=(",", ":"))
    save_tensors(file, tensors, {"format": FORMAT, "header": text})


def describe(
    model: Classifier, config: ModelConfig, classes: Sequence[str], image_size: int | None
) -> dict[str, object]:
    """Returns the part of a header that predictions need, as JSON values."""
    return {
        "model": config.architecture(),
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
        "classes": list(classes),
        "image_size": image_size,
    }


def load_checkpoint(
    file: Path,
    *,
    config: ModelConfig | None = None,
    classes: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int | None = None,
) -> Checkpoint:
    """Loads a checkpoint of ours, or a third-party state dict of a named architecture.

    All but the file is for third-party state dicts, which do not say it.

    Args:
        file: a `.safetensors` file or a torch file holding a state dict.
        config: the architecture, with which ours must agree; its `mean`, `std` and `zeros_as_mask`
            say how a state dict is read.
        classes: class names; if none are given, as many as the last tensor has rows.
        mean: of each channel in [0, 1], where `config` has none.
        std: idem.
        image_size: side length in pixels.

    Returns:
        The model in evaluation mode, with its masks.

    Raises:
        InputError: the file is missing, damaged, or of another architecture.
    """
    file = local_file(str(file))
    if not file.exists():
        raise InputError(f"the checkpoint {file} does not exist: give the path of a file")
    require_regular(file)
    try:
        return _load(file, config, tuple(classes), mean, std, image_size)
    except InputError as error:
        if str(file) in str(error):
            raise
        raise InputError(f"the checkpoint {file} cannot be loaded: {error}") from error


def _load(
    file: Path,
    config: ModelConfig | None,
    classes: tuple[str, ...],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    image_size: int | None,
) -> Checkpoint:
    tensors, raw = _read(file, average=config is not None and config.ema)
    if raw is not None:
        return _from_ours(file, tensors, raw, config, classes)
    if config is None:
        raise InputError(
            f"the checkpoint {file} is a plain state dict, which does not say its architecture: "
            "name it with --model"
        )
    tensors, own_mean, own_std = take_normalisation(tensors, skeleton(config, 1, image_size))
    mean, std = config.mean or own_mean or mean, config.std or own_std or std
    if mean is None or std is None:
        raise InputError(
            f"the checkpoint {file} is a plain state dict, which does not say its normalisation: "
            "give --set model.mean=[...] and --set model.std=[...]"
        )
    values, masks = take_masks(file, tensors)
    count = len(classes) or _count_classes(file, values, config, image_size)
    expected = skeleton(config, count, image_size)
    names = match_names(file, values, expected)
    state = fill_in({names[name]: value for name, value in values.items()}, expected)
    if config.classes is not None and classes:
        outputs = output_names(config.classes)
        state = keep_outputs(state, config, outputs, classes, image_size)
    require_fit(file, config, expected, state)
    model = build_model(config, count, mean, std, image_size=image_size)
    model.backbone.load_state_dict(state)
    require_finite_predictions(file, model.eval(), image_size)
    found = {f"backbone.{names[name]}": mask for name, mask in masks.items()}
    found = (masks_from_zeros(model.backbone) | found) if config.zeros_as_mask else found
    return Checkpoint(model, config, found, classes, image_size, {})


def read_weights(
    file: Path, config: ModelConfig, image_size: int | None
) -> tuple[dict[str, Tensor], Sequence[float], Sequence[float]]:
    """Returns the tensors of a checkpoint by their names in an architecture, and mean and std.

    The last two are empty where the file does not say them. The number of classes may be another.

    Raises:
        InputError: the file is missing, damaged, or ours and of another architecture.
    """
    require_regular(file)
    tensors, raw = _read(file, average=config.ema)
    if raw is not None:
        found = _from_ours(file, tensors, raw, config, ())
        own = (found.model.mean.flatten().tolist(), found.model.std.flatten().tolist())
        return found.model.backbone.state_dict(), *own
    expected = skeleton(config, 1, image_size)
    tensors, mean, std = take_normalisation(tensors, expected)
    values, _ = take_masks(file, tensors)
    names = match_names(file, values, expected)
    return {names[name]: value for name, value in values.items()}, mean, std


def _read(file: Path, *, average: bool) -> tuple[dict[str, Tensor], dict[str, object] | None]:
    try:
        tensors, metadata = read_tensors(file)
        if metadata.get("format") != FORMAT:
            return tensors, None
        header = parse_json(metadata.get("header", ""))
        return tensors, header if header is not None else {}
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        if file.suffix == ".safetensors":
            raise InputError(
                f"the checkpoint {file} is truncated or damaged ({error}): restore it"
            ) from error
    found = read_state_dict(file, average=average)
    return found.tensors, found.header


def _from_ours(
    file: Path,
    tensors: dict[str, Tensor],
    raw: dict[str, object],
    config: ModelConfig | None,
    classes: tuple[str, ...],
) -> Checkpoint:
    header = parse_header(file, raw)
    own = ModelConfig(name=header.model.name, width=header.model.width)
    if config is not None and config.architecture() != own.architecture():
        raise InputError(
            f"the checkpoint {file} holds {own.name} of width {own.width:g}, not {config.name} of "
            f"width {config.width:g}: leave out --model or name the right one"
        )
    own = config or own  # only the user may allow code to run
    classes, size = header.classes or classes, header.image_size
    count = len(classes) or _count_classes(file, tensors, own, size)
    expected = skeleton(own, count, size)
    state, masks = decode_all(file, expected, tensors, header.encodings)
    require_fit(file, own, expected, state)
    if header.sha256 not in {None, sha256_of(tensors)}:
        raise InputError(
            f"the checkpoint {file} is damaged: its tensors are not those that were stored (their "
            "sha256 differs): restore it"
        )
    model = build_model(own, count, header.mean, header.std, image_size=size)
    model.backbone.load_state_dict(state)
    require_finite_predictions(file, model.eval(), size)
    return Checkpoint(model, own, masks, classes, size, raw)


def _count_classes(
    file: Path, values: dict[str, Tensor], config: ModelConfig, image_size: int | None
) -> int:
    """Returns the rows of the tensor whose shape depends on the number of classes."""
    axes = class_axes(config, image_size)
    names = match_names(file, values, axes)
    shapes = [values[name].shape for name, ours in names.items() if axes.get(ours) is not None]
    return max((shape[0] for shape in shapes if shape), default=1) or 1
