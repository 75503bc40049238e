"""Published suites, and others that lie on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import corruptions
from corruptions.suites.manifest import read_manifest
from robustbench_zosam.config import DataConfig, SuiteConfig, canonical_json
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness.plan import (
    Layout,
    SuitePlan,
    expand,
    input_errors,
    open_layout,
    select,
)
from robustbench_zosam.robustness.registry import SUITES
from robustbench_zosam.schema import DataFacts

if TYPE_CHECKING:
    from corruptions.suites import Suite

_CIFAR10_1 = "cifar10.1_v6_data.npy"


def plan_stored(
    config: SuiteConfig, data: DataConfig, facts: DataFacts, labels: NDArray[np.int64]
) -> SuitePlan:
    """Finds a stored suite and checks it against the clean data, before anything is trained.

    Args:
        config: `source` is NAME, PATH or NAME:PATH; corruptions and severities select.
        data: whose `limit` applies to the suite too, and whose `root` is searched for NAME.
        labels: of the clean test images, (n,).

    Returns:
        The suite, with what is absent of it.

    Raises:
        InputError: it is not there, not as its layout says, or not of this data.
    """
    assert config.source is not None
    entry, folder = _locate(config.source, data.root)
    folders, layout = _parts(folder), _layout(folder)
    name = config.name or folder.name
    classes = tuple(facts["classes"])
    with input_errors():
        suite = open_layout(layout, folders, classes, name)
        wanted = suite.corruptions if layout == "cifar10.1" else expand(config.corruptions)
    present = tuple(name for name in wanted if name in suite.corruptions)
    if not present:
        raise InputError(
            f"{folder} holds none of {', '.join(wanted)}: choose among "
            f"{', '.join(suite.corruptions)} with --corruption"
        )
    severities = tuple(s for s in suite.severities if s in config.severities)
    chosen = select(suite, present, severities or suite.severities, data.limit, data.split_seed)
    _check(chosen, layout, folder, facts, labels)
    with input_errors():
        published = entry if entry and not read_manifest(folder) else None
    reference = SUITES[published].reference if published else "none"
    return SuitePlan(
        name=name,
        source="stored",
        layout=layout,
        folders=folders,
        key=_fingerprint(folders),
        corruptions=present,
        severities=chosen.severities,
        classes=classes,
        limit=data.limit,
        limit_seed=data.split_seed,
        reference=reference if config.reference == "auto" else config.reference,
        left_out=tuple(name for name in wanted if name not in present),
        notes=suite.notes,
    )


def _locate(source: str, root: str | None) -> tuple[str | None, Path]:
    """Returns the registered name, if it is known, and the folder of a suite."""
    name, colon, path = source.partition(":")
    if name in SUITES:
        if colon:
            return name, _existing(Path(path))
        return name, _search(name, root)
    folder = _existing(Path(source))
    known = (entry.name for entry in SUITES if folder.name in entry.folders)
    return next(known, None), folder


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(
            f"the suite {folder} does not exist: give a folder, or one of "
            f"{', '.join(entry.name for entry in SUITES)}"
        )
    return folder


def _search(name: str, root: str | None) -> Path:
    places = [Path(root)] if root else []
    places = [place for start in [*places, Path("data")] for place in (start, start.parent)]
    folders = SUITES[name].folders
    for place in places:
        for folder in folders:
            if (place / folder).is_dir():
                return place / folder
    raise InputError(
        f"the suite {name} was not found: put {folders[0]} into --data-root (`zosam-robust fetch "
        f"{name}` downloads it), or name its folder with --suite {name}:PATH"
    )


def _parts(folder: Path) -> tuple[str, ...]:
    """Folders that hold corruptions: the folder itself, its parts, and a part beside it."""
    names = set(corruptions.names("all"))
    inside = sorted(child for child in folder.iterdir() if child.is_dir())
    beside = [folder.with_name(f"{folder.name}-extra")]
    parts = [
        place
        for place in [folder, *inside, *beside]
        if place.name not in names and any((place / name).is_dir() for name in names)
    ]
    return tuple(str(place) for place in parts) or (str(folder),)


def _layout(folder: Path) -> Layout:
    if (folder / _CIFAR10_1).is_file():
        return "cifar10.1"
    return "arrays" if any(folder.glob("*.npy")) else "folders"


def _check(
    suite: Suite,
    layout: Layout,
    folder: Path,
    facts: DataFacts,
    labels: NDArray[np.int64],
) -> None:
    if layout == "arrays" and not np.array_equal(suite.labels, labels):
        raise InputError(
            f"{folder / 'labels.npy'} does not hold the labels of the {len(labels)} test images of "
            f"{facts['name']}, in their order: choose the data set the suite was made of"
        )
    with input_errors():
        side = suite.read(suite.corruptions[0], suite.severities[0], 0, 1).shape[1]
    if side != facts["image_size"]:
        raise InputError(
            f"{folder} has images of {side} pixels where the data has {facts['image_size']}: "
            f"use --set data.image_size={side}, or another suite"
        )


def _fingerprint(folders: tuple[str, ...]) -> str:
    """Returns a hash that changes when files are added, removed or rewritten."""
    listed = [entry for folder in folders for entry in _entries(Path(folder))]
    return hashlib.sha256(canonical_json(listed).encode()).hexdigest()


def _entries(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yields arrays with size and time, and class folders, whose time changes with their files."""
    for path in sorted([*folder.glob("*.npy"), *folder.glob("*/[1-5]/*")]):
        if path.is_dir() or path.suffix == ".npy":
            stat = path.stat()
            yield str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns
