"""The numbers behind the flatness figure: eigenvalues and the sharpness family."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from robustbench_zosam.report import text
from robustbench_zosam.report.figures.panel import Table
from robustbench_zosam.report.run import Run

Facts = Mapping[str, Any]
Pick = Callable[[Facts], float | None]


def sharpness_tables(run: Run) -> tuple[Table, ...]:
    """Returns eigenvalues and sharpness of each method, means over its seeds.

    Returns:
        One table; none where neither was measured.
    """
    measured = {m.label: [c["flatness"] for c in run.cells(m, "flatness")] for m in run.methods}
    measured = {label: cells for label, cells in measured.items() if cells}
    rows = [
        (name, *(_mean([pick(facts) for facts in cells]) for cells in measured.values()))
        for name, pick in _measures([facts for cells in measured.values() for facts in cells])
    ]
    if not rows:
        return ()
    caption = (
        "Eigenvalues of the Hessian over the active weights, and rises of the loss (nats): mean "
        "over seeds ± standard error. A residual bounds the distance to an eigenvalue; none of "
        "these says by itself that a model generalises."
    )
    return (Table(caption, ("measure", *measured), tuple(rows)),)


def _measures(cells: list[Facts]) -> Iterator[tuple[str, Pick]]:
    """Yields what at least one cell has, with how to read it from a cell."""
    if any(facts.get("spectrum") for facts in cells):
        for name, key in _SPECTRUM.items():
            yield name, partial(_eigenvalue, key)
    names = [one["name"] for facts in cells for one in _family(facts)]
    for name in dict.fromkeys(names):
        yield name, partial(_rise, name, False)
        yield f"{name}, logits normalised", partial(_rise, name, True)


_SPECTRUM = {
    "λ1": "lambda_1",
    "λ5": "lambda_5",
    "λ1 / λ5": "lambda_1_over_5",
    "largest residual of λ1 to λ5": "residuals",
    "λmin": "smallest",
    "residual of λmin": "smallest_residual",
}


def _eigenvalue(key: str, facts: Facts) -> float | None:
    found = (facts.get("spectrum") or {}).get(key)
    return max(found) if isinstance(found, list) else found


def _family(facts: Facts) -> list[Facts]:
    found: list[Facts] = (facts.get("sharpness") or {}).get("measures", [])
    return found


def _rise(name: str, normalised: bool, facts: Facts) -> float | None:
    for one in _family(facts):
        if one["name"] == name:
            value: float | None = (one["logit_normalised"] if normalised else one)["value"]
            return value
    return None


def _mean(values: list[float | None]) -> str:
    """Returns mean and standard error over seeds, and how many seeds have no value."""
    known = [value for value in values if value is not None]
    if not known:
        return text.number(None)
    mean = sum(known) / len(known)
    said = text.number(mean)
    if len(known) > 1:
        spread = sum((value - mean) ** 2 for value in known) / (len(known) - 1)
        said += f" ± {text.number(math.sqrt(spread / len(known)), 2)}"
    missing = len(values) - len(known)
    return said + (f" ({len(known)} of {len(values)} seeds)" if missing else "")
