"""The figure of kernels between outputs: how far a step for one class moves another."""

from __future__ import annotations

from collections.abc import Iterator

from robustbench_zosam.nzk.curves import markers
from robustbench_zosam.nzk.schema import KERNELS, OutputCoupling, ProblemResult, StudyResults
from robustbench_zosam.nzk.views import VIEWS
from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import fitting
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.panel import HEIGHT, WIDTH, Block, PageTable, Panel


def coupling(results: StudyResults) -> Block | None:
    """Draws measured kernels between outputs against the closed form; None for single outputs."""
    found = [(p, p["coupling"]) for p in results["problems"] if p["coupling"] is not None]
    if not found:
        return None
    return Block(
        "coupling",
        "Kernels between the outputs",
        "With C outputs each pair of examples has a block of C × C entries. Outputs of a linear "
        "model share no weight, so a step for one leaves the others where they were, in "
        "expectation; those of a network share all layers but the last.",
        "For each pair of outputs the sum of the kernel over examples, "
        f"{results['config']['draws']} draws with 1.96 standard errors, against "
        "the closed form at the first start; both kernels are divided by their own mean for an "
        "output with itself. With independent vectors the error grows with √d. Line: equality.",
        tuple(Panel(_title(problem), _draw(problem, at)) for problem, at in found),
        tuple(VIEWS[kernel] for kernel in KERNELS),
        (_summary(found), *(_matrix(problem, at) for problem, at in found)),
    )


def _title(problem: ProblemResult) -> str:
    return f"{problem['title']}, C = {problem['outputs']}"


def _draw(problem: ProblemResult, found: OutputCoupling) -> str:
    xs = [value for row in found["theory"] for value in row]
    drawn = {kernel: list(_entries(found, kernel)) for kernel in KERNELS}
    ends = [limit for rows in drawn.values() for v, e in rows for limit in (v - e, v + e)]
    x, y = fitting("closed form", [*xs, 0.0]), fitting("measured", [*ends, *xs, 0.0])
    chart = Chart(WIDTH, HEIGHT, x, y)
    low, high = min(*xs, 0.0), max(xs)
    chart.group(None, chart.line([low, high], [low, high], name="equality"))
    for shift, (kernel, rows) in zip((-2.0, 2.0), drawn.items(), strict=True):
        bars = (chart.stem(at, v - e, v + e) for at, (v, e) in zip(xs, rows, strict=True))
        marks = markers(chart, xs, [v for v, _ in rows], kernel, 0.5)
        chart.group(VIEWS[kernel], *bars, *marks, shift=shift)
    worst = "; ".join(
        f"{VIEWS[kernel].label}: largest deviation {found[kernel]['largest_deviation']:.1f} "
        "standard errors"
        for kernel in KERNELS
    )
    return chart.svg(f"Kernels between the outputs. {problem['title']}: {worst}.")


def _entries(found: OutputCoupling, kernel: str) -> Iterator[tuple[float, float]]:
    """Yields measured values with half the width of their intervals."""
    row = found["shared"] if kernel == "shared" else found["independent"]
    for values, errors in zip(row["measured"], row["se"], strict=True):
        yield from ((v, 1.96 * e) for v, e in zip(values, errors, strict=True))


def _summary(found: list[tuple[ProblemResult, OutputCoupling]]) -> PageTable:
    rows = [
        (
            problem["title"],
            f"{problem['n'] * problem['outputs']:,}",
            text.percent(at["between"]),
            *(f"{at[kernel]['largest_deviation']:.1f}" for kernel in KERNELS),
            f"{problem['outputs'] ** 2}",
        )
        for problem, at in found
    ]
    return PageTable(
        "Kernels between the outputs",
        (
            "problem", "rows of the kernel, nC", "squared entries between different outputs",
            "shared: largest deviation (SE)", "independent: largest deviation (SE)", "of entries",
        ),
        tuple(rows),
    )  # fmt: skip


def _matrix(problem: ProblemResult, found: OutputCoupling) -> PageTable:
    rows = [
        (name, *(text.number(value, 2) for value in row))
        for name, row in zip(found["names"], found["theory"], strict=True)
    ]
    return PageTable(
        f"{problem['title']}: closed form between outputs, over the mean of an output with itself",
        ("output", *found["names"]),
        tuple(rows),
    )
