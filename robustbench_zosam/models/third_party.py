"""Third-party weights: their files, their wrappers and their names for our tensors."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import require_regular

OWN_FACTS = "zosam"  # key of the header in a torch file that was exported from here
_CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "network")
_WRAPPERS = ("module", "_orig_mod", "backbone", "model", "net")  # DataParallel, compile, ...
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
# Names in well-known repositories for the tensors of our architectures; tried in this order, each
# only while the name so far is none of ours.
_SPELLINGS = (
    (r"^bn\.", "bn1."),
    (r"^layer1\.", "stages.0."),
    (r"^layer2\.", "stages.1."),
    (r"^layer3\.", "stages.2."),
    (r"^layer4\.", "stages.3."),
    (r"^block1\.layer\.", "stages.0."),
    (r"^block2\.layer\.", "stages.1."),
    (r"^block3\.layer\.", "stages.2."),
    (r"\.downsample\.", ".shortcut."),
    (r"\.bn3\.", ".shortcut.1."),
    (r"\.convShortcut\.", ".shortcut."),
    (r"^feature\.", "features."),
    (r"^(linear|classifier|head)\.", "fc."),
    (r"^fc\.", "classifier."),
)


@dataclass(frozen=True)
class StateDict:
    """Dense tensors by their names in the file, and this package's own header, if there is one."""

    tensors: dict[str, Tensor]
    header: dict[str, object] | None


def read_state_dict(file: Path) -> StateDict:
    """Returns the state dict in a file of `torch.save`; only plain tensors are unpickled.

    Raises:
        InputError: the file is not readable, or holds no state dict.
    """
    require_regular(file)
    try:
        _require_stored(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"the checkpoint {file} is not a readable file of plain tensors ({reason}): "
            "save model.state_dict() with torch.save"
        ) from error
    header = content.get(OWN_FACTS) if isinstance(content, dict) else None
    content = _innermost(file, content)
    if not isinstance(content, dict) or not content:
        raise InputError(f"the checkpoint {file} holds no state dict: save model.state_dict()")
    for name, value in content.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise InputError(
                f"the checkpoint {file} holds {name!r}, which is no tensor or no name: "
                "save model.state_dict()"
            )
    return StateDict({name: _dense(file, name, value) for name, value in content.items()}, header)


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


def take_masks(
    file: Path, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns the tensors with masks applied and taken out, and the masks as bool, by name.

    Args:
        tensors: `NAME_orig` and `NAME_mask`, as `torch.nn.utils.prune` writes them, or `NAME` and
            `NAME_mask`, among others.

    Raises:
        InputError: a mask is not binary, or disagrees with its weights.
    """
    rest, masks = dict(tensors), {}
    for name in [key for key in tensors if key.endswith("_mask")]:
        base = name.removesuffix("_mask")
        hidden = f"{base}_orig" in tensors  # pruned values are still stored, and mean nothing
        if not hidden and base not in tensors:
            continue  # a buffer of the architecture that happens to be called so
        mask = rest.pop(name)
        value = rest.pop(f"{base}_orig" if hidden else base)
        if mask.shape != value.shape:
            raise InputError(
                f"the checkpoint {file} has a mask of shape {tuple(mask.shape)} for {base} of "
                f"shape {tuple(value.shape)}: save weights and masks of one model"
            )
        if not ((mask == 0) | (mask == 1)).all():
            raise InputError(
                f"the checkpoint {file} has values other than 0 and 1 in {name}: it is no mask"
            )
        masks[base] = mask.bool()
        rest[base] = value.where(masks[base], torch.zeros_like(value)) if hidden else value
        wrong = int((rest[base][~masks[base]] != 0).sum())
        if wrong:
            raise InputError(
                f"the checkpoint {file} has {wrong} non-zero weights in {base} where its mask is "
                "0: save it after masking the weights"
            )
    return rest, masks


def match_names(file: Path, names: Collection[str], expected: Collection[str]) -> dict[str, str]:
    """Returns each third-party tensor's name in the architecture, or its own if nothing matches.

    Wrappers such as `module.` are removed, and spellings of well-known repositories tried, only
    while a name is none of the `expected` ones.

    Raises:
        InputError: two tensors claim the same name.
    """
    found: dict[str, str] = {}
    claimed: dict[str, str] = {}
    for name in names:
        ours = _respelled(_unwrapped(name, expected), expected)
        if ours in claimed:
            raise InputError(
                f"the checkpoint {file} holds both {claimed[ours]} and {name} for {ours}: "
                "keep one of them"
            )
        found[name], claimed[ours] = ours, name
    return found


def _unwrapped(name: str, expected: Collection[str]) -> str:
    head, _, rest = name.partition(".")
    while name not in expected and head in _WRAPPERS and rest:
        name = rest
        head, _, rest = name.partition(".")
    return name if name in expected else re.sub(r"\.(module|_orig_mod)\.", ".", name)


def _respelled(name: str, expected: Collection[str]) -> str:
    spelled = name
    for pattern, ours in _SPELLINGS:
        if spelled in expected:
            return spelled
        spelled = re.sub(pattern, ours, spelled)
    return spelled if spelled in expected else name
