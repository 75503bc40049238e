"""What a cell's first stage stores: its training, or the checkpoint that was loaded instead."""

from __future__ import annotations

from typing import Literal, final

from typing_extensions import TypedDict

from robustbench_zosam.schema.measured import Sparsity
from robustbench_zosam.schema.training import TrainingRecord


@final
class StoredTrained(TrainingRecord):
    """A model that was trained here."""

    exploration: float | None
    """Fraction of the maskable weights that were ever active."""
    sparsity: Sparsity


class Normalisation(TypedDict):
    """Of each channel, in [0, 1]."""

    mean: list[float]
    std: list[float]


@final
class StoredLoaded(TypedDict):
    """A model that was loaded."""

    status: Literal["done"]
    loaded: str
    """Path of the checkpoint."""
    normalisation: Normalisation
    sparsity: Sparsity


StoredTraining = StoredTrained | StoredLoaded
