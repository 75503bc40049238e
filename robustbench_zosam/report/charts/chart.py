"""A chart as an SVG element: text as text, colours from the page, marks tied to their methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis
from robustbench_zosam.report.charts.parts import (
    dash_lengths,
    label,
    marker_id,
    pieces,
    short,
    text_width,
)
from robustbench_zosam.report.style import Series

_TICK, _LABEL = 10, 11  # font sizes in CSS pixels


class Chart:
    """A plot area between two axes, to which marks are added.

    Args:
        width: CSS pixels.
        height: CSS pixels.
        readable: whether the page may read values of its lines and markers off at the pointer.
    """

    def __init__(
        self, width: float, height: float, x: Axis, y: Axis, *, readable: bool = False
    ) -> None:
        self._width, self._height = width, height
        self._x, self._y = x, y
        self._readable = readable
        names = max((text_width(name, _TICK) for _, name in y.ticks), default=0.0)
        self._left = names + 6 + (16 if y.label else 0)
        last = max((text_width(name, _TICK) for _, name in x.ticks[-1:]), default=0.0)
        self._right = width - max(last / 2 * (x.share(x.ticks[-1][0]) > 0.9 if x.ticks else 0), 6)
        self._top, self._bottom = 7.0, height - (34 if x.label else 18)
        self._parts: list[Markup] = []

    def x(self, value: float) -> float:
        """Returns the horizontal place of a value in CSS pixels."""
        return self._left + self._x.share(value) * (self._right - self._left)

    def y(self, value: float) -> float:
        """Returns the vertical place of a value in CSS pixels."""
        return self._bottom - self._y.share(value) * (self._bottom - self._top)

    def group(
        self,
        method: Series | None,
        *marks: Markup,
        other: Series | None = None,
        corruption: int | None = None,
        shift: float = 0.0,
    ) -> None:
        """Adds marks in the colour of their method.

        Args:
            method: to which they belong; None for the colour of text.
            *marks: elements, drawn in this order.
            other: method that they compare it with; they light up with it, too.
            corruption: its number in the run, where they belong to one.
            shift: to the right, in CSS pixels, where marks would hide each other; the values that
                are read off stay.
        """
        start = Markup("<g")
        if method is not None:
            start += Markup(' data-m="{}" style="color:var(--{})"').format(
                method.index, method.shade.name
            )
        if other is not None:
            start += Markup(' data-other="{}"').format(other.index)
        if corruption is not None:
            start += Markup(' data-c="{}"').format(corruption)
        if shift:
            start += Markup(' transform="translate({} 0)"').format(short(shift))
        self._parts.append(start + Markup(">") + Markup("").join(marks) + Markup("</g>"))

    def line(
        self,
        xs: Iterable[float],
        ys: Iterable[float],
        method: Series | None = None,
        *,
        dash: Sequence[float] | None = None,
        name: str = "",
    ) -> Markup:
        """Returns a line through points, broken where they are not finite.

        Args:
            xs: horizontal values.
            ys: vertical values, as many.
            method: in whose dash; None for a solid line.
            dash: lengths of strokes and gaps in line widths, in place of the method's.
            name: of the line, where its method has several or it has none; is read out.
        """
        if dash is None:
            dash = method.dash if method is not None else ()
        looks = Markup(' stroke-dasharray="{}"').format(dash_lengths(dash)) if dash else Markup("")
        if name:
            looks += Markup(' data-n="{}"').format(text.visible(name))
        return Markup("").join(
            Markup('<polyline class="l" points="{}"{}/>').format(self._points(*piece), looks)
            for piece in pieces(xs, ys)
        )

    def band(self, xs: Iterable[float], low: Iterable[float], high: Iterable[float]) -> Markup:
        """Returns the area between two lines, broken where they are not finite."""
        return Markup("").join(
            Markup('<polygon class="b" points="{}"/>').format(
                self._points([*x, *reversed(x)], [*bottom, *reversed(top)])
            )
            for x, bottom, top in pieces(xs, low, high)
        )

    def marker(
        self, x: float, y: float, method: Series, *, size: float = 1.0, kind: str = ""
    ) -> Markup:
        """Returns the marker of a method.

        Args:
            size: relative to that of the legend.
            kind: class of another look: "open", "faint" or "framed".
        """
        place = f"translate({self._h(x)} {self._v(y)})"
        scale = "" if size == 1 else f" scale({size:g})"
        look = Markup(' class="{}"').format(kind) if kind else Markup("")
        return Markup('<use href="#{}" transform="{}{}"{}/>').format(
            marker_id(method.marker), place, scale, look
        )

    def segment(self, x1: float, x2: float, y: float) -> Markup:
        """Returns a horizontal line between two values."""
        return _path("s", f"M{self._h(x1)} {self._v(y)}H{self._h(x2)}")

    def stem(self, x: float, y1: float, y2: float) -> Markup:
        """Returns an upright line between two values, such as an error bar."""
        return _path("s", f"M{self._h(x)} {self._v(y1)}V{self._v(y2)}")

    def tick(self, x: float, y: float, *, firm: bool = False) -> Markup:
        """Returns a small upright stroke.

        Args:
            firm: taller than markers, in the colour of text, such as that of a prediction.
        """
        kind, height = ("k firm", 18) if firm else ("k", 6)
        return _path(kind, f"M{self._h(x)} {short(self.y(y) - height / 2)}v{height}")

    def arrow(self, y: float, *, right: bool) -> Markup:
        """Returns an arrowhead at the right or left edge: what it belongs to goes on beyond."""
        edge, way = (self._right, -5) if right else (self._left, 5)
        return _path("p", f"M{short(edge)} {self._v(y)}l{way} -3v6z")

    def upright(self, x: float) -> None:
        """Adds an upright line across the plot, such as that of no difference."""
        self._parts.append(_path("z", f"M{self._h(x)} {short(self._top)}V{short(self._bottom)}"))

    def level(self, y: float) -> None:
        """Adds a dashed horizontal line across the plot, such as that of a value to reach."""
        self._parts.append(
            Markup('<path class="z" stroke-dasharray="5 3" d="{}"/>').format(self._whole_width(y))
        )

    def across(self, y: float) -> None:
        """Adds a horizontal line that parts rows."""
        self._parts.append(_path("r", self._whole_width(y)))

    def _whole_width(self, y: float) -> str:
        return f"M{short(self._left)} {self._v(y)}H{short(self._right)}"

    def _h(self, value: float) -> str:
        return short(self.x(value))

    def _v(self, value: float) -> str:
        return short(self.y(value))

    def svg(self, alt: str) -> Markup:
        """Returns the element.

        Args:
            alt: what the chart shows, for those who cannot see it.
        """
        box = Markup("")
        if self._readable:
            edges = (self._left, self._right, self._bottom, self._top)
            box = Markup(' data-box="{}" data-x="{}" data-y="{}"').format(
                " ".join(map(short, edges)), self._x.ends(), self._y.ends()
            )
        return (
            Markup(
                '<svg class="chart" viewBox="0 0 {0:g} {1:g}" role="img" aria-label="{2}" '
                'style="max-width:{3:g}px"{4}>'
            ).format(self._width, self._height, text.visible(alt), 1.25 * self._width, box)
            + self._frame()
            + Markup("").join(self._parts)
            + Markup("</svg>")
        )

    def _points(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        pairs = zip(xs, ys, strict=True)
        return " ".join(f"{self._h(x)},{self._v(y)}" for x, y in pairs)

    def _frame(self) -> Markup:
        grid, names = [], []
        left, right, top, bottom = map(short, (self._left, self._right, self._top, self._bottom))
        for value, _ in self._x.ticks:
            x = short(self.x(value))
            grid.append(f"M{x} {top}V{bottom}" if self._x.lines else "")
        for value, name in self._x.fitting(self._right - self._left, _TICK):
            names.append(label(self.x(value), self._bottom + 13, name, "t m"))
        for value, name in self._y.ticks:
            y = short(self.y(value))
            grid.append(f"M{left} {y}H{right}" if self._y.lines else "")
            names.append(label(self._left - 5, self.y(value) + 3.5, name, "t e"))
        middle = (self._left + self._right) / 2
        names.append(label(middle, self._height - 5, self._x.label, "a m"))
        if self._y.label:
            centre = (self._top + self._bottom) / 2
            names.append(
                Markup(
                    '<text class="a m" transform="translate(10 {}) rotate(-90)">{}</text>'
                ).format(short(centre), text.visible(self._y.label))
            )
        axis = f"M{left} {bottom}H{right}" + (f"M{left} {top}V{bottom}" if self._y.lines else "")
        return _path("g", "".join(grid)) + _path("x", axis) + Markup("").join(names)


def _path(kind: str, drawn: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(kind, drawn)
