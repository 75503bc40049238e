"""The state of a sparse model: densities, sparsity in two definitions, topology changes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TopologyEvent:
    """One change of the masks.

    Attributes:
        step: optimizer steps completed before it.
        dropped: weights that became inactive.
        grown: weights that became active.
        survivors: weights grown at the previous event that are still active after this one.
        skipped: the update was due, but weights or gradients were not finite and the masks stayed.
    """

    step: int
    dropped: int
    grown: int
    survivors: int
    skipped: bool = False


@dataclass(frozen=True)
class LayerDensity:
    """How much of one maskable layer is active."""

    name: str
    shape: tuple[int, ...]
    size: int
    active: int
    density: float


@dataclass(frozen=True)
class SparsityReport:
    """Sparsity as it is, whatever was asked for.

    Attributes:
        sparsifier: name of the policy's class.
        sparsity: what was asked for, over the maskable weights.
        sparsity_maskable: inactive / maskable weights.
        sparsity_total: inactive weights / all parameters of the model.
        active: number of active maskable weights.
        maskable: number of maskable weights.
        total: number of parameters of the model.
        exploration: R_s, the fraction of maskable weights that were ever active (Liu et al. 2021,
            ITOP).
        layers: one entry per maskable layer.
        astray: weights off the masks that are not zero, and are counted as active; there are none
            where an optimizer drives the masker.
    """

    sparsifier: str
    sparsity: float
    sparsity_maskable: float
    sparsity_total: float
    active: int
    maskable: int
    total: int
    exploration: float
    layers: tuple[LayerDensity, ...]
    astray: int = 0

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Layers that are down to the one weight every layer is left."""
        return tuple(x.name for x in self.layers if x.active == 1 < x.size)
