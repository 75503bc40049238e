"""Axes, colours and contours of the charts, against closed forms."""

import itertools
import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.report.charts.axis import between, fitting, logarithmic, named
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.charts.colours import colour, ink, scale
from robustbench_zosam.report.charts.contour import contour
from robustbench_zosam.report.charts.lines import Curve, curve_table
from robustbench_zosam.report.style import METHODS, Series


@given(st.floats(-1e4, 1e4), st.floats(1e-2, 1e6))
def test_ticks_are_even_lie_inside_and_say_their_value(low, span):
    axis = between("", low, low + span)
    values = [value for value, _ in axis.ticks]
    assert 2 <= len(values) <= 7
    assert all(-1e-6 <= axis.share(value) <= 1 + 1e-6 for value in values)
    assert np.allclose(np.diff(values), values[1] - values[0], rtol=1e-6)
    shown = [float(name.replace("−", "-")) for _, name in axis.ticks]
    assert np.allclose(shown, values, atol=0.01 * (values[1] - values[0]))


@pytest.mark.parametrize(
    ("low", "high"), [(0.02, 0.3), (1e-3, 10), (3, 8), (0.251, 0.258), (1e-8, 1e9)]
)
def test_equal_ratios_are_equally_long(low, high):
    axis = logarithmic("", [low, high])
    assert axis.share(math.sqrt(axis.low * axis.high)) == pytest.approx(0.5)
    assert 2 <= len(axis.ticks) <= 9
    assert all(float(name.replace("−", "-")) == pytest.approx(v) for v, name in axis.ticks)


def test_an_axis_is_logarithmic_only_where_that_shows_more():
    assert fitting("", [1, 100]).log
    assert not fitting("", [1, 9]).log
    assert not fitting("", [0, 100]).log


def test_long_names_leave_room_for_the_plot():
    (_, name), (_, short) = named(["n" * 300, "fog"]).ticks
    assert len(name) < 30
    assert short == "fog"


