"""Reading Tiny-ImageNet-C, ImageNet-C and suites of the same layout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.info import SEVERITIES
from corruptions.pictures import DAMAGED, open_rgb
from corruptions.registry import names
from corruptions.suites.manifest import provenance_notes
from corruptions.suites.suite import Suite
from corruptions.suites.write_folders import SUFFIXES

_Cells = dict[tuple[str, int], Path]


def open_folder_suite(
    folders: str | Path | Sequence[str | Path],
    *,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Suite:
    """Opens `<corruption>/<severity>/<class>/<file>.JPEG` trees; images are decoded when read.

    Args:
        folders: the tree, or several of which each holds some corruptions (the published sets come
            in parts).
        classes: the class folders in the order of the labels. If None, those of brightness, or
            of the first corruption, sorted. Other folders, such as the 800 superfluous ones in the
            first published frost of Tiny-ImageNet-C, are ignored and counted in the notes.
        name: for reports; the first folder's name if None.

    Returns:
        The suite, whatever subset of the corruptions is present.

    Raises:
        CorruptionError: nothing is there, or severities differ in their classes, files or sizes.
    """
    listed = [folders] if isinstance(folders, (str, Path)) else folders
    roots = [Path(folder) for folder in listed]
    cells = _find(roots)
    # Brightness is known to be sound where frost has too many classes.
    reference = cells.get(("brightness", 1)) or next(iter(cells.values()))
    chosen = tuple(sorted(_folders(reference))) if classes is None else tuple(classes)
    files = _files(reference, chosen)
    ignored = {cell: _compare(cell, chosen, files) for cell in cells.values()}
    height, width = _decode(reference / files[0]).shape[:2]

    def read(corruption: str, severity: int, low: int, high: int) -> NDArray[np.uint8]:
        cell = cells[corruption, severity]
        out = np.empty((len(files[low:high]), height, width, 3), np.uint8)
        for slot, file in zip(out, files[low:high], strict=True):
            image = _decode(cell / file)
            if image.shape != slot.shape:
                raise CorruptionError(
                    f"{cell / file} is {image.shape[1]} x {image.shape[0]} pixels where others are "
                    f"{width} x {height}; unpack or write it again."
                )
            slot[...] = image
        return out

    corruptions = tuple(dict.fromkeys(corruption for corruption, _ in cells))
    missing = tuple(c for c in names("all") if c not in corruptions)
    notes = provenance_notes(roots, missing)
    if any(ignored.values()):
        places = dict.fromkeys(cell.parent.name for cell, count in ignored.items() if count)
        notes += (
            f"ignored {max(ignored.values())} class folders that the test set does not have, in "
            f"{', '.join(places)}",
        )
    position = {label: number for number, label in enumerate(chosen)}
    labels = np.array([position[file.split("/")[0]] for file in files], np.int64)
    return Suite(
        name or roots[0].name, corruptions, missing, SEVERITIES, labels, chosen, notes, read
    )


def _find(roots: list[Path]) -> _Cells:
    """Locates every cell, corruptions in the published order."""
    cells: _Cells = {}
    for corruption in names("all"):
        root = next((root for root in roots if (root / corruption).is_dir()), None)
        if root is None:
            continue
        for severity in SEVERITIES:
            cell = root / corruption / str(severity)
            if not cell.is_dir():
                raise CorruptionError(f"{cell} is missing; unpack or write {corruption} again.")
            cells[corruption, severity] = cell
    if not cells:
        tried = " and ".join(map(str, roots))
        raise CorruptionError(
            f"{tried} holds no <corruption>/<severity> folders, such as fog/1; "
            "give the folder of a suite."
        )
    return cells


def _folders(cell: Path) -> set[str]:
    with os.scandir(cell) as entries:
        return {entry.name for entry in entries if entry.is_dir()}


def _files(cell: Path, classes: tuple[str, ...]) -> list[str]:
    """Paths of a cell's images below it, by class and then by name."""
    present = _folders(cell)
    missing = [label for label in classes if label not in present]
    if missing or not classes:
        raise CorruptionError(
            f"{cell} lacks {len(missing)} of {len(classes)} class folders, among them "
            f"{', '.join(missing[:3]) or 'all'}; unpack or write it again."
        )
    return [
        f"{label}/{file}"
        for label in classes
        for file in sorted(os.listdir(cell / label))
        if os.path.splitext(file)[1].lower() in SUFFIXES
    ]


def _compare(cell: Path, classes: tuple[str, ...], files: list[str]) -> int:
    """Checks that a cell holds these files, and counts the class folders it has besides."""
    own = _files(cell, classes)
    if own != files or not files:
        odd = sorted(set(own) ^ set(files))
        raise CorruptionError(
            f"{cell} has {len(own)} images where {len(files)} are expected "
            f"(for example {', '.join(odd[:2]) or 'none at all'}); unpack or write it again."
        )
    return len(_folders(cell)) - len(classes)


def _decode(path: Path) -> NDArray[np.uint8]:
    """Decodes an image; grey-scale ones, which the published sets hold too, become colour."""
    try:
        if not path.is_file():
            raise FileNotFoundError
        with open_rgb(path) as image:
            return np.array(image)
    except FileNotFoundError:
        raise CorruptionError(f"{path} has gone; unpack or write the suite again.") from None
    except DAMAGED as error:
        reason = str(error).partition(str(path))[0].rstrip(" '") or "no JPEG data"
        raise CorruptionError(f"{path} is damaged ({reason}); unpack or write it again.") from None
