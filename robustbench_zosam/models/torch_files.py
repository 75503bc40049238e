"""State dicts in files of `torch.save`, of this package and of training scripts."""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
import struct
import types
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import require_regular

OWN_FACTS = "zosam"  # key of the header in a torch file that was exported from here
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "network")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_NUMPY = (getattr(np, "_core", None) or np.core).multiarray
# What training scripts store beside the weights; none of it runs code.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    types.SimpleNamespace,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePosixPath,
    np.dtype,
    *((_NUMPY.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")),
]
_DEEPEST = 8  # dicts around a state dict
_LARGEST = 2**28  # values of a tensor whose file does not hold as many
_UNREADABLE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OSError,
    struct.error,
    MemoryError,
)


@dataclass(frozen=True)
class StateDict:
    """Dense tensors by their names in the file, and this package's own header, if there is one."""

    tensors: dict[str, Tensor]
    header: dict[str, object] | None


def read_state_dict(file: Path, *, average: bool = False) -> StateDict:
    """Returns the state dict in a file of `torch.save`.

    Only plain tensors are unpickled, and settings of training scripts (`argparse.Namespace`).

    Args:
        file: the file.
        average: whether to take the moving average of the weights (`state_dict_ema`, `model_ema`).

    Raises:
        InputError: the file is not readable, or holds no state dict.
    """
    require_regular(file)
    try:
        _require_stored(file)
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise InputError(
            f"the checkpoint {file} is not a readable file of plain tensors ({_reason(error)}): "
            "save model.state_dict() with torch.save"
        ) from error
    header = content.get(OWN_FACTS) if isinstance(content, dict) else None
    content = _innermost(file, _average(file, content) if average else content)
    if isinstance(content, dict):
        content.pop("n_averaged", None)  # of torch.optim.swa_utils.AveragedModel
    if not isinstance(content, dict) or not content:
        raise InputError(f"the checkpoint {file} holds no state dict: save model.state_dict()")
    for name, value in content.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise InputError(
                f"the checkpoint {file} holds {name!r}, which is no tensor or no name: "
                "save model.state_dict()"
            )
    return StateDict({name: _dense(file, name, value) for name, value in content.items()}, header)


def _reason(error: BaseException) -> str:
    """Returns what of an error of torch says why, without its escape codes and advice."""
    lines = _ESCAPES.sub("", str(error)).splitlines() or [type(error).__name__]
    found = next((x for x in lines if "Unpickler error" in x or "Unsupported" in x), lines[0])
    return found.strip().partition(". Please use")[0].removeprefix("WeightsUnpickler error: ")


def _average(file: Path, content: object) -> object:
    """Returns the averaged weights of a training file."""
    for _ in range(_DEEPEST):
        if not isinstance(content, dict):
            break
        found = next((k for k in _AVERAGES if isinstance(content.get(k), dict)), None)
        if found is not None:
            return content[found]
        content = next((content[k] for k in _CONTAINERS if isinstance(content.get(k), dict)), None)
    raise InputError(
        f"the checkpoint {file} holds no averaged weights ({', '.join(_AVERAGES)}): leave "
        "model.ema out"
    )


def _require_stored(file: Path) -> None:
    """Refuses zips that unpack to more than they are: torch stores tensors as they are."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    if len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("an entry stands there twice")
    if any(entry.file_size > entry.compress_size for entry in entries):
        raise ValueError("its entries are compressed")


def _innermost(file: Path, content: object) -> object:
    """Returns the state dict inside the dicts around it."""
    for _ in range(_DEEPEST):
        if not isinstance(content, dict):
            return content
        inner = next((k for k in _CONTAINERS if isinstance(content.get(k), dict)), None)
        if inner is None:
            return content
        content = content[inner]
    raise InputError(f"the checkpoint {file} is nested too deeply: save model.state_dict()")


def _dense(file: Path, name: str, value: Tensor) -> Tensor:
    """Returns a tensor of values of its own; sparse ones are unpacked."""
    kind = None
    if value.is_meta:
        kind = "has no values (device meta)"
    elif value.is_quantized:
        kind = "is quantised"
    elif value.is_complex():
        kind = f"is complex ({value.dtype})"
    elif value.layout != torch.strided and value.numel() > _LARGEST:
        kind = f"is sparse and unpacks to {value.numel():,} values"
    elif value.layout == torch.strided and value.numel() > max(_LARGEST, _stored(value)):
        kind = f"repeats {_stored(value):,} values {value.numel():,} times"
    if kind is not None:
        raise InputError(
            f"the checkpoint {file} holds {name}, which {kind}: save dense weights of real numbers"
        )
    try:
        return value if value.layout == torch.strided else value.to_dense()
    except (RuntimeError, MemoryError) as error:
        raise InputError(f"the checkpoint {file} holds {name}, which is damaged") from error


def _stored(value: Tensor) -> int:
    return value.untyped_storage().nbytes() // value.element_size()
