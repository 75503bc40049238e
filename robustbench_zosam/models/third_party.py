"""Third-party weights: their wrappers, masks, normalisation and names for our tensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError

# DataParallel, compile, Sequential(normalisation, network), ...
_WRAPPERS = ("module", "_orig_mod", "backbone", "model", "net", "1")
_DEVIATIONS = {"mean": "std", "mu": "sigma"}  # of images, as buffers are called
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


def take_normalisation(
    tensors: Mapping[str, Tensor], expected: Collection[str]
) -> tuple[dict[str, Tensor], tuple[float, ...], tuple[float, ...]]:
    """Returns the tensors without the buffers that normalise images, and their mean and deviation.

    Those are two tensors of three numbers, `mean` or `mu` and `std` or `sigma`, side by side, as
    models that normalise inside have them (RobustBench); both are empty where there are none.

    Args:
        tensors: by their names in the file.
        expected: names in the architecture, whose own buffers stay.
    """
    for name, value in tensors.items():
        place, _, last = name.rpartition(".")
        other = f"{place}.{_DEVIATIONS.get(last)}".removeprefix(".")
        if last not in _DEVIATIONS or name in expected or other not in tensors:
            continue
        mean, std = (x.flatten().tolist() for x in (value, tensors[other]))
        if (
            len(mean) == len(std) == 3
            and all(0 <= m <= 1 for m in mean)
            and all(0 < s <= 1 for s in std)
        ):
            rest = {n: v for n, v in tensors.items() if n not in (name, other)}
            return rest, tuple(mean), tuple(std)
    return dict(tensors), (), ()


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
