"""The marks of the figures, read back through the ticks of their axes, against the numbers."""

import copy
import itertools
import math
import re
from xml.etree import ElementTree as ET

import pytest

from robustbench_zosam.nzk import figures
from robustbench_zosam.nzk.views import VIEWS

NEAR = 2e-3  # coordinates have two decimals


class Drawn:
    """A chart whose coordinates become values again; its axes are known from their ticks alone."""

    def __init__(self, svg, *, log_x=True, log_y=True):
        self.root = ET.fromstring(svg)
        self._x = self._scale("t m", "x", 0.0, log_x)
        self._y = self._scale("t e", "y", 3.5, log_y)

    def _scale(self, kind, key, offset, log):
        found = []
        for e in self.root.iter("text"):
            if e.attrib["class"] == kind and re.fullmatch(r"[\d.e−+-]+", e.text):
                value = float(e.text.replace("−", "-"))
                found.append((float(e.attrib[key]) - offset, math.log(value) if log else value))
        if len(found) < 2:
            return None  # rows with names
        (a, low), (b, high) = found[0], found[-1]
        back = math.exp if log else float
        return lambda place: back(low + (place - a) / (b - a) * (high - low))

    def x(self, place):
        return self._x(float(place))

    def y(self, place):
        return self._y(float(place))

    def group(self, update):
        return self.root.find(f'g[@data-m="{list(VIEWS).index(update)}"]')

    def points(self, element):
        pairs = (pair.split(",") for pair in element.attrib["points"].split())
        return [(self.x(x), self.y(y)) for x, y in pairs]

    def lines(self, group, name=None):
        found = [e for e in group.findall("polyline") if e.attrib.get("data-n") == name]
        return [self.points(e) for e in found]

    def markers(self, group):
        marks = [re.findall(r"[\d.]+", e.attrib["transform"])[:2] for e in group.findall("use")]
        return [(self.x(x), self.y(y)) for x, y in marks]


def drawn(block, *, log_y=True):
    return [Drawn(panel.svg, log_y=log_y) for panel in block.panels]


def near(pairs):
    return [pytest.approx(pair, rel=NEAR) for pair in pairs]


def steps(curve):
    return [step + 1 for step in curve["steps"]]


def pieces(xs, ys, top=math.inf):
    """Returns the stretches that have values which the axis can show."""
    pairs = zip(xs, ys, strict=True)
    runs = itertools.groupby(pairs, lambda pair: pair[1] is not None and 0 < pair[1] < top)
    return [near(run) for known, run in runs if known]


@pytest.fixture
def changed(results):
    """A copy whose curves have gaps and whose kernels are uncertain."""
    found = copy.deepcopy(results)
    for problem in found["problems"]:
        curve = problem["tuned"]["shared"]
        for key in ("mean", "low", "high"):
            curve[key][3] = None
            curve[key][-2:] = [None, None]
        problem["tuning"]["plain"]["losses"][-3] = None
        problem["tuning"]["plain"]["theory"][-1] = 1e30
        problem["kernel"]["independent"]["se"][0] = 5.0
        problem["kernel"]["independent"]["measured"][1] = -2.0  # few draws: below the axis' zero
        problem["speed_ups"][2].update(value=0.25, low=0.125, high=0.5, theory=0.3)
        problem["speed_ups"][3].update(value=None, low=None, high=None, theory=None)
    return found


def test_speed_ups_lie_where_their_numbers_say(changed):
    block = figures.speed_ups(changed)
    for problem, chart in zip(changed["problems"], drawn(block), strict=True):
        groups = chart.root.findall("g")
        assert len(groups) == len(problem["speed_ups"]) == 4
        heights = []
        for group, row in zip(groups, problem["speed_ups"], strict=True):
            numbers = [list(VIEWS).index(row[key]) for key in ("slow", "fast")]
            assert [group.attrib["data-m"], group.attrib["data-other"]] == list(map(str, numbers))
            found = {"tick": [], "line": []}
            for path in group.findall("path"):
                kind = "line" if path.attrib["class"] == "s" else "tick"
                start, _, end = re.match(r"M(\S+) (\S+?)(?:H(\S+)|v18)$", path.attrib["d"]).groups()
                found[kind] = [chart.x(place) for place in (start, end) if place is not None]
            wanted = [row[key] for key in ("low", "high") if row[key] is not None]
            assert found["line"] == pytest.approx(wanted, rel=NEAR)
            assert found["tick"] == pytest.approx(
                [] if row["theory"] is None else [row["theory"]], rel=NEAR
            )
            marks = [re.findall(r"[\d.]+", e.attrib["transform"]) for e in group.findall("use")]
            assert [chart.x(x) for x, _ in marks] == pytest.approx(
                [] if row["value"] is None else [row["value"]], rel=NEAR
            )
            heights += [float(y) for _, y in marks]
        assert heights == sorted(heights)
        line = chart.root.find("path[@class='z']").attrib["d"]
        assert chart.x(re.match(r"M(\S+) ", line)[1]) == pytest.approx(1, rel=NEAR)


