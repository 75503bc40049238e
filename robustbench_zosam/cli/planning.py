"""What a run would do, find and cost; nothing is written and nothing is trained to the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from robustbench_zosam.cli.display import Bar
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.runs.forecast import (
    KNOWN,
    Spreads,
    outlook,
    outlook_lines,
    require_spreads,
    setting_of,
    spreads_of,
)
from robustbench_zosam.runs.plan import Plan, make_plan
from robustbench_zosam.schema import Results


def show(
    config: ExperimentConfig,
    *,
    settings: bool,
    measure: bool = True,
    earlier: Path | None = None,
    difference: float | None = None,
    as_json: bool = False,
) -> None:
    """Prints what a run would do.

    Args:
        config: of the run.
        settings: whether all settings and cells are printed too.
        measure: whether models are measured after training.
        earlier: a run whose spreads and times are taken.
        difference: of accuracies that should be found, as a fraction.
        as_json: whether the outlook alone is printed, for programs.
    """
    with TemporaryDirectory(prefix="zosam-") as scratch:
        plan = make_plan(config, measure=measure, scratch=Path(scratch))
        _check_place(plan.out)
        before = read_results(earlier) if earlier is not None else _results_here(plan)
        spreads = _spreads(plan, before, earlier)
        found = (
            outlook(plan, spreads, () if difference is None else (difference,)) if spreads else None
        )
        if as_json:
            typer.echo(json.dumps(None if found is None else asdict(found), indent=1))
            return
        from robustbench_zosam.runs.estimate import describe  # imports torch

        with Bar("timing a few steps of each method") as bar:
            told = describe(plan, before, bar, settings=settings)
        typer.echo(told)
        for line in outlook_lines(found) if found else _nothing(plan, spreads):
            typer.echo(line)


def _check_place(out: Path) -> None:
    """Refuses an output folder that the run could not make; nothing is made here."""
    there = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(
            f"the output folder {out} cannot be written to ({there} is no folder): choose another "
            "one with --out"
        )


def _results_here(plan: Plan) -> Results | None:
    """Returns the results that lie in the output folder of a plan, if there are any of use."""
    try:
        found = read_results(plan.out)
    except InputError:
        return None
    return found if found["data"]["fingerprint"] == plan.data.facts["fingerprint"] else None


def _spreads(plan: Plan, before: Results | None, earlier: Path | None) -> Spreads | None:
    if before is not None and earlier is not None:
        return require_spreads(before, str(earlier))
    here = spreads_of(before, str(plan.out)) if before is not None else None
    return here or KNOWN.get(setting_of(plan))


def _nothing(plan: Plan, spreads: Spreads | None) -> Iterator[str]:
    """Yields why nothing is said of what the run will find."""
    if len(plan.config.seeds) < 2:
        yield "One seed speaks of one training run: give at least two to compare optimizers."
    elif spreads is None:
        yield (
            f"How far training runs on {setting_of(plan)} spread is not known here, so "
            "neither is what this run will find: give `zosam-robust plan --from RUN` a run on it."
        )
