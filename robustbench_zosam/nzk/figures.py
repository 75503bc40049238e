"""The figures of the comparison, in the look of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from robustbench_zosam.nzk.curves import (
    STEPS,
    above_zero,
    below,
    loss_chart,
    markers,
    measured,
    places,
    positive,
)
from robustbench_zosam.nzk.schema import (
    KERNELS,
    Kernel,
    LossCurve,
    Prediction,
    ProblemResult,
    StudyResults,
)
from robustbench_zosam.nzk.views import VIEWS, ratio
from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import between, logarithmic, named
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.panel import HEIGHT, WIDTH, Block, Panel
from robustbench_zosam.report.run import finite

_ENDS: tuple[Literal["theory", "value", "low", "high"], ...] = ("theory", "value", "low", "high")
_DASHED, _DOTTED = (5, 2), (1, 1.5)
_SHIFT = 3.0  # CSS pixels between the true place and that of markers which would hide each other


def speed_ups(results: StudyResults) -> Block:
    """Draws how many times fewer steps one update needs than another."""
    rows = [
        ("equal rate", "shared", "independent"),
        ("tuned", "shared", "independent"),
        ("tuned", "shared", "plain"),
        ("tuned", "plain", "first-order"),
    ]
    names = [
        f"{how}:\n{VIEWS[fast].label.split()[0]} to {VIEWS[slow].label.split()[0]}"
        for how, fast, slow in rows
    ]

    def draw(problem: ProblemResult) -> tuple[Chart, str]:
        found = problem["speed_ups"]
        ends = [row[key] for row in found for key in _ENDS]
        x = logarithmic("ratio of steps, second to first", [0.5, 2.0, *positive(ends)])
        chart = Chart(WIDTH, HEIGHT, x, named(names))
        chart.upright(1)
        for height, row in enumerate(found):
            slow, marks = VIEWS[row["slow"]], []
            if row["theory"] is not None:
                marks.append(chart.tick(row["theory"], height, firm=True))
            if row["low"] is not None and row["high"] is not None:
                marks.append(chart.segment(row["low"], row["high"], height))
            if row["value"] is not None:
                marks.append(chart.marker(row["value"], height, slow))
            chart.group(slow, *marks, other=VIEWS[row["fast"]])
        words = (
            f"{name}: {ratio(row)}".replace("\n", " ")
            for name, row in zip(names, found, strict=True)
        )
        return chart, "; ".join(words)

    seeds = text.count(len(results["config"]["seeds"]), "seed")
    return _block(
        results, draw, "speed", "What remains of the acceleration",
        "Right of the line, the first update named is faster. If a shared vector gave more than a "
        "larger learning rate, “tuned: shared to plain” would lie there too: plain ZO-SGD uses "
        "one vector as well.",
        f"Markers: geometric means over {seeds}, lines: 95 % intervals (Student’s t on "
        "logarithms), ticks: theory for the expected loss (for the equal rate: ratio of the "
        "expected kernels). Tuned: steps to the lowest loss which all updates reach "
        "at their best rate in tuning. A run that never gets there counts with its last step, so "
        "the ratio is a bound; seeds that start below that loss are left out.",
    )  # fmt: skip


def equal_rate(results: StudyResults) -> Block:
    """Draws predicted and measured loss at the same learning rate."""
    predictions: dict[Prediction, tuple[float, float]] = {
        "expected_outputs": _DASHED,
        "expected_loss": _DOTTED,
    }

    def draw(problem: ProblemResult) -> tuple[Chart, str]:
        curves = {update: problem["equal"][update] for update in KERNELS}
        predicted = (curve[key] for curve in curves.values() for key in predictions)
        chart = loss_chart(curves.values(), (value for row in predicted for value in row))
        for update, curve in curves.items():
            x = places(curve["steps"])
            lines = (
                chart.line(x, above_zero(curve[key]), dash=dash, name=text.plain(key))
                for key, dash in predictions.items()
            )
            chart.group(VIEWS[update], *measured(chart, curve, update), *lines)
        return chart, _ends(curves)

    return _block(
        results, draw, "equal", "Predicted and measured loss, the same learning rate for both",
        "The gap between dashed and dotted is noise. Where a measured curve leaves the dotted one, "
        "the kernel of the first step no longer describes the training.",
        "Solid: measured, mean over seeds, shaded the 95 % interval of the mean given the starts. "
        "Dashed: loss of the expected outputs, f = y + (I − ηK̄/n)ᵗ(f₀ − y), with K̄ the expected "
        "kernel at the start. Dotted: expected loss, with the noise of the directions. The rate is "
        "at most a quarter of the best for independent vectors.",
        KERNELS,
    )  # fmt: skip


def tuned_rate(results: StudyResults) -> Block:
    """Draws the loss of each update at its own learning rate."""

    def draw(problem: ProblemResult) -> tuple[Chart, str]:
        curves = {update: problem["tuned"][update] for update in VIEWS}
        chart = loss_chart(curves.values(), [problem["target"]])
        chart.level(problem["target"])
        for update, curve in curves.items():
            chart.group(VIEWS[update], *measured(chart, curve, update))
        return chart, _ends(curves)

    return _block(
        results, draw, "tuned", "Each at its own tuned learning rate",
        "Shared vector and plain ZO-SGD differ by the factor ‖z‖². In high dimension it is nearly "
        "constant, so a learning rate can absorb it, and their curves should run together.",
        "Mean over fresh seeds, shaded the 95 % interval; the dashed line is the loss to reach. "
        "A zero-order step costs two forward passes, a step of gradient descent one forward and "
        "one backward pass.",
        tuple(VIEWS),
    )  # fmt: skip


def tuning(results: StudyResults) -> Block:
    """Draws the loss at the end against the learning rate."""

    def draw(problem: ProblemResult) -> tuple[Chart, str]:
        top = 3 * max(positive(problem["tuned"][update]["mean"][0] for update in VIEWS))
        found = {
            update: (below(search["losses"], top), below(search["theory"], top))
            for update in VIEWS
            for search in [problem["tuning"][update]]
        }
        xs = problem["relative_rates"]
        heights = positive(value for rows in found.values() for row in rows for value in row)
        x = logarithmic("learning rate × λmax(K̄)/n", xs)
        y = logarithmic(f"loss after {results['config']['steps']} steps", heights)
        chart = Chart(WIDTH, HEIGHT, x, y, readable=True)
        words = []
        for update, (losses, theory) in found.items():
            view = VIEWS[update]
            chart.group(
                view,
                chart.line(xs, theory, dash=_DOTTED, name="theory"),
                chart.line(xs, losses, view),
                *markers(chart, xs, losses, update, 0.5),
            )
            relative = text.number(problem["tuning"][update]["relative"])
            words.append(f"{view.label} best at {relative}")
        return chart, "; ".join(words)

    trials = text.count(results["tuning"]["rates"], "learning rate")
    seeds = results["tuning"]["seeds"]
    budget = f"{trials} × {text.count(seeds, 'seed')} for each update, seeds other than those of "
    budget += "the evaluation. Markers: geometric mean of the measured loss; dotted:"
    if not seeds:
        budget = f"{trials} for each update, chosen in theory, without training. Dotted:"
    return _block(
        results, draw, "tuning", "Tuning, with the same budget for all",
        "On this axis the expected kernels of all updates predict one and the same curve, that of "
        "gradient descent. They differ by their noise: the more of it, the smaller the best rate.",
        f"{budget} "
        "expected loss in theory, for the network with its initial kernel. Losses above three "
        "times the initial one are left out.",
        tuple(VIEWS),
    )  # fmt: skip


def kernels(results: StudyResults) -> Block:
    """Draws the size of the measured kernels through training."""

    def draw(problem: ProblemResult) -> tuple[Chart, str]:
        found = problem["kernel"]
        xs, theory = places(found["steps"]), found["shared"]["theory"]
        rows = {k: (finite(found[k]["measured"]), 1.96 * finite(found[k]["se"])) for k in KERNELS}
        top = max(*theory, *(float((value + error).max()) for value, error in rows.values()))
        floor = min(0.0, *(1.05 * float(value.min()) for value, _ in rows.values()))
        y = between("tr K over E[tr K] at start", floor, 1.05 * top)
        chart = Chart(WIDTH, HEIGHT, logarithmic(STEPS, xs), y, readable=True)
        chart.group(None, chart.line(xs, theory, name="theory"))
        words = []
        for shift, (update, (values, errors)) in zip((-_SHIFT, _SHIFT), rows.items(), strict=True):
            view = VIEWS[update]
            bars = (
                chart.stem(x, max(value - error, floor), value + error)
                for x, value, error in zip(xs, values, errors, strict=True)
            )
            marks = markers(chart, xs, values, update, 0.75)
            chart.group(view, *bars, *marks, shift=shift)
            words.append(f"{view.label} {text.number(found[update]['measured'][-1])} at the end")
        return chart, "; ".join(words)

    by = "exact derivatives" if results["config"]["models"] else "forward passes"
    return _block(
        results, draw, "kernels", "Measured kernels through training",
        "In theory the kernel of a linear model stays at 1, whatever the weights; that of a "
        "network may move, and the line, drawn with the Jacobian of each step, with it.",
        f"Markers: mean of {results['config']['draws']} kernels, measured by {by} at the weights "
        "of a shared-vector run, with 1.96 standard errors; line: closed form at these weights. "
        "Both kernels are divided by their own expectation at the start.",
        KERNELS,
    )  # fmt: skip


def _block(
    results: StudyResults,
    draw: Callable[[ProblemResult], tuple[Chart, str]],
    name: str,
    title: str,
    see: str,
    how: str,
    legend: Sequence[str] = (),
) -> Block:
    panels = []
    for problem in results["problems"]:
        chart, words = draw(problem)
        svg = chart.svg(f"{title}. {problem['title']}: {words}.")
        panels.append(Panel(f"{problem['title']}, d = {problem['dimension']}", svg))
    return Block(name, title, see, how, tuple(panels), tuple(VIEWS[u] for u in legend))


def _ends(curves: Mapping[Kernel, LossCurve] | Mapping[str, LossCurve]) -> str:
    return "; ".join(
        f"{VIEWS[update].label} ends at {text.number(curve['mean'][-1])}"
        for update, curve in curves.items()
    )
