"""What `evaluate` and an experiment return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from robustbench_zosam.arrays import write_arrays
from robustbench_zosam.files import require_writable, write_json, write_text
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.stored_images import Gallery, load_gallery
from robustbench_zosam.results.frames import methods_frame, tidy
from robustbench_zosam.results.notebook import StoredResults
from robustbench_zosam.results.reading import read_results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Interval = tuple[float, float]
_COLUMNS = ("label", "metric", "value", "low", "high", "unit", "n", "detail")


@dataclass(frozen=True, repr=False)
class Result(StoredResults):
    """Results of one or more models: as tables, figures and a page.

    Attributes:
        content: what `results.json` holds.
        gallery: images for the page; None where there are none.
        folder: of a run; None where nothing was written.
        failed: cell of a run to the reason why it has no result.
        intervals: of single models over images, by model and metric, where there is one seed.
    """

    gallery: Gallery | None = None
    folder: Path | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[tuple[str, str], Interval] = field(default_factory=dict)

    def summary(self) -> pd.DataFrame:
        """Returns one row per model and measure that has a value, with 95 % limits.

        Limits are over seeds; those of a single trained model are over images.
        """
        frame = methods_frame(self.content)
        frame = frame[frame["value"].notna()].reset_index(drop=True)
        for (method, metric), (low, high) in self.intervals.items():
            rows = (frame["method"] == method) & (frame["metric"] == metric) & frame["low"].isna()
            frame.loc[rows, "low"] = low
            frame.loc[rows, "high"] = high
            frame.loc[rows, "detail"] = "over images, of this model"
        return frame[list(_COLUMNS)].rename(columns={"label": "model"})

    def frame(self) -> pd.DataFrame:
        """Returns one row per model, corruption, severity and metric."""
        return tidy(self.content)

    def report(self, file: str | Path) -> Path:
        """Returns the file of the page that it writes, which loads nothing else.

        Raises:
            InputError: the file cannot be written.
        """
        from robustbench_zosam.report.build import render

        path = Path(file)
        require_writable(path.parent)
        write_text(path, render(Run(self.content, self.gallery)))
        return path

    def plot(self, kind: str = "severity", ax: Axes | None = None) -> Axes:
        """Returns the axes of a figure.

        Args:
            kind: "severity", "corruptions", "differences", "flatness", "training" or "cost".
            ax: to draw into; None makes one with pyplot, which notebooks show.

        Raises:
            InputError: there is no such figure, or nothing to draw in it.
        """
        from robustbench_zosam.report.publication import draw_figure

        return draw_figure(self.content, kind, ax)

    def save(self, folder: str | Path) -> Path:
        """Writes `results.json`, `results.csv`, `gallery.npz` and `report.html` to a folder."""
        place = Path(folder)
        require_writable(place)
        write_json(place / "results.json", self.content)
        write_text(place / "results.csv", self.frame().to_csv(index=False, lineterminator="\n"))
        if self.gallery is not None:
            write_arrays(place / "gallery.npz", **self.gallery.arrays())
        self.report(place / "report.html")
        return place

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}: {self.content['title']}"]
        for row in self.summary().to_dict("records"):
            limits = "" if pd.isna(row["low"]) else f" [{row['low']:.4g}, {row['high']:.4g}]"
            lines.append(f"  {row['model']}: {row['metric']} {row['value']:.4g}{limits}")
        return "\n".join(lines)


def load(run: str | Path) -> Result:
    """Returns a finished run, of this release or an older one.

    Args:
        run: its output folder, or its `results.json`.

    Raises:
        InputError: there are no results, or they are damaged.
    """
    place = Path(run)
    folder = place if place.is_dir() else place.parent
    return Result(read_results(place), load_gallery(folder / "gallery.npz"), folder)
