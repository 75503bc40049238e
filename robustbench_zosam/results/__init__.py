"""What a run has stored: its format, older versions of it, tables and exports."""

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.results.versions import VERSION, upgrade

if TYPE_CHECKING:
    from robustbench_zosam.results.frames import (
        claims_frame,
        comparisons_frame,
        methods_frame,
        tidy,
    )
    from robustbench_zosam.results.notebook import StoredResults, load
    from robustbench_zosam.results.published_schema import json_schema

__all__ = [  # noqa: RUF022 - grouped by purpose
    # the format
    "VERSION",
    "json_schema",
    "read_results",
    "upgrade",
    # in notebooks
    "StoredResults",
    "load",
    # as tables
    "claims_frame",
    "comparisons_frame",
    "methods_frame",
    "tidy",
]

__getattr__ = lazy_exports(__name__)
