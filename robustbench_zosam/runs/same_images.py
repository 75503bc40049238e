"""Whether methods of stored runs were measured on the same images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from robustbench_zosam.analysis import CellScores
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness.plan import SuitePlan
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.collect import read_scores
from robustbench_zosam.schema import Cell, Results


@dataclass(frozen=True)
class Side:
    """One method of one run, whose output folder is `run`; `text` is how the user named it."""

    text: str
    run: Path
    method: str
    results: Results

    @property
    def cells(self) -> list[Cell]:
        """Returns the cells whose robustness was measured."""
        return [
            cell
            for cell in self.results["cells"]
            if cell["method"] == self.method and cell["robustness"] is not None
        ]

    @property
    def seeds(self) -> set[int]:
        """Returns the seeds of these cells."""
        return {cell["seed"] for cell in self.cells}

    def scores(self) -> list[CellScores]:
        """Returns what each of these cells scored on each image."""
        return [read_scores(CellStore(self.run / "cells" / c["id"]), c) for c in self.cells]

    def suite(self) -> SuitePlan | None:
        """Returns the suite as its cells name it, which older results do not say in full."""
        stores = (CellStore(self.run / "cells" / cell["id"]) for cell in self.cells)
        store = next((store for store in stores if store.spec_file.exists()), None)
        return None if store is None else store.read_spec().suite


def require_same_images(mine: Side, theirs: Side, *, clean: bool = False) -> None:
    """Refuses two methods that were not measured on the same images, naming the difference.

    Args:
        clean: whether the clean images are all that is compared.

    Raises:
        InputError: data or suite differ.
    """
    both = f"{mine.run} and {theirs.run}"
    if mine.results["data"]["fingerprint"] != theirs.results["data"]["fingerprint"]:
        settings = _settings(mine.results, "data"), _settings(theirs.results, "data")
        found = next(_differing("data.", *settings), "their fingerprints differ")
        raise InputError(
            f"{both} were measured on different images ({found}): compare runs of the same data"
        )
    difference = None if clean else next(_suite_differences(mine, theirs), None)
    if difference is not None:
        raise InputError(
            f"{both} were measured on different corrupted images ({difference}): evaluate both on "
            "one suite, or compare the clean images alone with --clean"
        )


def _settings(results: Results, section: str) -> Mapping[str, object]:
    return results["config"].get(section) or {}


def _differing(
    prefix: str, mine: Mapping[str, object], theirs: Mapping[str, object]
) -> Iterator[str]:
    """Yields what both say, and say otherwise."""
    for name in mine:
        if name in theirs and mine[name] != theirs[name]:
            yield f"{prefix}{name} is {_said(mine[name])} and {_said(theirs[name])}"


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _suite_differences(mine: Side, theirs: Side) -> Iterator[str]:
    digests = [side.results["suite"].get("content") for side in (mine, theirs)]
    if None not in digests and digests[0] == digests[1]:
        return
    facts = [
        {key: value for key, value in side.results["suite"].items() if key in _NAMED}
        for side in (mine, theirs)
    ]
    yield from _differing("suite.", *facts)
    plans = mine.suite(), theirs.suite()
    if plans[0] is not None and plans[1] is not None:
        parts = [plan.model_dump(mode="json", include=_PLANNED) for plan in plans if plan]
        yield from _differing("suite.", *parts)
        made = {plan.source for plan in plans if plan} == {"generated"}
        if made and plans[0].key != plans[1].key:
            yield f"the version of the corruptions is {plans[0].key} and {plans[1].key}"
    if None not in digests:
        yield "the images themselves differ, though their settings do not"


_NAMED = ("source", "preset", "seed", "corruptions", "severities", "frost")
_PLANNED = {"frost", "limit", "limit_seed"}
