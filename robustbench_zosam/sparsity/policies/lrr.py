"""Iterative magnitude pruning with learning-rate rewinding."""

from __future__ import annotations

from typing import ClassVar

from robustbench_zosam.sparsity.policies.iterative import IterativePruning


class LRR(IterativePruning):
    """After each pruning, weights stay, and only the learning-rate schedule goes back.

    Source: Renda et al. 2020, "Comparing Rewinding and Fine-tuning in Neural Network Pruning".
    """

    rewinds_weights: ClassVar[bool] = False
