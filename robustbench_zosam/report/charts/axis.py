"""Axes: limits, ticks, and where a value lies between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.parts import text_width

Ticks = tuple[tuple[float, str], ...]
_LONGEST = 26  # characters of a row's name
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        label: quantity and unit; may be empty.
        log: whether equal ratios are equally long.
        lines: whether its ticks have grid lines.
    """

    label: str
    low: float
    high: float
    ticks: Ticks
    log: bool = False
    lines: bool = True

    def share(self, value: float) -> float:
        """Returns how far along the axis a value lies, 0 at `low` and 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def fitting(self, length: float, size: float) -> Ticks:
        """Returns the ticks whose names fit side by side: each, or every second, or fewer.

        The tick at 0, or at 1 on a logarithmic axis, is among them where there is one.

        Args:
            length: of the axis, CSS pixels.
            size: of the font, CSS pixels.
        """
        origin = float(self.log)
        first = next((i for i, (value, _) in enumerate(self.ticks) if value == origin), 0)
        for every in range(1, len(self.ticks)):
            found = self.ticks[first % every :: every]
            if all(
                length * (self.share(b) - self.share(a))
                > (text_width(one, size) + text_width(other, size) + size) / 2
                for (a, one), (b, other) in itertools.pairwise(found)
            ):
                return found
        return self.ticks[:1]

    def ends(self) -> str:
        """Returns the limits as the page's scripts read them."""
        return f"{self.low:.6g} {self.high:.6g}" + (" log" if self.log else "")


def linear(
    label: str, values: Iterable[float], *, pad: float = 0.04, count: int = 5, least: float = 1e-9
) -> Axis:
    """Returns an axis around values, with ticks at round numbers.

    Args:
        pad: room beyond them, as a fraction of their range.
        least: range at which equal values are shown.
    """
    found = list(values)
    low, high = min(found), max(found)
    room = pad * (high - low) or (least if high == low else 0.0)
    return between(label, low - room, high + room, count)


def between(label: str, low: float, high: float, count: int = 5) -> Axis:
    """Returns an axis with given ends and about so many ticks.

    Example:
        >>> [name for _, name in between("", -1, 1, 4).ticks]
        ['−1.0', '−0.5', '0.0', '0.5', '1.0']
    """
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(s * unit for s in _STEPS if s * unit >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    places = max(0, -math.floor(math.log10(step) + 1e-9) + (round(step / unit, 1) == 2.5))
    ticks = tuple(
        (i * step, f"{i * step:.{places}f}".replace("-", text.MINUS))
        for i in range(first, last + 1)
    )
    return Axis(label, low, high, ticks)


def logarithmic(label: str, values: Iterable[float], *, pad: float = 0.05) -> Axis:
    """Returns a logarithmic axis around positive values.

    Ticks are at powers of ten, and at 2 and 5 times them where the axis is short; where it is too
    short for two of them, at even distances.

    Args:
        pad: room beyond the values, as a fraction of the logarithmic range.
    """
    found = list(values)
    bottom, top = math.log10(min(found)), math.log10(max(found))
    room = pad * max(top - bottom, 0.3)
    low, high = 10 ** (bottom - room), 10 ** (top + room)
    decades = range(math.floor(bottom - room), math.ceil(top + room) + 1)
    factors = (1, 2, 5) if top - bottom < 1.6 else (1,)
    every = max(len(decades) // 6, 1)
    values_ = [f * 10.0**d for d in decades if d % every == 0 for f in factors]
    ticks = tuple((v, f"{v:g}".replace("-", text.MINUS)) for v in values_ if low <= v <= high)
    if len(ticks) < 2:
        ticks = between(label, low, high).ticks
    return Axis(label, low, high, ticks, log=True)


def fitting(label: str, values: Iterable[float], *, pad: float = 0.06) -> Axis:
    """Returns an axis, logarithmic where positive values range over more than a factor of ten."""
    found = list(values)
    if min(found) > 0 and max(found) > 10 * min(found):
        return logarithmic(label, found, pad=pad)
    return linear(label, found, pad=pad, least=1)


def shortened(name: str) -> str:
    """Returns a name that leaves room for the plot beside it."""
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def named(names: Sequence[str]) -> Axis:
    """Returns an axis of rows, the first at the top; line breaks in names start another line."""
    ticks = tuple(
        (float(i), "\n".join(map(shortened, name.split("\n")))) for i, name in enumerate(names)
    )
    return Axis("", len(names) - 0.4, -0.6, ticks, lines=False)
