"""Reading Tiny-ImageNet-C, ImageNet-C and suites of the same layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corruptions.errors import CorruptionError
from corruptions.facts import SEVERITIES
from corruptions.registry import names
from corruptions.suites.notes import provenance_notes
from corruptions.suites.suite import Suite

_SUFFIXES = {".jpeg", ".jpg"}
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
        classes: the class folders in the order of the labels. If None, those of the first cell,
            sorted. Other folders, such as the 800 superfluous ones in the first published frost
            of Tiny-ImageNet-C, are ignored and counted in the notes.
        name: for reports; the first folder's name if None.

    Returns:
        The suite, whatever subset of the corruptions is present.

    Raises:
        CorruptionError: if nothing is there, or cells differ in their classes, files or sizes.
    """
    listed = [folders] if isinstance(folders, (str, Path)) else folders
    roots = [Path(folder) for folder in listed]
    cells = _find(roots)
    corruptions = tuple(dict.fromkeys(corruption for corruption, _ in cells))
    first = cells[corruptions[0], SEVERITIES[0]]
    chosen = tuple(classes) if classes is not None else _reference_classes(cells)
    files = _files(first, chosen)
    ignored = sum(_compare(cell, chosen, files) for cell in cells.values())
    size = _size(first / files[0])

    def read(corruption: str, severity: int, low: int, high: int) -> NDArray[np.uint8]:
        cell = cells[corruption, severity]
        return np.stack([_decode(cell / file, size) for file in files[low:high]])

    missing = tuple(c for c in names("all") if c not in corruptions)
    notes = provenance_notes(roots[0], missing)
    if ignored:
        notes += (f"ignored {ignored} class folders that the test set does not have",)
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
        tried = ", ".join(map(str, roots))
        raise CorruptionError(f"{tried} holds no <corruption>/<severity> folders; give a suite's.")
    return cells


def _reference_classes(cells: _Cells) -> tuple[str, ...]:
    """Class folders of a cell known to be sound, brightness if it is there."""
    cell = cells.get(("brightness", 1)) or next(iter(cells.values()))
    return tuple(sorted(folder.name for folder in cell.iterdir() if folder.is_dir()))


def _files(cell: Path, classes: tuple[str, ...]) -> list[str]:
    """Paths of a cell's images below it, by class and then by name."""
    missing = [label for label in classes if not (cell / label).is_dir()]
    if missing or not classes:
        raise CorruptionError(
            f"{cell} lacks {len(missing)} of {len(classes)} class folders, among them "
            f"{', '.join(missing[:3]) or 'all'}; unpack or write it again."
        )
    return [
        f"{label}/{file.name}"
        for label in classes
        for file in sorted((cell / label).iterdir())
        if file.suffix.lower() in _SUFFIXES
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
    return sum(folder.is_dir() for folder in cell.iterdir()) - len(classes)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _decode(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        if image.size != size:
            raise CorruptionError(
                f"{path} is {image.size[0]} x {image.size[1]} pixels where the others are "
                f"{size[0]} x {size[1]}; unpack or write it again."
            )
        return np.array(image.convert("RGB"))
