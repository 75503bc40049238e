"""Corrupted copies of a test set, made once and shared by all models.

On disk a suite has the layout of CIFAR-10-C: one uint8 array `<corruption>.npy` of shape
(severities * n, h, w, 3), severity after severity in test order, and `labels.npy`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import corruptions
from robustbench_zosam.config import SuiteConfig
from robustbench_zosam.data.dataset import Images, Split
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path


@dataclass(frozen=True)
class Suite:
    """A suite on disk.

    Attributes:
        name: as a report prints it, "digits-c".
        folder: where the arrays are.
        corruptions: names, in canonical order.
        severities: 1 to 5, ascending.
        preset: which published constants.
        seed: of the corruptions' random draws.
    """

    name: str
    folder: Path
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    preset: str
    seed: int

    def images(self, corruption: str, severity: int) -> Images:
        """Returns the corrupted test images, uint8 (n, 3, h, w), read from disk when used."""
        stored = np.load(self.folder / f"{corruption}.npy", mmap_mode="r")
        count = len(stored) // len(self.severities)
        start = self.severities.index(severity) * count
        images: Images = np.moveaxis(stored[start : start + count], 3, 1)
        return images

    def facts(self) -> dict[str, Any]:
        """Returns what a report says of the suite, as JSON values."""
        return {
            "name": self.name,
            "source": "generated",
            "preset": self.preset,
            "seed": self.seed,
            "corruptions": list(self.corruptions),
            "severities": list(self.severities),
            "categories": {name: corruptions.category(name) for name in self.corruptions},
            "left_out": [],
        }


def plan_suite(config: SuiteConfig, data_name: str, cache: Path, key: str) -> Suite:
    """Says which suite a configuration means, without making it.

    Args:
        config: corruptions, severities, preset and seed.
        data_name: of the clean data.
        cache: folder in which suites are kept.
        key: identity of the clean test images.

    Returns:
        The suite.

    Raises:
        InputError: a corruption or the preset is unknown.
    """
    try:
        names = config.corruptions or corruptions.names("all")
        for name in names:
            corruptions.category(name)
        corruptions.check_preset(config.preset)
    except corruptions.CorruptionError as error:
        raise InputError(str(error)) from error
    ordered = tuple(name for name in corruptions.names("all") if name in names)
    severities = tuple(sorted(set(config.severities)))
    name = config.name or f"{data_name}-c"
    return Suite(name, cache / f"suite-{key[:16]}", ordered, severities, config.preset, config.seed)


def generate_suite(
    suite: Suite, test: Split, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Makes what is missing of a suite; a corruption is on disk wholly or not at all.

    Args:
        suite: what to make.
        test: the clean test images.
        on_progress: called with (corruptions done, corruptions in all).

    Raises:
        InputError: the disk is too small.
    """
    missing = [name for name in suite.corruptions if not (suite.folder / f"{name}.npy").exists()]
    suite.folder.mkdir(parents=True, exist_ok=True)
    needed = len(missing) * len(suite.severities) * test.images.nbytes
    free = shutil.disk_usage(suite.folder).free
    if needed > free:
        raise InputError(
            f"the suite {suite.name} needs {needed / 1e9:.1f} GB in {suite.folder}, where "
            f"{free / 1e9:.1f} GB are free: make room, or choose fewer with --corruption"
        )
    _save(suite.folder / "labels.npy", np.tile(test.labels, len(suite.severities)))
    for done, name in enumerate(suite.corruptions):
        on_progress(done, len(suite.corruptions))
        if name in missing:
            blocks = [
                corruptions.corrupt(
                    test.images, name, severity, preset=suite.preset, seed=suite.seed
                )
                for severity in suite.severities
            ]
            _save(suite.folder / f"{name}.npy", np.moveaxis(np.concatenate(blocks), 1, 3))
    on_progress(len(suite.corruptions), len(suite.corruptions))


def _save(file: Path, array: np.ndarray[Any, Any]) -> None:
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, array)