def luminance(fill):
    channels = [int(fill[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_grow_lighter_and_text_on_them_can_be_read():
    lights = [luminance(fill) for fill in scale()]
    assert all(a < b for a, b in itertools.pairwise(lights))
    assert colour(-1) == scale()[0]
    assert colour(2) == scale()[-1]
    for fill, light in zip(scale(), lights, strict=True):
        other = luminance(ink(fill))
        assert (max(light, other) + 0.05) / (min(light, other) + 0.05) >= 4.5


def test_the_contour_of_a_slope_is_a_straight_line():
    grid = np.add.outer(2.0 * np.arange(5), np.arange(6))
    pieces = list(contour(grid, 5.3))
    assert pieces
    assert all(x + 2 * y == pytest.approx(5.3) for piece in pieces for x, y in piece)


def test_the_contour_of_a_bowl_is_a_closed_ring():
    x = np.linspace(-2, 2, 81)
    pieces = list(contour(np.add.outer(x**2, x**2), 1.1**2 + 1e-4))
    ends = [tuple(np.round(end, 9)) for piece in pieces for end in piece]
    assert all(ends.count(end) == 2 for end in ends)
    radii = [math.hypot(a / 20 - 2, b / 20 - 2) for a, b in ends]
    assert radii == pytest.approx([1.1] * len(radii), abs=1e-3)
    length = sum(math.dist(a, b) / 20 for a, b in pieces)
    assert length == pytest.approx(2.2 * math.pi, rel=1e-3)


def test_contours_stop_where_nothing_is_known():
    grid = np.tile(np.arange(4.0), (4, 1))
    grid[1, 1] = np.nan
    assert all(y >= 2 for piece in contour(grid, 1.5) for _, y in piece)


def test_a_chart_places_its_marks_and_can_be_read_back():
    method = Series("m", "M", METHODS[0], "o", (), 3)
    chart = Chart(200, 100, between("x", 0, 10), between("y", 0, 1), readable=True)
    chart.group(method, chart.line([0, 5, 10], [0.0, 0.25, 1.0], method), corruption=2)
    root = ET.fromstring(chart.svg("alt </svg>"))
    assert root.attrib["aria-label"] == "alt </svg>"
    left, right, bottom, top = map(float, root.attrib["data-box"].split())
    group = root.find("g")
    assert (group.attrib["data-m"], group.attrib["data-c"]) == ("3", "2")
    points = [
        tuple(map(float, p.split(","))) for p in group.find("polyline").attrib["points"].split()
    ]
    assert points[0] == (left, bottom)
    assert points[2] == (right, top)
    middle = ((left + right) / 2, bottom + 0.25 * (top - bottom))
    assert points[1] == pytest.approx(middle, abs=0.01)


def chart_and_method(**options):
    method = Series("m", "M", METHODS[0], "o", (6, 2), 3)
    return Chart(200, 100, between("", 0, 10), between("", 0, 1), **options), method


def test_lines_and_bands_break_where_values_are_not_finite():
    chart, method = chart_and_method()
    xs, ys = range(6), [0.0, 0.5, math.nan, 0.25, 1.0, math.inf]
    chart.group(method, chart.line(xs, ys, method), chart.band(xs, [0.0] * 6, ys))
    group = ET.fromstring(chart.svg("alt")).find("g")
    assert [e.attrib["points"].count(",") for e in group.findall("polyline")] == [2, 2]
    assert [e.attrib["points"].count(",") for e in group.findall("polygon")] == [4, 4]
    start = group.findall("polyline")[1].attrib["points"].split()[0]
    assert start == f"{chart.x(3):.2f},{chart.y(0.25):.2f}".replace(".00", "")


def test_a_line_has_the_dash_of_its_method_or_its_own():
    chart, method = chart_and_method()
    pairs = ([0, 1], [0, 1])
    lines = (
        chart.line(*pairs, method),
        chart.line(*pairs, method, dash=(1, 2), name='expected "loss"'),
        chart.line(*pairs, method, dash=()),
        chart.line(*pairs),
    )
    found = [ET.fromstring(line).attrib for line in lines]
    dashes = [attributes.get("stroke-dasharray") for attributes in found]
    assert dashes == ["9.6 3.2", "1.6 3.2", None, None]
    names = [attributes.get("data-n") for attributes in found]
    assert names == [None, 'expected "loss"', None, None]


def test_a_shift_leaves_the_places_of_marks_as_they_are():
    chart, method = chart_and_method()
    mark = chart.stem(5, 0.25, 0.75)
    other = Series("o", "O", METHODS[1], "s", (), 1)
    chart.group(method, mark, shift=-2.5, other=other)
    group = ET.fromstring(chart.svg("alt")).find("g")
    assert group.attrib["transform"] == "translate(-2.5 0)"
    assert group.attrib["data-other"] == "1"
    place, low, high = (float(v) for v in re.findall(r"[\d.]+", group.find("path").attrib["d"]))
    assert (place, low, high) == pytest.approx((chart.x(5), chart.y(0.25), chart.y(0.75)), abs=0.01)


def test_a_level_crosses_the_whole_plot():
    chart, _ = chart_and_method(readable=True)
    chart.level(0.5)
    root = ET.fromstring(chart.svg("alt"))
    left, right, bottom, top = map(float, root.attrib["data-box"].split())
    start, height, end = re.findall(r"[\d.]+", root.find("path[@class='z']").attrib["d"])
    assert (float(start), float(end)) == (left, right)
    assert float(height) == pytest.approx((bottom + top) / 2, abs=0.01)


def test_row_names_of_two_lines_lie_around_their_row():
    chart = Chart(200, 100, between("", 0, 10), named(["one:\nn" + "n" * 40, "other"]))
    names = [e for e in ET.fromstring(chart.svg("alt")).iter("text") if "e" in e.attrib["class"]]
    assert [e.text[:2] for e in names] == ["on", "nn", "ot"]
    upper, lower, single = (float(e.attrib["y"]) for e in names)
    assert (upper + lower) / 2 - chart.y(0) == pytest.approx(single - chart.y(1), abs=0.02)
    assert len(names[1].text) < 30


@given(st.floats(30, 900))
def test_names_of_ticks_do_not_touch_and_keep_the_origin(length):
    axis = logarithmic("", [2e-3, 4e4])
    found = axis.fitting(length, 10)
    assert set(found) <= set(axis.ticks)
    ends = [
        (length * axis.share(v) - 3 * len(name), length * axis.share(v) + 3 * len(name))
        for v, name in found
    ]
    assert all(right < left for (_, right), (left, _) in itertools.pairwise(ends))
    assert len(found) == 1 or 1.0 in [value for value, _ in found]
    assert axis.fitting(900, 10) == axis.ticks


def test_the_numbers_of_curves_stand_at_their_places():
    one, other = (Series(n, n, METHODS[0], "o", (), i) for i, n in enumerate("ab"))
    curves = [
        Curve(one, np.array([-0.5, 0.0]), np.array([[1.0, 2.0], [3.0, 2.0]])),
        Curve(other, np.array([0.0, 0.5]), np.array([[0.25, 4.0]])),
    ]
    table = curve_table("caption", "x", curves, 2)
    assert table.head == ("x", "a", "b")
    assert table.rows == (("−0.5", "2.00", "–"), ("0", "2.00", "0.250"), ("0.5", "–", "4.00"))
    assert table.first == 1
    assert curve_table("caption", "x", curves[:1], 2).first is None
