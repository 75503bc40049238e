"""Files of named tensors: safetensors, the same bytes for the same tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from robustbench_zosam.files import atomic_path, require_regular


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors on the CPU atomically, readable by whoever reads the other files.

    Args:
        tensors: contiguous, none of which shares memory with another.
    """
    content = save(dict(tensors), dict(metadata))
    length = int.from_bytes(content[:8], "little")
    # The library writes the metadata in the order of a hash table, another one in each process.
    text = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":"))
    header = text.encode()
    header += b" " * (-len(header) % 8)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.write(memoryview(content)[8 + length :])


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors and the metadata of a safetensors file.

    Raises:
        InputError: it is missing, or no file.
        ValueError: it is damaged, or of another format.
    """
    require_regular(file)
    try:
        with safe_open(file, framework="pt") as content:
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a mapping
            return tensors, content.metadata() or {}
    except (
        SafetensorError,
        OSError,
        MemoryError,
        OverflowError,
        TypeError,
        AttributeError,
    ) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def sha256_of(tensors: Mapping[str, Tensor]) -> str:
    """Returns a hash of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()
