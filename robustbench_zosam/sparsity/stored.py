"""Sparse models of any kind in files: masks and active values, and how to go on with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import parse_json, require_regular
from robustbench_zosam.models.encoding import decode, encode_state
from robustbench_zosam.models.tensor_files import read_tensors, save_tensors, sha256_of
from robustbench_zosam.models.third_party import take_masks
from robustbench_zosam.models.torch_files import read_state_dict
from robustbench_zosam.sparsity.layers import maskable_layers
from robustbench_zosam.sparsity.masker import Masker
from robustbench_zosam.sparsity.named import NamedMasks
from robustbench_zosam.sparsity.policy import Policy, Start

FORMAT = "zosam-sparse-1"


@dataclass(frozen=True)
class SparseState:
    """A state dict with its masks, by the names of its tensors."""

    tensors: dict[str, Tensor]
    masks: dict[str, Tensor]


def save_sparse(
    file: Path | str, model: nn.Module, masks: NamedMasks | Mapping[str, Tensor]
) -> None:
    """Writes the state dict of any model as safetensors; masked tensors as masks and values.

    Args:
        file: replaced atomically.
        model: any module.
        masks: a masker, or bool tensors by parameter name.

    Raises:
        InputError: there is a mask for no tensor of the model, or a weight off it is not zero.
    """
    given = masks.masks if isinstance(masks, NamedMasks) else dict(masks)
    state = model.state_dict()
    unknown = sorted(set(given) - set(state))
    if unknown:
        raise InputError(f"there is a mask for {unknown[0]}, which is no tensor of the model")
    for name, mask in given.items():
        if state[name][~mask].any():
            raise InputError(f"{name} is not zero off its mask: apply the masks before saving")
    tensors, shapes = encode_state(state, given)
    text = json.dumps({"shapes": shapes, "sha256": sha256_of(tensors)}, sort_keys=True)
    save_tensors(Path(file), tensors, {"format": FORMAT, "header": text})


def load_sparse(file: Path | str, model: nn.Module | None = None) -> SparseState:
    """Returns what `save_sparse` wrote, dense, with its masks.

    Args:
        file: the file.
        model: gets the tensors, if given.

    Raises:
        InputError: the file is missing, damaged, of another format, or does not fit the model.
    """
    try:
        found = _decoded(Path(file))
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"the sparse model {file} cannot be read ({error}): restore it") from error
    if model is not None:
        try:
            model.load_state_dict(found.tensors)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(f"the sparse model {file} does not fit: {reason}") from error
    return found


def _decoded(file: Path) -> SparseState:
    require_regular(file)
    stored, metadata = read_tensors(file)
    if metadata.get("format") != FORMAT:
        raise ValueError("save_sparse did not write it")
    header = parse_json(metadata["header"])
    if not isinstance(header, dict) or header.get("sha256") != sha256_of(stored):
        raise ValueError("its sha256 differs")
    masks = {}
    for name, shape in header["shapes"].items():
        stored[name], masks[name] = decode(name, stored, tuple(shape))
    return SparseState(stored, masks)


class Given(Policy):
    """Keeps masks that are there already.

    Args:
        masks: bool tensors by parameter name; other layers stay dense.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self._given = masks

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Returns the masks; one of no maskable layer is an `InputError`."""
        shapes = {layer.name: layer.shape for layer in start.layers}
        for name, mask in self._given.items():
            if shapes.get(name) != tuple(mask.shape):
                raise InputError(
                    f"there is a mask of shape {tuple(mask.shape)} for {name}, which is no "
                    "maskable layer of that shape: give the model that was pruned"
                )
        return [
            self._given[x.name].bool().to(x.weight.device)
            if x.name in self._given
            else torch.ones_like(x.weight, dtype=torch.bool)
            for x in start.layers
        ]


def masker_from(model: nn.Module, masks: Mapping[str, Tensor], *, total_steps: int = 1) -> Masker:
    """Returns a masker with fixed masks, to fine-tune what was pruned elsewhere.

    Args:
        model: the pruned network.
        masks: bool tensors by parameter name.
        total_steps: of the fine-tuning; fixed masks do not depend on it.
    """
    kept = sum(int(mask.sum()) for mask in masks.values())
    size = sum(mask.numel() for mask in masks.values())
    sparsity = 1 - kept / max(size, 1)
    return Masker(model, Given(masks), sparsity=sparsity, total_steps=total_steps)


def from_checkpoint(model: nn.Module, file: Path | str, *, total_steps: int = 1) -> Masker:
    """Loads a pruned state dict into a model and returns the masker that keeps it so.

    Args:
        model: gets the weights.
        file: of `save_sparse`; or a state dict of safetensors or torch, whose masks are those of
            `torch.nn.utils.prune` (`NAME_mask`) where it has them, and else its exact zeros.
        total_steps: of the fine-tuning.

    Returns:
        The masker, to be attached to an optimizer or given to one of this package.

    Raises:
        InputError: it is missing, damaged, or does not fit the model, or nothing in it is pruned.
    """
    place = Path(file)
    tensors, masks = _read(place)
    if not masks:
        names = {layer.name for layer in maskable_layers(model)}
        masks = {n: v != 0 for n, v in tensors.items() if n in names and (v == 0).any()}
    if not masks:
        raise InputError(f"{file} holds no masks and no zeros: nothing in it is pruned")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{file} does not fit the model: {reason}") from error
    return masker_from(model, masks, total_steps=total_steps)


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    require_regular(file)
    if file.suffix != ".safetensors":
        return take_masks(file, read_state_dict(file).tensors)
    try:
        tensors, metadata = read_tensors(file)
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): restore it") from error
    if metadata.get("format") == FORMAT:
        found = load_sparse(file)
        return found.tensors, found.masks
    return take_masks(file, tensors)
