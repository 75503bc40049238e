"""Image corruptions of the published robustness benchmarks: batched, seeded, exact."""

from corruptions.api import corrupt, frost_source
from corruptions.constants import PRESETS
from corruptions.errors import CorruptionError
from corruptions.info import ANY, SEVERITIES, CorruptionInfo, check_preset
from corruptions.registry import ForeignCorruptionWarning, category, get, names, origin

__all__ = [  # noqa: RUF022 - grouped by purpose
    # corrupting images
    "corrupt",
    "frost_source",
    # what there is
    "ANY",
    "PRESETS",
    "SEVERITIES",
    "CorruptionInfo",
    "category",
    "check_preset",
    "get",
    "names",
    "origin",
    # what can go wrong
    "CorruptionError",
    "ForeignCorruptionWarning",
]
