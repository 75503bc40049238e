"""A masker from a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from robustbench_zosam.checks import constructor_options, require_options
from robustbench_zosam.sparsity.masker import Masker
from robustbench_zosam.sparsity.policy import Examples
from robustbench_zosam.sparsity.registry import SPARSIFIERS
from robustbench_zosam.sparsity.rounds import RoundsMasker
from robustbench_zosam.sparsity.straight_through import StraightThroughMasker


def create_masker(
    name: str,
    model: nn.Module,
    *,
    sparsity: float,
    total_steps: int,
    seed: int = 0,
    dense_layers: Sequence[str] = (),
    examples: Examples | None = None,
    **options: Any,
) -> Masker:
    """Makes a model sparse, and keeps it so as the named sparsifier says.

    Args:
        name: an entry of `SPARSIFIERS`.
        model: any module, on its device.
        sparsity: fraction of the maskable weights to remove, in [0, 1).
        total_steps: optimizer steps of the recipe; the training takes `masker.training_steps`,
            which are more for sparsifiers that train in rounds.
        seed: of the masker's own generator.
        dense_layers: patterns of layers to leave dense (see `maskable_layers`).
        examples: draws training data, for sparsifiers that look at some before training.
        **options: of the sparsifier (see `SPARSIFIERS[name].options`).

    Returns:
        The masker, to be given to the optimizer; the model's weights are masked already.
    """
    kind = SPARSIFIERS[name].load()
    require_options(f"sparsifier {name!r}", options, constructor_options(kind))
    masker = Masker
    if kind.straight_through or kind.in_rounds:
        masker = StraightThroughMasker if kind.straight_through else RoundsMasker
    return masker(
        model,
        kind(**options),
        sparsity=sparsity,
        total_steps=total_steps,
        seed=seed,
        dense_layers=dense_layers,
        examples=examples,
    )
