"""Fair tuning: as many trials for each method, scored on validation images alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import prod

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.config_sweeps import Value
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.runs.methods import Method, check_settings
from robustbench_zosam.runs.suggesting import suggest
from robustbench_zosam.runs.tuner import Score, Space, Trial, Tuned, Tuner, ranges
from robustbench_zosam.runs.variants import changed, check_keys, own_values, renamed


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
    for key, (low, high) in ranges(space).items():
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
