"""What a run says about published claims."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from robustbench_zosam.schema.comparisons import Verdict

Outcome = Literal[
    "supported", "not supported", "published size excluded", "undecided", "not tested"
]
"""The size is excluded where neither a gain nor a loss is shown, but one as large as published is
ruled out."""


class Effect(TypedDict):
    """How large what a claim speaks of is."""

    value: float
    low: float | None
    """None where the data gives no interval."""
    high: float | None
    unit: str
    """"accuracy" (a difference of fractions), "ratio", "trace", "adaptive trace", …"""
    n_seeds: int
    """Training runs of each method."""
    n_images: int | None


class PooledEffect(Effect):
    """An effect over several settings, which share images and often training runs."""

    settings: int
    spread: float
    """Standard deviation between the settings beyond chance, in the unit of the effect."""
    share: float
    """Of the variation between the settings that is more than chance, 0 to 1 (I²)."""
    p: float
    """Of no variation beyond chance."""


class ClaimScope(TypedDict):
    """Where a claim was made, and where it was tested."""

    paper: str
    here: str
    differs: list[str]
    """In what the two settings differ; empty where they match."""


class SettingResult(TypedDict):
    """What one sparsifier and sparsity says about a claim."""

    group: str
    """The setting, in words."""
    measured: str
    """The numbers, in words."""
    verdict: Outcome
    why: str
    effect: Effect | None
    settles: str
    """What would settle it."""


class ControlResult(TypedDict):
    """What a claimed effect is held against."""

    against: str
    purpose: str
    """What beating it would show."""
    attributes: NotRequired[bool]
    """Whether an effect that does not exceed it cannot be due to the loss queries."""
    group: str
    measured: str
    verdict: Verdict


class PublishedNumbers(TypedDict):
    """What a paper reports."""

    numbers: str
    where: str
    checked: bool
    """Whether read in the paper or its code; secondary summaries otherwise."""


class ClaimResult(TypedDict):
    """A published claim and what this run says about it."""

    id: str
    paper: str
    statement: str
    source: str
    test: str
    measured: str
    verdict: Outcome
    why: str
    settles: str
    effect: Effect | PooledEffect | None
    """Pooled where the run has several settings."""
    scope: ClaimScope
    settings: list[SettingResult]
    controls: list[ControlResult]
    published: list[PublishedNumbers]
