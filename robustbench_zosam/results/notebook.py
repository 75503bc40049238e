"""A finished run in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from robustbench_zosam.results import frames
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.results.tables import PaperTable, tables
from robustbench_zosam.schema import Results


@dataclass(frozen=True)
class StoredResults:
    """Stored results; shows its tables when it is the last line of a notebook cell.

    Attributes:
        content: what `results.json` holds, in the form of this release.

    Example:
        >>> from robustbench_zosam.results import load
        >>> results = load("zosam-robust")  # doctest: +SKIP
        >>> results.frame().query("metric == 'accuracy'")  # doctest: +SKIP
    """

    content: Results

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
        return f"StoredResults({self.content['title']!r}: {names})"

    def _repr_html_(self) -> str:
        title = f"<p><strong>{escape(self.content['title'])}</strong></p>"
        return title + "".join(_html(table) for table in tables(self.content))


def load(run: Path | str) -> StoredResults:
    """Returns a finished run, of this release or an older one.

    Args:
        run: its output folder, or its `results.json`.
    """
    return StoredResults(read_results(run))


def _html(table: PaperTable) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    return (
        f"<table><caption>{escape(table.caption)}</caption>"
        f"<thead>{row(table.head, 'th')}</thead><tbody>{body}</tbody></table>"
    )
