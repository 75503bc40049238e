"""Tensors of our checkpoints, from masks and values to dense ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.models.encoding import decode
from robustbench_zosam.models.header import SparseTensor


def decode_all(
    file: Path,
    expected: Mapping[str, Tensor],
    tensors: dict[str, Tensor],
    encodings: dict[str, SparseTensor],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns the tensors by their names in the network, and masks by those in the classifier.

    Args:
        expected: names and shapes in the architecture.
        tensors: as they are stored.
        encodings: which of them are stored as masks and values.

    Raises:
        InputError: they are damaged.
    """
    parts, masks = dict(tensors), {}
    for name, facts in encodings.items():
        ours = _without_backbone(name, expected)
        if ours not in expected or expected[ours].shape != facts.shape:
            raise InputError(
                f"the checkpoint {file} is damaged: it describes {name} of shape {facts.shape}, "
                "which its architecture does not have"
            )
        try:
            parts[name], masks[f"backbone.{ours}"] = decode(name, parts, facts.shape)
        except ValueError as error:
            raise InputError(f"the checkpoint {file} is damaged: {error}") from error
    return {_without_backbone(name, expected): value for name, value in parts.items()}, masks


def _without_backbone(name: str, expected: Mapping[str, Tensor]) -> str:
    """Returns a tensor's name in the network; files of version 0.1.0 have the classifier's."""
    return name if name in expected else name.removeprefix("backbone.")
