"""Suites on disk, in exactly the published layouts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robustbench_zosam.data.dataset import Dataset

PUBLISHED = ("gaussian_noise", "fog", "saturate")


def facts(data: Dataset) -> dict[str, Any]:
    return data.facts() | {"fingerprint": "0" * 64}


def write_arrays(folder: Path, data: Dataset, names: tuple[str, ...] = PUBLISHED) -> Path:
    """Writes `<name>.npy` and `labels.npy`; severity s is s grey levels darker."""
    folder.mkdir(parents=True)
    blocks = [np.moveaxis(data.test.images, 1, 3) - severity for severity in range(1, 6)]
    for name in names:
        np.save(folder / f"{name}.npy", np.concatenate(blocks))
    np.save(folder / "labels.npy", np.tile(data.test.labels, 5).astype(np.uint8))
    return folder


def write_folders(folder: Path, data: Dataset, names: tuple[str, ...] = PUBLISHED) -> Path:
    """Writes `<name>/<severity>/<class>/<file>.JPEG`."""
    for name in names:
        for severity in range(1, 6):
            for number, label in enumerate(data.test.labels):
                place = folder / name / str(severity) / data.classes[label]
                place.mkdir(parents=True, exist_ok=True)
                picture = Image.fromarray(np.moveaxis(data.test.images[number], 0, 2))
                picture.save(place / f"{number:04}.JPEG", quality=100, subsampling=0)
    return folder


@pytest.fixture(scope="session")
def published() -> SimpleNamespace:
    """Writers of small suites in the published layouts."""
    return SimpleNamespace(
        names=PUBLISHED, facts=facts, write_arrays=write_arrays, write_folders=write_folders
    )
