"""What an experiment could have found, and what kind of evidence it is."""

from __future__ import annotations

from collections.abc import Iterator

from robustbench_zosam.report import text
from robustbench_zosam.report.comparisons import main_row
from robustbench_zosam.report.run import Run
from robustbench_zosam.schema import ComparisonRow
from robustbench_zosam.statistics import Forecast, Spread


def detectable(run: Run, row: ComparisonRow) -> float | None:
    """Returns the true difference that four of five such runs would call one, as a fraction.

    The variances are those seen in this comparison; the level is that of the first step of Holm's
    correction over the page. None where training runs are too few to have a variance.
    """
    parts = row["components"]
    seed, image, residual = parts["seed"], parts["image"], parts["residual"]
    known = seed is not None and image is not None and residual is not None
    if not known or row["n_seeds"] < 2 or row["n_images"] < 2:
        return None
    spread = Spread(seed or 0.0, image or 0.0, residual or 0.0)
    rows = [found for c in run.results["comparisons"] if (found := main_row(c)) is not None]
    level = 1 - (1 - row["level"]) / max(len(rows), 1)
    difference = Forecast(spread, row["n_seeds"], row["n_images"], level).detectable()
    return difference or None


def evidence(run: Run) -> str:
    """Returns in one line what the numbers of a run rest on, and what they cannot speak of."""
    return f"{text.capital(', '.join(_parts(run)))}: nothing is said of other data and networks."


def _parts(run: Run) -> Iterator[str]:
    data, suite = run.results["data"], run.results["suite"]
    yield f"one data set ({data['name']})"
    if any(method.facts["kind"] == "trained" for method in run.methods):
        network = (run.results["config"].get("model") or {}).get("name")
        yield f"one network ({network})" if network else "one network"
        yield f"{text.count(run.seeds, 'training run')} of each method"
    else:
        yield text.count(len(run.methods), "given model")
    if suite["corruptions"]:
        made = "corruptions made here" if suite["source"] == "generated" else "a stored suite"
        yield f"{text.count(run.images, 'test image')} under {made}"
    else:
        yield text.count(run.images, "test image")
