"""Small parts of a chart: texts, coordinates, names."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator

from markupsafe import Markup

from robustbench_zosam.report import text

_LINE = 12  # CSS pixels from line to line


def marker_id(marker: str) -> str:
    """Returns the id in the page of a marker's drawing."""
    return f"mark-{ord(marker):x}"


def dash_lengths(dash: Iterable[float]) -> str:
    """Returns strokes and gaps, given in line widths, as an SVG attribute has them."""
    return " ".join(f"{1.6 * length:g}" for length in dash)


def text_width(words: str, size: float) -> float:
    """Returns about how wide a text is in a wide sans-serif font of a size, CSS pixels."""
    return size * max(sum(map(_character, line)) for line in words.split("\n"))


def _character(c: str) -> float:
    if unicodedata.east_asian_width(c) in "WF":
        return 1.0
    if c in "mwMW%@…":
        return 0.95
    return 0.75 if c.isupper() else 0.6


def label(x: float, y: float, words: str, kind: str) -> Markup:
    """Returns a text with its base line at y; several lines lie around that height."""
    if not words:
        return Markup("")
    lines = words.split("\n")
    start = y - _LINE * (len(lines) - 1) / 2
    return Markup("").join(
        Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
            kind, short(x), short(start + _LINE * i), text.visible(line)
        )
        for i, line in enumerate(lines)
    )


def short(value: float) -> str:
    """Returns a coordinate in CSS pixels with as few digits as are seen."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def pieces(*columns: Iterable[float]) -> Iterator[tuple[tuple[float, ...], ...]]:
    """Yields the columns of each stretch of points whose values are all finite."""
    rows = zip(*columns, strict=True)
    for known, found in itertools.groupby(rows, lambda row: all(map(math.isfinite, row))):
        if known:
            yield tuple(zip(*found, strict=True))
