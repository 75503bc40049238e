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
    """Returns the stored comparison of a folder, an older one in today's form.

    Raises:
        InputError: there are none, or they are of a later version.
    """
    file = folder / "nzk.json"
    if not file.is_file():
        raise InputError(f"{folder} holds no nzk.json: run `zosam-robust nzk --out {folder}`")
    results = read_json(file)
    version = results.get("schema") if isinstance(results, dict) else None
    if version not in range(1, VERSION + 1):
        raise InputError(
            f"{file} has schema {version!r}, this release reads up to {VERSION}: update "
            "zosam-robust, or run `zosam-robust nzk` again"
        )
    place, reason = "", "it is not in the form of its version"
    try:
        if version == 1:
            _from_version_1(results)
        return TypeAdapter(StudyResults).validate_python(results, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, reason = ".".join(map(str, first["loc"])) + ": ", first["msg"].lower()
    except (KeyError, TypeError, AttributeError):
        pass  # older files are converted before they are validated
    raise InputError(f"{file} is damaged: {place}{reason}: run `zosam-robust nzk` again")


def _from_version_1(results: StudyResults) -> None:
    """Adds what version 1 did not say: its models had one output, and were those of the study."""
    results["schema"] = VERSION
    config = results["config"]
    config["classes"] = list(map(str, config["classes"]))
    config["models"], config["images"], config["outputs"] = [], None, 1
    for problem in results["problems"]:
        problem["outputs"], problem["coupling"] = 1, None


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