def test_equal_rate_shows_measured_and_both_predictions(results):
    block = figures.equal_rate(results)
    for problem, chart in zip(results["problems"], drawn(block), strict=True):
        for update in ("shared", "independent"):
            curve, group = problem["equal"][update], chart.group(update)
            for name, key in (
                (None, "mean"),
                ("expected outputs", "expected_outputs"),
                ("expected loss", "expected_loss"),
            ):
                assert chart.lines(group, name) == pieces(steps(curve), curve[key])
            dashes = [e.attrib.get("stroke-dasharray") for e in group.findall("polyline")]
            assert len(set(dashes)) == 3
            assert dashes[0] is None
            floor = min(curve["mean"]) / 10
            low = [max(value, floor) for value in curve["low"]]
            outline = [*zip(steps(curve), low, strict=True)]
            outline += reversed([*zip(steps(curve), curve["high"], strict=True)])
            (band,) = group.findall("polygon")
            assert chart.points(band) == near(outline)
            every = list(zip(steps(curve), curve["mean"], strict=True))[::12]
            assert chart.markers(group) == near(every)


def test_tuned_curves_break_where_no_mean_is_and_the_target_is_a_line(changed):
    block = figures.tuned_rate(changed)
    assert [view.id for view in block.legend] == list(VIEWS)
    for problem, chart in zip(changed["problems"], drawn(block), strict=True):
        for update in VIEWS:
            curve = problem["tuned"][update]
            assert chart.lines(chart.group(update)) == pieces(steps(curve), curve["mean"])
        assert len(chart.lines(chart.group("shared"))) == 2
        assert len(chart.group("shared").findall("polygon")) == 2
        (level,) = chart.root.findall("path[@class='z']")
        assert "stroke-dasharray" in level.attrib
        height = re.match(r"M\S+ ([\d.]+)H", level.attrib["d"])[1]
        assert chart.y(height) == pytest.approx(problem["target"], rel=NEAR)


def test_tuning_leaves_out_what_diverged(changed):
    for problem, chart in zip(changed["problems"], drawn(figures.tuning(changed)), strict=True):
        top = 3 * max(problem["tuned"][update]["mean"][0] for update in VIEWS)
        for update in VIEWS:
            row, group = problem["tuning"][update], chart.group(update)
            for name, key in ((None, "losses"), ("theory", "theory")):
                wanted = pieces(problem["relative_rates"], row[key], top)
                assert chart.lines(group, name) == wanted
            assert chart.markers(group) == [p for piece in chart.lines(group) for p in piece]
        assert len(chart.lines(chart.group("plain"))) > 1


def test_kernels_have_error_bars_about_their_means(changed):
    blocks = drawn(figures.kernels(changed), log_y=False)
    for problem, chart in zip(changed["problems"], blocks, strict=True):
        found = problem["kernel"]
        theory = chart.root.find("g/polyline[@data-n='theory']")
        wanted = [*zip(steps(found), found["shared"]["theory"], strict=True)]
        assert chart.points(theory) == near(wanted)
        shifts = []
        floor = 1.05 * min(min(found[update]["measured"]) for update in ("shared", "independent"))
        for update in ("shared", "independent"):
            row, group = found[update], chart.group(update)
            middles = [*zip(steps(found), row["measured"], strict=True)]
            for (x, y), pair in zip(chart.markers(group), middles, strict=True):
                assert (x, y) == (
                    pytest.approx(pair[0], rel=NEAR),
                    pytest.approx(pair[1], abs=0.02 + NEAR * abs(pair[1])),
                )
            for bar, value, se in zip(
                group.findall("path"), row["measured"], row["se"], strict=True
            ):
                ends = re.match(r"M\S+ ([\d.]+)V([\d.]+)$", bar.attrib["d"]).groups()
                low, high = max(value - 1.96 * se, floor), value + 1.96 * se
                assert [chart.y(end) for end in ends] == pytest.approx([low, high], abs=0.02)
            shifts.append(group.attrib["transform"])
        assert shifts == ["translate(-3 0)", "translate(3 0)"]


@pytest.mark.parametrize(
    "draw",
    [figures.speed_ups, figures.equal_rate, figures.tuned_rate, figures.tuning, figures.kernels],
)
def test_nothing_is_drawn_outside_a_chart(draw, changed):
    for panel in draw(changed).panels:
        root = ET.fromstring(panel.svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        places = [p for e in root.iter() for p in e.attrib.get("points", "").split()]
        places += [
            ",".join(re.findall(r"-?[\d.]+", e.attrib["transform"])[:2]) for e in root.iter("use")
        ]
        assert places
        for x, y in (map(float, place.split(",")) for place in places):
            assert 0 <= x <= width
            assert 0 <= y <= height
