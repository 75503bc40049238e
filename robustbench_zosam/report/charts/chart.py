"""A chart as an SVG element: text as text, colours from the page, marks tied to their methods."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis
from robustbench_zosam.report.run import MethodView

_TICK, _LABEL = 10, 11  # font sizes in CSS pixels


class Chart:
    """A plot area between two axes, to which marks are added.

    Args:
        width: CSS pixels.
        height: CSS pixels.
        x: horizontal axis.
        y: vertical axis.
        readable: whether the page may read the values of its lines off at the pointer.
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
        """Returns the horizontal place of a value in CSS pixels.

        Args:
            value: on the horizontal axis.
        """
        return self._left + self._x.share(value) * (self._right - self._left)

    def y(self, value: float) -> float:
        """Returns the vertical place of a value in CSS pixels.

        Args:
            value: on the vertical axis.
        """
        return self._bottom - self._y.share(value) * (self._bottom - self._top)

    def group(
        self, method: MethodView | None, *marks: Markup, corruption: int | None = None
    ) -> None:
        """Adds marks in the colour of their method.

        Args:
            method: to which they belong.
            *marks: elements, drawn in this order.
            corruption: its number in the run, where they belong to one.
        """
        start = Markup("<g")
        if method is not None:
            start += Markup(' data-m="{}" style="color:var(--{})"').format(
                method.index, method.shade.name
            )
        if corruption is not None:
            start += Markup(' data-c="{}"').format(corruption)
        self._parts.append(start + Markup(">") + Markup("").join(marks) + Markup("</g>"))

    def line(self, xs: Iterable[float], ys: Iterable[float], method: MethodView) -> Markup:
        """Returns a line through points, in the dash of its method.

        Args:
            xs: finite.
            ys: finite, as many.
            method: whose.
        """
        lengths = " ".join(f"{1.6 * length:g}" for length in method.dash[1])
        dash = Markup(' stroke-dasharray="{}"').format(lengths) if lengths else Markup("")
        return Markup('<polyline class="l" points="{}"{}/>').format(self._points(xs, ys), dash)

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Markup:
        """Returns the area between two lines.

        Args:
            xs: finite.
            low: lower ends, as many.
            high: upper ends, as many.
        """
        points = self._points([*xs, *reversed(xs)], [*low, *reversed(high)])
        return Markup('<polygon class="b" points="{}"/>').format(points)

    def marker(
        self, x: float, y: float, method: MethodView, *, size: float = 1.0, kind: str = ""
    ) -> Markup:
        """Returns the marker of a method.

        Args:
            x: on the horizontal axis.
            y: on the vertical axis.
            method: whose.
            size: relative to that of the legend.
            kind: class of another look: "open", "faint" or "framed".
        """
        place = f"translate({_short(self.x(x))} {_short(self.y(y))})"
        scale = "" if size == 1 else f" scale({size:g})"
        look = Markup(' class="{}"').format(kind) if kind else Markup("")
        return Markup('<use href="#{}" transform="{}{}"{}/>').format(
            marker_id(method.marker), place, scale, look
        )

    def segment(self, x1: float, x2: float, y: float) -> Markup:
        """Returns a horizontal line between two values.

        Args:
            x1: one end.
            x2: other end.
            y: on the vertical axis.
        """
        h = _short(self.y(y))
        return Markup('<path class="s" d="M{} {}H{}"/>').format(
            _short(self.x(x1)), h, _short(self.x(x2))
        )

    def tick(self, x: float, y: float) -> Markup:
        """Returns a small upright stroke.

        Args:
            x: on the horizontal axis.
            y: on the vertical axis.
        """
        return Markup('<path class="k" d="M{} {}v6"/>').format(
            _short(self.x(x)), _short(self.y(y) - 3)
        )

    def arrow(self, y: float, *, right: bool) -> Markup:
        """Returns an arrowhead at the edge: what it belongs to goes on beyond.

        Args:
            y: on the vertical axis.
            right: at the right edge, else at the left one.
        """
        edge, way = (self._right, -5) if right else (self._left, 5)
        return Markup('<path class="p" d="M{} {}l{} -3v6z"/>').format(
            _short(edge), _short(self.y(y)), way
        )

    def upright(self, x: float) -> None:
        """Adds an upright line across the plot, such as that of no difference.

        Args:
            x: on the horizontal axis.
        """
        self._parts.append(
            Markup('<path class="z" d="M{} {}V{}"/>').format(
                _short(self.x(x)), _short(self._top), _short(self._bottom)
            )
        )

    def across(self, y: float) -> None:
        """Adds a horizontal line that parts rows.

        Args:
            y: on the vertical axis.
        """
        self._parts.append(
            Markup('<path class="r" d="M{} {}H{}"/>').format(
                _short(self._left), _short(self.y(y)), _short(self._right)
            )
        )

    def svg(self, alt: str) -> Markup:
        """Returns the element.

        Args:
            alt: what the chart shows, for those who cannot see it.
        """
        box = Markup("")
        if self._readable:
            edges = (self._left, self._right, self._bottom, self._top)
            box = Markup(' data-box="{}" data-x="{}" data-y="{}"').format(
                " ".join(map(_short, edges)), _ends(self._x), _ends(self._y)
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
        return " ".join(f"{_short(self.x(x))},{_short(self.y(y))}" for x, y in pairs)

    def _frame(self) -> Markup:
        grid, names = [], []
        left, right, top, bottom = map(_short, (self._left, self._right, self._top, self._bottom))
        for value, name in self._x.ticks:
            x = _short(self.x(value))
            grid.append(f"M{x} {top}V{bottom}" if self._x.lines else "")
            names.append(_text(self.x(value), self._bottom + 13, name, "t m"))
        for value, name in self._y.ticks:
            y = _short(self.y(value))
            grid.append(f"M{left} {y}H{right}" if self._y.lines else "")
            names.append(_text(self._left - 5, self.y(value) + 3.5, name, "t e"))
        middle = (self._left + self._right) / 2
        names.append(_text(middle, self._height - 5, self._x.label, "a m"))
        if self._y.label:
            centre = (self._top + self._bottom) / 2
            names.append(
                Markup(
                    '<text class="a m" transform="translate(10 {}) rotate(-90)">{}</text>'
                ).format(_short(centre), text.visible(self._y.label))
            )
        axis = f"M{left} {bottom}H{right}" + (f"M{left} {top}V{bottom}" if self._y.lines else "")
        return Markup('<path class="g" d="{}"/><path class="x" d="{}"/>').format(
            "".join(grid), axis
        ) + Markup("").join(names)


def marker_id(marker: str) -> str:
    """Returns the id in the page of a marker's drawing.

    Args:
        marker: matplotlib's name.
    """
    return f"mark-{ord(marker):x}"


def text_width(words: str, size: float) -> float:
    """Returns about how wide a text is in a wide sans-serif font.

    Args:
        words: one line.
        size: of the font, CSS pixels.
    """
    return size * sum(map(_character, words))


def _character(c: str) -> float:
    if unicodedata.east_asian_width(c) in "WF":
        return 1.0
    if c in "mwMW%@…":
        return 0.95
    return 0.75 if c.isupper() else 0.6


def _text(x: float, y: float, words: str, kind: str) -> Markup:
    if not words:
        return Markup("")
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
        kind, _short(x), _short(y), text.visible(words)
    )


def _ends(axis: Axis) -> str:
    return f"{axis.low:.6g} {axis.high:.6g}" + (" log" if axis.log else "")


def _short(value: float) -> str:
    """Returns a coordinate with as few digits as are seen."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
