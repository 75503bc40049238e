"""Image corruptions of the published robustness benchmarks: batched, seeded, exact."""

from corruptions.api import corrupt, frost_source
from corruptions.constants import PRESETS
from corruptions.errors import CorruptionError
from corruptions.info import SEVERITIES, CorruptionInfo, check_preset
from corruptions.registry import category, get, names

__all__ = [  # noqa: RUF022 - grouped by purpose
    # corrupting images
    "corrupt",
    "frost_source",
    # what there is
    "PRESETS",
    "SEVERITIES",
    "CorruptionInfo",
    "category",
    "check_preset",
    "get",
    "names",
    # what can go wrong
    "CorruptionError",
]
