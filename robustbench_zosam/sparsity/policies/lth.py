"""Lottery tickets: iterative magnitude pruning with rewound weights."""

from __future__ import annotations

from typing import ClassVar

from robustbench_zosam.sparsity.policies.iterative import IterativePruning


class LTH(IterativePruning):
    """After each pruning, weights and batch-norm statistics go back to an early step.

    Source: Frankle & Carbin 2019, "The Lottery Ticket Hypothesis"; rewinding to an early step
        rather than to initialisation: Frankle et al. 2020, "Linear Mode Connectivity and the
        Lottery Ticket Hypothesis".
    """

    rewinds_weights: ClassVar[bool] = True
