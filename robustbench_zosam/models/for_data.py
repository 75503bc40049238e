"""Checkpoints for given data."""

from __future__ import annotations

from pathlib import Path

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.errors import InputError
from robustbench_zosam.models.checkpoints import Checkpoint, load_checkpoint


def load_for(path: str, model: ModelConfig | None, data: Dataset) -> Checkpoint:
    """Returns a checkpoint to evaluate on this data, on the CPU.

    Raises:
        InputError: it cannot be loaded, or was trained for other classes.
    """
    mean, std = data.channel_statistics()
    found = load_checkpoint(
        Path(path),
        config=model,
        classes=data.classes,
        mean=mean,
        std=std,
        image_size=data.image_size,
    )
    if found.classes != data.classes:
        raise InputError(
            f"the checkpoint {path} was trained for {len(found.classes)} classes "
            f"({', '.join(found.classes[:3])}, …), the data {data.name!r} has "
            f"{len(data.classes)} ({', '.join(data.classes[:3])}, …): name its own data with --data"
        )
    return found
