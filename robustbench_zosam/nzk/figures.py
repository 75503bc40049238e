"""The figures of the comparison, in the look of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from robustbench_zosam.nzk.views import VIEWS, Problem, ratio
from robustbench_zosam.report import text
from robustbench_zosam.report.figures.panel import (
    HEIGHT,
    WIDTH,
    Block,
    Panel,
)
from robustbench_zosam.report.style import INK, MUTED
from robustbench_zosam.report.svg import drawing, label_axes, new_figure, plain_log_ticks, to_svg

_DASHED, _DOTTED = (0, (5, 2)), (0, (1, 1.5))
_STEPS = "training step + 1"
_LOSS = "loss, ‖f − y‖²/2n"


def speed_ups(results: Mapping[str, Any]) -> Block:
    """Draws how many times fewer steps one update needs than another.

    Args:
        results: of the comparison.

    Returns:
        The figure, a panel for each problem.
    """
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

    def draw(axes: Axes, problem: Problem) -> str:
        axes.axvline(1, color=MUTED.placeholder, linewidth=1, zorder=1)
        for y, row in enumerate(problem["speed_ups"]):
            colour = VIEWS[row["slow"]].shade.placeholder
            if row["theory"] is not None:
                axes.plot(row["theory"], y, "|", markersize=15, color=INK.placeholder, zorder=2)
            if row["value"] is not None:
                axes.plot(row["value"], y, "o", markersize=6, color=colour, zorder=3)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2.2)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.5), max(high, 2))
        plain_log_ticks(axes, "x")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        label_axes(axes, "ratio of steps, second to first", "")
        return "; ".join(
            f"{name}: {ratio(row)}".replace("\n", " ")
            for name, row in zip(names, problem["speed_ups"], strict=True)
        )

    seeds = text.count(len(results["config"]["seeds"]), "seed")
    return _block(
        results, draw, "speed", "What remains of the acceleration",
        "Right of the line, the first update named is faster. If a shared vector gave more than a "
        "larger learning rate, “tuned: shared to plain” would lie there too: plain ZO-SGD uses "
        "one vector as well.",
        f"Dots: geometric means over {seeds}, lines: 95 % intervals (Student’s t on logarithms), "
        "ticks: theory for the expected loss (for the equal rate: ratio of the expected kernels). "
        "Tuned: steps to the lowest loss which all updates reach at their best rate in tuning. A "
        "run that never gets there counts with its last step, so the ratio is a bound; seeds that "
        "start below that loss are left out.",
    )  # fmt: skip


def equal_rate(results: Mapping[str, Any]) -> Block:
    """Draws predicted and real loss with one learning rate for all.

    Args:
        results: of the comparison.

    Returns:
        The figure, a panel for each problem.
    """

    def draw(axes: Axes, problem: Problem) -> str:
        for update in ("shared", "independent"):
            curve, colour = problem["equal"][update], VIEWS[update].shade.placeholder
            x = np.array(curve["steps"]) + 1
            _measured(axes, x, curve, update)
            axes.plot(x, _nan(curve["expected_outputs"]), color=colour, linestyle=_DASHED)
            axes.plot(x, _nan(curve["expected_loss"]), color=colour, linestyle=_DOTTED)
        _log_log(axes)
        label_axes(axes, _STEPS, _LOSS)
        return _ends(problem["equal"], ("shared", "independent"))

    return _block(
        results, draw, "equal", "Predicted and real loss, one learning rate for both",
        "The gap between dashed and dotted is noise. Where a measured curve leaves the dotted one, "
        "the kernel of the first step no longer describes the training.",
        "Solid: measured, mean over seeds, shaded the 95 % interval of the mean given the starts. "
        "Dashed: loss of the expected outputs, f = y + (I − ηK̄/n)ᵗ(f₀ − y), with K̄ the expected "
        "kernel at the start. Dotted: expected loss, with the noise of the directions. The rate is "
        "at most a quarter of the best for independent vectors.",
        ("shared", "independent"),
    )  # fmt: skip


def tuned_rate(results: Mapping[str, Any]) -> Block:
    """Draws the loss of each update at its own learning rate.

    Args:
        results: of the comparison.

    Returns:
        The figure, a panel for each problem.
    """

    def draw(axes: Axes, problem: Problem) -> str:
        axes.axhline(problem["target"], color=MUTED.placeholder, linewidth=1, linestyle=_DASHED)
        for update in VIEWS:
            curve = problem["tuned"][update]
            _measured(axes, np.array(curve["steps"]) + 1, curve, update)
        _log_log(axes)
        label_axes(axes, _STEPS, _LOSS)
        return _ends(problem["tuned"], tuple(VIEWS))

    return _block(
        results, draw, "tuned", "Each at its own tuned learning rate",
        "Shared vector and plain ZO-SGD differ by the factor ‖z‖². In high dimension it is nearly "
        "constant, so a learning rate can absorb it, and their curves should run together.",
        "Mean over fresh seeds, shaded the 95 % interval; the dashed line is the loss to reach. "
        "A zero-order step costs two forward passes, a step of gradient descent one forward and "
        "one backward pass.",
        tuple(VIEWS),
    )  # fmt: skip


def tuning(results: Mapping[str, Any]) -> Block:
    """Draws the loss at the end against the learning rate.

    Args:
        results: of the comparison.

    Returns:
        The figure, a panel for each problem.
    """

    def draw(axes: Axes, problem: Problem) -> str:
        top = 3 * max(problem["tuned"][update]["mean"][0] for update in VIEWS)
        words = []
        for update, view in VIEWS.items():
            row = problem["tuning"][update]
            x = problem["relative_rates"]
            losses, theory = (_below(row[key], top) for key in ("losses", "theory"))
            axes.plot(x, theory, color=view.shade.placeholder, linewidth=1.1, linestyle=_DOTTED)
            axes.plot(x, losses, markersize=3.5, **view.line)
            words.append(f"{view.label} best at {text.number(row['relative'])}")
        _log_log(axes)
        label_axes(axes, "learning rate × λmax(K̄)/n", f"loss after {_steps(results)} steps")
        return "; ".join(words)

    trials = text.count(results["tuning"]["rates"], "learning rate")
    return _block(
        results, draw, "tuning", "Tuning, with the same budget for all",
        "On this axis the expected kernels of all updates predict one and the same curve, that of "
        "gradient descent. What sets them apart is noise: the more, the smaller the best rate.",
        f"{trials} × {text.count(results['tuning']['seeds'], 'seed')} for each update, seeds other "
        "than those of the evaluation. Markers: geometric mean of the measured loss; dotted: "
        "expected loss by theory, for the network with its first kernel. Losses above three times "
        "the first are left out.",
        tuple(VIEWS),
    )  # fmt: skip


def kernels(results: Mapping[str, Any]) -> Block:
    """Draws the size of the measured kernels through training.

    Args:
        results: of the comparison.

    Returns:
        The figure, a panel for each problem.
    """

    def draw(axes: Axes, problem: Problem) -> str:
        found = problem["kernel"]
        words = []
        for offset, update in ((0.95, "shared"), (1.05, "independent")):
            row, view = found[update], VIEWS[update]
            x = offset * (np.array(found["steps"]) + 1)
            errors = 1.96 * np.array(row["se"])
            axes.errorbar(
                x, row["measured"], yerr=errors, fmt=view.marker, markersize=5, elinewidth=1.6,
                color=view.shade.placeholder, zorder=3,
            )  # fmt: skip
            words.append(f"{view.label} {text.number(row['measured'][-1])} at the end")
        axes.plot(
            np.array(found["steps"]) + 1, found["shared"]["theory"], color=INK.placeholder,
            linewidth=1.2,
        )  # fmt: skip
        axes.set_xscale("log")
        plain_log_ticks(axes, "x")
        axes.set_ylim(bottom=0)
        label_axes(axes, _STEPS, "tr K over E[tr K] at start")
        return "; ".join(words)

    return _block(
        results, draw, "kernels", "Measured kernels through training",
        "By theory the kernel of a linear model stays at 1, whatever the weights; that of a "
        "network may move, and the line, drawn with the Jacobian of each step, with it.",
        f"Markers: mean of {results['config']['draws']} kernels measured by forward passes at the "
        "weights of a shared-vector run, with 1.96 standard errors; line: closed form at these "
        "weights. Both kernels are divided by their own expectation at the start.",
        ("shared", "independent"),
    )  # fmt: skip


def _block(
    results: Mapping[str, Any],
    draw: Callable[[Axes, Problem], str],
    name: str,
    title: str,
    see: str,
    how: str,
    legend: Sequence[str] = (),
) -> Block:
    panels = []
    for problem in results["problems"]:
        with drawing():
            figure = new_figure(WIDTH, HEIGHT)
            axes = figure.add_subplot()
            words = draw(axes, problem)
            alt = f"{title}. {problem['title']}: {words}."
            svg = to_svg(figure, f"{name}-{problem['name']}", alt)
            panels.append(Panel(f"{problem['title']}, d = {problem['dimension']}", svg))
    return Block(name, title, see, how, tuple(panels), tuple(VIEWS[u] for u in legend))


def _measured(axes: Axes, x: Any, curve: Mapping[str, Any], update: str) -> None:
    view = VIEWS[update]
    low, high = _nan(curve["low"]), _nan(curve["high"])
    floor = np.nanmin(_nan(curve["mean"])) / 10  # an interval may reach below zero
    axes.plot(x, _nan(curve["mean"]), markevery=12, markersize=4.5, **view.line)
    axes.fill_between(
        x, np.maximum(low, floor), high, color=view.shade.placeholder, alpha=0.16, linewidth=0
    )


def _log_log(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log_ticks(axes, "xy")


def _ends(curves: Mapping[str, Any], updates: Sequence[str]) -> str:
    return "; ".join(
        f"{VIEWS[update].label} ends at {text.number(curves[update]['mean'][-1])}"
        for update in updates
    )


def _steps(results: Mapping[str, Any]) -> int:
    return int(results["config"]["steps"])


def _nan(values: Sequence[float | None]) -> Any:
    return np.array(values, dtype=np.float64)


def _below(values: Sequence[float | None], top: float) -> Any:
    found = _nan(values)
    return np.where(found < top, found, np.nan)
