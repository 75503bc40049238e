"""The stored comparison as the page sees it."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.nzk.schema import (
    VERSION,
    LossCurve,
    Prediction,
    ProblemResult,
    Rates,
    SpeedUp,
    StudyResults,
)
from robustbench_zosam.report import text
from robustbench_zosam.report.style import BASELINE, DASHES, MARKERS, METHODS, Series

_LABELS = {
    "shared": "shared vector",
    "independent": "independent vectors",
    "plain": "plain ZO-SGD",
    "first-order": "gradient descent",
}
VIEWS = {
    update: Series(
        update,
        label,
        BASELINE if update == "first-order" else METHODS[index],
        MARKERS[index],
        DASHES[0],
        index,
    )
    for index, (update, label) in enumerate(_LABELS.items())
}


def load(folder: Path) -> StudyResults:
    """Returns the stored comparison of a folder.

    Raises:
        InputError: there are none, or they are of another version.
    """
    file = folder / "nzk.json"
    if not file.is_file():
        raise InputError(f"{folder} holds no nzk.json: run `zosam-robust nzk --out {folder}`")
    results = read_json(file)
    version = results.get("schema") if isinstance(results, dict) else None
    if version != VERSION:
        raise InputError(
            f"{file} has schema {version!r}, this release reads {VERSION}: run "
            "`zosam-robust nzk` again"
        )
    try:
        return TypeAdapter(StudyResults).validate_python(results, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{file} is damaged: {place}: {first['msg'].lower()}: run `zosam-robust nzk` again"
        ) from error


def speed_up(problem: ProblemResult, setting: Rates, fast: str, slow: str) -> SpeedUp:
    """Returns how much faster one update is than another."""
    return next(
        row
        for row in problem["speed_ups"]
        if (row["setting"], row["fast"], row["slow"]) == (setting, fast, slow)
    )


def ratio(row: SpeedUp) -> str:
    """Returns a speed-up as text: factor and interval."""
    if row["value"] is None:
        return "not measured"
    sign = "" if not row["bounds"] else "≥\u202f" if row["value"] > 1 else "≤\u202f"
    span = text.interval(row["low"], row["high"], lambda value: text.number(value, 2))
    return f"{sign}{text.number(row['value'], 2)}× {span}".rstrip()


def inside(curve: LossCurve, prediction: Prediction) -> tuple[int, int]:
    """Returns at how many steps after the first the interval holds a prediction, of how many."""
    rows = list(zip(curve["low"], curve["high"], curve[prediction], strict=True))[1:]
    held = [
        low <= value <= high
        for low, high, value in rows
        if low is not None and high is not None and value is not None
    ]
    return sum(held), len(held)
