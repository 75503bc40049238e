"""Which corrupted test images are meant, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

import corruptions
from robustbench_zosam.config import SuiteConfig
from robustbench_zosam.data.dataset import Images
from robustbench_zosam.errors import InputError

_SYNTHETIC_FROST = (
    "Frost uses procedural textures, so it is not comparable with published suites; set "
    "CORRUPTIONS_FROST_DIR to a folder of the original textures."
)
_GROUPS = ("common", "extra", "all")


class SuitePlan(BaseModel):
    """A generated suite: uint8 arrays `<corruption>.npy` in the layout of CIFAR-10-C.

    Each holds (severities * n, h, w, 3), severity after severity in test order.

    Attributes:
        name: as a report prints it, "digits-c".
        folder: where the arrays are.
        key: identity of the clean test images.
        corruptions: names, in canonical order.
        severities: 1 to 5, ascending.
        preset: which published constants.
        seed: of the corruptions' random draws.
        frost: which textures frost uses, "published" or "synthetic"; empty without frost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    folder: str
    key: str
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    preset: str
    seed: int
    frost: str = ""

    def file(self, corruption: str) -> Path:
        """Returns where the images of a corruption are."""
        name = f"{corruption}-{self.frost}" if corruption == "frost" else corruption
        return Path(self.folder) / f"{name}.npy"

    def images(self, corruption: str, severity: int) -> Images:
        """Returns the corrupted test images, uint8 (n, 3, h, w), read when used."""
        stored = np.load(self.file(corruption), mmap_mode="r")
        count = len(stored) // len(self.severities)
        start = self.severities.index(severity) * count
        images: Images = np.moveaxis(stored[start : start + count], 3, 1)
        return images

    def identity_parts(self) -> dict[str, Any]:
        """Returns all that can change a measurement on this suite, as JSON values."""
        return self.model_dump(mode="json", exclude={"folder", "name"})

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
            "notes": [_SYNTHETIC_FROST] if self.frost == "synthetic" else [],
        }


def plan_suite(config: SuiteConfig, data_name: str, cache: Path, key: str) -> SuitePlan:
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
        wanted = set(_expand(config.corruptions))
        corruptions.check_preset(config.preset)
    except corruptions.CorruptionError as error:
        raise InputError(str(error)) from error
    severities = tuple(sorted(set(config.severities)))
    drawn = "".join(map(str, severities))
    folder = cache / f"suite-{key[:16]}-{config.preset}-{drawn}-seed{config.seed}"
    return SuitePlan(
        name=config.name or f"{data_name}-c",
        folder=str(folder),
        key=key,
        corruptions=tuple(name for name in corruptions.names("all") if name in wanted),
        severities=severities,
        preset=config.preset,
        seed=config.seed,
        frost=corruptions.frost_source() if "frost" in wanted else "",
    )


def _expand(names: tuple[str, ...]) -> Iterator[str]:
    """Yields the corruptions that names and group names mean."""
    for name in names:
        if name in _GROUPS:
            yield from corruptions.names(name)  # type: ignore[arg-type] # checked above
        else:
            yield corruptions.get(name).name
