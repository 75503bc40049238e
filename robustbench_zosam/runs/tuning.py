"""Fair tuning: as many trials for each method, scored on validation images alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from statistics import fmean

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.config_sweeps import Value, value_range
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.runs.methods import Method, check_settings
from robustbench_zosam.runs.suggesting import suggest
from robustbench_zosam.runs.variants import changed, check_keys, own_values, renamed
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


def check_tuning(config: ExperimentConfig, methods: Sequence[Method]) -> dict[str, Space]:
    """Returns what is tuned of each method; nothing of those that have none of the settings.

    Raises:
        InputError: a key reaches no method, is varied as well, methods would get different numbers
            of trials, or seeds of the trials are those of the runs.
    """
    tune = config.tune
    check_keys(tune.values, methods, config.optimizer | config.sparsifier, "the tuning")
    both = sorted(set(tune.seeds) & set(config.seeds))
    if both:
        raise InputError(
            f"the seed {both[0]} is one of the trials and of the runs that are compared, which "
            "would see their own choice: give other tune.seeds"
        )
    spaces = {method.id: _space(method, config) for method in methods}
    _require_equal(spaces, config)
    return spaces


def plan_tuning(
    config: ExperimentConfig,
    methods: Sequence[Method],
    make: Callable[[Method, int], CellSpec],
    store: Callable[[CellSpec], CellStore],
) -> Tuner:
    """Returns the trials of all methods, with the scores of those that are finished.

    Args:
        methods: before anything is tuned.
        make: returns the cell of a method with changed settings and a seed.
        store: returns the folder of a cell.
    """
    spaces = check_tuning(config, methods)
    return Tuner(
        config, tuple(_tuned(method, spaces[method.id], config, make, store) for method in methods)
    )


def _space(method: Method, config: ExperimentConfig) -> Space:
    """Returns what is tuned of a method: its options, or the recipe where it has none of them."""
    found = own_values(config.tune.values, method, config)
    varied = own_values(config.grid, method, config)
    for key in found:
        if key in varied:
            raise InputError(f"{key} is both varied and tuned: leave it out of one of them")
    own = {key: found[key] for key in found if not key.startswith("training.")}
    return own or found


def _require_equal(spaces: Mapping[str, Space], config: ExperimentConfig) -> None:
    if config.tune.sampler != "grid":
        return  # tune.trials for each
    counts = {name: prod(map(len, space.values())) for name, space in spaces.items() if space}
    first = next(iter(counts))
    for name, count in counts.items():
        if count != counts[first]:
            raise InputError(
                f"{first} would get {counts[first]} trials and {name} {count}, which is not fair: "
                "give --tune as many values for each method, if need be by name "
                "(optimizer.NAME.OPTION=…)"
            )


def _tuned(
    method: Method,
    space: Space,
    config: ExperimentConfig,
    make: Callable[[Method, int], CellSpec],
    store: Callable[[CellSpec], CellStore],
) -> Tuned:
    if not space:
        return Tuned(method, space, (), 0)

    def trial(values: dict[str, Value]) -> Trial:
        one = changed(method, values)
        check_settings(one, config)
        named = renamed(one, values)
        named = named.model_copy(update={"id": f"tune-{named.id}"})
        cells = tuple(make(named, seed) for seed in config.tune.seeds)
        scores = [_score(store(cell), cell, config) for cell in cells]
        known = None if any(s is _OPEN for s in scores) else tuple(map(_known, scores))
        return Trial(values, cells, known)

    if config.tune.sampler == "grid":
        settings = [dict(zip(space, each, strict=True)) for each in product(*space.values())]
        return Tuned(method, space, tuple(map(trial, settings)), len(settings))
    for key, (low, high) in _ranges(space).items():
        check_settings(changed(method, {key: low}), config)
        check_settings(changed(method, {key: high}), config)
    assert config.tune.trials is not None
    return Tuned(method, space, tuple(_suggested(method, space, config, trial)), config.tune.trials)


def _suggested(
    method: Method,
    space: Space,
    config: ExperimentConfig,
    trial: Callable[[dict[str, Value]], Trial],
) -> Iterator[Trial]:
    """Yields the trials that a sampler chooses one after the other, up to the first open one."""
    maximise = config.tune.score != "validation loss"
    assert config.tune.trials is not None
    samples = suggest(method, space, config, maximise=maximise)
    values = next(samples)
    for _ in range(config.tune.trials):
        found = trial(values)
        yield found
        if found.scores is None:
            return
        values = samples.send(found.score)


def _ranges(space: Space) -> dict[str, tuple[float, float]]:
    return {
        key: value_range(values[0])
        for key, values in space.items()
        if len(values) == 1 and isinstance(values[0], str) and ".." in values[0]
    }


class _Open:
    """The score of a cell that is not finished."""


_OPEN = _Open()


def _score(store: CellStore, cell: CellSpec, config: ExperimentConfig) -> Score | _Open:
    training = store.load("training", cell.identities["training"])
    if training is None:
        return _OPEN
    if training.value["status"] == "diverged":
        return None
    found = store.load("validation", cell.identities["validation"])
    if found is None:
        return _OPEN
    if config.tune.score == "validation loss":
        return found.value["loss"]
    clean = config.tune.score == "validation accuracy"
    return found.value["accuracy"] if clean else found.value["corrupted_accuracy"]


def _known(score: Score | _Open) -> Score:
    assert not isinstance(score, _Open)
    return score


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
    ranges = _ranges(space)
    for key, value in chosen.items():
        if not _is_number(value):
            continue
        if key in ranges:
            low, high = ranges[key]
            if float(value) <= low * _NEAR or float(value) >= high / _NEAR:
                yield key
            continue
        numbers = [float(v) for v in space[key] if _is_number(v)]
        if len(numbers) > 1 and float(value) in {min(numbers), max(numbers)}:
            yield key
