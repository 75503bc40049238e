"""A finished run in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from robustbench_zosam.results import frames
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.results.tables import Table, tables


@dataclass(frozen=True)
class Results:
    """Stored results; shows its tables when it is the last line of a notebook cell.

    Attributes:
        content: what `results.json` holds, in the form of this release.

    Example:
        >>> from robustbench_zosam.results import load
        >>> results = load("zosam-robust")  # doctest: +SKIP
        >>> results.frame().query("metric == 'accuracy'")  # doctest: +SKIP
    """

    content: Mapping[str, Any]

    def frame(self) -> pd.DataFrame:
        """Returns one row per cell, suite, corruption, severity and metric."""
        return frames.tidy(self.content)

    def methods(self) -> pd.DataFrame:
        """Returns one row per method and metric, over seeds."""
        return frames.methods_frame(self.content)

    def comparisons(self) -> pd.DataFrame:
        """Returns one row per comparison and corruption."""
        return frames.comparisons_frame(self.content)

    def claims(self) -> pd.DataFrame:
        """Returns one row per claim and setting."""
        return frames.claims_frame(self.content)

    def __repr__(self) -> str:
        names = ", ".join(method["id"] for method in self.content["methods"])
        return f"Results({self.content['title']!r}: {names})"

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>{escape(self.content['title'])}</strong></p>"]
        return "".join(parts + [_html(table) for table in tables(self.content)])


def load(run: Path | str) -> Results:
    """Returns a finished run, of this release or an older one.

    Args:
        run: its output folder, or its `results.json`.
    """
    return Results(read_results(run))


def _html(table: Table) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    return (
        f"<table><caption>{escape(table.caption)}</caption>"
        f"<thead>{row(table.head, 'th')}</thead><tbody>{body}</tbody></table>"
    )
