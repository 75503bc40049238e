"""The stored comparison as the page sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.report import text
from robustbench_zosam.report.run import MethodView
from robustbench_zosam.report.style import BASELINE, DASHES, MARKERS, METHODS

SCHEMA = 1
_LABELS = {
    "shared": "shared vector",
    "independent": "independent vectors",
    "plain": "plain ZO-SGD",
    "first-order": "gradient descent",
}
VIEWS = {
    update: MethodView(
        update,
        label,
        {},
        BASELINE if update == "first-order" else METHODS[index],
        MARKERS[index],
        DASHES[0],
        index,
    )
    for index, (update, label) in enumerate(_LABELS.items())
}
Problem = Mapping[str, Any]


def load(folder: Path) -> dict[str, Any]:
    """Reads a stored comparison.

    Args:
        folder: that holds `nzk.json`.

    Returns:
        The results.

    Raises:
        InputError: there are none, or they are of another version.
    """
    file = folder / "nzk.json"
    if not file.is_file():
        raise InputError(f"{folder} holds no nzk.json: run `zosam-robust nzk --out {folder}`")
    results = read_json(file)
    if not isinstance(results, dict) or results.get("schema") != SCHEMA:
        found = results.get("schema") if isinstance(results, dict) else None
        raise InputError(
            f"{file} has schema {found!r}, this release reads {SCHEMA}: run "
            "`zosam-robust nzk` again"
        )
    return results


def speed_up(problem: Problem, setting: str, fast: str, slow: str) -> Mapping[str, Any]:
    """Returns the row of a speed-up.

    Args:
        setting: "equal" or "tuned".
        fast: update whose speed is asked for.
        slow: update it is compared with.
    """
    return next(
        row
        for row in problem["speed_ups"]
        if (row["setting"], row["fast"], row["slow"]) == (setting, fast, slow)
    )


def ratio(row: Mapping[str, Any]) -> str:
    """Returns a speed-up as text: factor and interval."""
    if row["value"] is None:
        return "not measured"
    sign = "" if not row["bounds"] else "≥\u202f" if row["value"] > 1 else "≤\u202f"
    span = text.interval(row["low"], row["high"], lambda value: text.number(value, 2))
    return f"{sign}{text.number(row['value'], 2)}× {span}".rstrip()


def inside(curve: Mapping[str, Any], prediction: str) -> tuple[int, int]:
    """Counts the points of a curve whose interval holds a prediction.

    Args:
        curve: with mean and limits; only steps after the first count.
        prediction: "expected_outputs" or "expected_loss".

    Returns:
        How many do, of how many.
    """
    rows = list(zip(curve["low"], curve["high"], curve[prediction], strict=True))[1:]
    known = [row for row in rows if None not in row]
    return sum(low <= value <= high for low, high, value in known), len(known)
