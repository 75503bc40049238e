"""The numbers behind the flatness figure: eigenvalues and the sharpness family."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from robustbench_zosam.report import text
from robustbench_zosam.report.panel import PageTable
from robustbench_zosam.report.run import Run
from robustbench_zosam.schema import Flatness, MeasuredSharpness, Spectrum

Pick = Callable[[Flatness], float | None]


def sharpness_tables(run: Run) -> tuple[PageTable, ...]:
    """Returns eigenvalues and sharpness of each method, means over its seeds.

    Returns:
        One table; none where neither was measured.
    """
    measured = {m.label: list(run.flatness(m).values()) for m in run.methods}
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
    return (PageTable(caption, ("measure", *measured), tuple(rows)),)


def _measures(cells: list[Flatness]) -> Iterator[tuple[str, Pick]]:
    """Yields what at least one cell has, with how to read it from a cell."""
    if any(facts.get("spectrum") for facts in cells):
        for name, read in _SPECTRUM.items():
            yield name, partial(_eigenvalue, read)
    names = [one["name"] for facts in cells for one in _family(facts)]
    for name in dict.fromkeys(names):
        yield name, partial(_rise, name, False)
        yield f"{name}, logits normalised", partial(_rise, name, True)


_SPECTRUM: dict[str, Callable[[Spectrum], float | None]] = {
    "λ1": lambda found: found.get("lambda_1"),
    "λ5": lambda found: found.get("lambda_5"),
    "λ1 / λ5": lambda found: found.get("lambda_1_over_5"),
    "largest residual of λ1 to λ5": lambda found: max(found.get("residuals", ()), default=None),
    "λmin": lambda found: found.get("smallest"),
    "residual of λmin": lambda found: found.get("smallest_residual"),
}


def _eigenvalue(read: Callable[[Spectrum], float | None], flatness: Flatness) -> float | None:
    spectrum = flatness.get("spectrum")
    return read(spectrum) if spectrum else None


def _family(flatness: Flatness) -> list[MeasuredSharpness]:
    family = flatness.get("sharpness")
    return family.get("measures", []) if family else []


def _rise(name: str, normalised: bool, flatness: Flatness) -> float | None:
    for one in _family(flatness):
        if one["name"] == name:
            return (one["logit_normalised"] if normalised else one)["value"]
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
