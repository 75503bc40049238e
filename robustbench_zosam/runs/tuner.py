"""Trials, and which of them is best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.config_sweeps import Value, value_range
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.cell_store import CellSpec
from robustbench_zosam.runs.methods import Method
from robustbench_zosam.runs.variants import changed
from robustbench_zosam.schema import MethodTuning, Tuning, TuningTrial

Space = dict[str, Sequence[Value]]
Score = float | None  # None where the training diverged
_NEAR = 1.05  # of the end of a range


@dataclass(frozen=True)
class Trial:
    """One setting of one method.

    Attributes:
        scores: of each seed; None in place of all while a cell has something left to do.
    """

    values: dict[str, Value]
    cells: tuple[CellSpec, ...]
    scores: tuple[Score, ...] | None

    @property
    def score(self) -> Score:
        """The mean over the seeds; None where a training diverged."""
        known = [score for score in self.scores or () if score is not None]
        return fmean(known) if known and len(known) == len(self.cells) else None


@dataclass(frozen=True)
class Tuned:
    """A method with its trials, as far as they are known.

    Attributes:
        planned: how many trials there will be; 0 for a method with nothing to tune.
    """

    method: Method
    space: Space
    trials: tuple[Trial, ...]
    planned: int

    @property
    def is_open(self) -> bool:
        """Whether some trial is still to be run."""
        return self.left > 0

    @property
    def left(self) -> int:
        """How many trials are still to be run."""
        return self.planned - sum(trial.scores is not None for trial in self.trials)


@dataclass(frozen=True)
class Tuner:
    """The trials of all methods.

    Attributes:
        higher: whether a higher score is better.
    """

    config: ExperimentConfig
    methods: tuple[Tuned, ...]

    @property
    def is_open(self) -> bool:
        """Whether some trial is still to be run, so that nothing is chosen yet."""
        return any(tuned.is_open for tuned in self.methods)

    @property
    def cells(self) -> tuple[CellSpec, ...]:
        """The cells of the trials that are known."""
        found = {c.id: c for m in self.methods for trial in m.trials for c in trial.cells}
        return tuple(found.values())

    @property
    def planned(self) -> int:
        """How many cells there will be."""
        return sum(tuned.planned for tuned in self.methods) * len(self.config.tune.seeds)

    @property
    def _higher(self) -> bool:
        return self.config.tune.score != "validation loss"

    def chosen(self) -> tuple[Method, ...]:
        """Returns the methods with the best of their settings.

        Raises:
            InputError: all trials of a method diverged.
        """
        return tuple(self._with_best(tuned) for tuned in self.methods)

    def _with_best(self, tuned: Tuned) -> Method:
        best = self._best(tuned)
        return tuned.method if best is None else changed(tuned.method, tuned.trials[best].values)

    def _best(self, tuned: Tuned) -> int | None:
        """Returns the place of the best trial; of equal ones that of the smaller values."""
        if not tuned.planned:
            return None
        scores = {i: trial.score for i, trial in enumerate(tuned.trials)}
        known = {i: score for i, score in scores.items() if score is not None}
        if not known:
            raise InputError(f"every trial of {tuned.method.id} diverged: give --tune other values")
        best = max(known.values()) if self._higher else min(known.values())
        equal = [i for i, score in known.items() if score == best]
        return min(equal, key=lambda i: _order(tuned.trials[i].values, i))

    def facts(self, images: int) -> Tuning:
        """Returns what the results say of the choice.

        Args:
            images: of the validation split.
        """
        tune = self.config.tune
        suites = [c.validation_suite for c in self.cells if c.validation_suite is not None]
        found: Tuning = {
            "score": tune.score,
            "higher_is_better": self._higher,
            "sampler": tune.sampler,
            "seeds": list(tune.seeds),
            "trials": max(tuned.planned for tuned in self.methods),
            "images": images,
            "methods": [self._method_facts(tuned) for tuned in self.methods],
        }
        if suites:
            found["corruptions"] = list(suites[0].corruptions)
            found["severities"] = list(suites[0].severities)
        return found

    def _method_facts(self, tuned: Tuned) -> MethodTuning:
        best = self._best(tuned)
        trials = [_trial_facts(trial) for trial in tuned.trials]
        top = None if best is None else trials[best]
        return {
            "method": tuned.method.id,
            "trials": trials,
            "chosen": best,
            "tied": top is not None and sum(t["score"] == top["score"] for t in trials) > 1,
            "at_edge": [] if top is None else list(_at_edge(tuned.space, top["values"])),
        }


def ranges(space: Space) -> dict[str, tuple[float, float]]:
    """Returns the settings that have a range instead of values, with its ends."""
    return {
        key: value_range(values[0])
        for key, values in space.items()
        if len(values) == 1 and isinstance(values[0], str) and ".." in values[0]
    }


def _trial_facts(trial: Trial) -> TuningTrial:
    return {
        "values": dict(trial.values),
        "cells": [cell.id for cell in trial.cells],
        "scores": list(trial.scores or ()),
        "score": trial.score,
    }


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _order(values: Mapping[str, Value], place: int) -> tuple[tuple[float, ...], int]:
    """Returns what trials of equal score are ordered by: their numbers, then their place."""
    return tuple(float(v) for v in values.values() if _is_number(v)), place


def _at_edge(space: Space, chosen: Mapping[str, Value]) -> Iterator[str]:
    """Yields the settings whose chosen value is the smallest or largest of several."""
    ends = ranges(space)
    for key, value in chosen.items():
        if not _is_number(value):
            continue
        if key in ends:
            low, high = ends[key]
            if float(value) <= low * _NEAR or float(value) >= high / _NEAR:
                yield key
            continue
        numbers = [float(v) for v in space[key] if _is_number(v)]
        if len(numbers) > 1 and float(value) in {min(numbers), max(numbers)}:
            yield key
