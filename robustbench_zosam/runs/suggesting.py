"""Settings to try next, by Optuna's sampler: the same ones whenever the same scores came before."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.config_sweeps import Value, value_range
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.options import Integer
from robustbench_zosam.seeds import derive_seed
from robustbench_zosam.sparsity.registry import SPARSIFIERS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from robustbench_zosam.runs.methods import Method

_SEEDS = 2**32  # of Optuna's samplers
_DIGITS = 4  # of a number, so that ids are short


def suggest(
    method: Method,
    space: Mapping[str, Sequence[Value]],
    config: ExperimentConfig,
    *,
    maximise: bool,
) -> Generator[dict[str, Value], float | None, None]:
    """Yields settings, each for the scores that were sent before; None is a failed trial.

    Args:
        space: a list of values, or one range such as "0.01..1", which is searched on a log scale.
        maximise: whether a higher score is better.

    Raises:
        InputError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "tune.sampler=optuna needs the package optuna: pip install 'zosam-robust[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if maximise else "minimize",
        sampler=optuna.samplers.TPESampler(seed=derive_seed("tuning", method.id) % _SEEDS),
    )
    wanted = {key: _distribution(key, values, method, config) for key, values in space.items()}
    while True:
        trial = study.ask(wanted)
        score = yield {key: _rounded(trial.params[key]) for key in space}
        if score is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, score)


def _rounded(value: Value) -> Value:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _distribution(
    key: str, values: Sequence[Value], method: Method, config: ExperimentConfig
) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    first = values[0]
    if len(values) > 1 or not isinstance(first, str) or ".." not in first:
        return CategoricalDistribution(list(values))
    low, high = value_range(first)
    if _is_whole(key, method, config):
        return IntDistribution(max(round(low), 1), round(high), log=True)
    return FloatDistribution(low, high, log=True)


def _is_whole(key: str, method: Method, config: ExperimentConfig) -> bool:
    section, name = key.split(".")
    if section == "training":
        return isinstance(getattr(config.training, name), int)
    registry = OPTIMIZERS if section == "optimizer" else SPARSIFIERS
    owner = method.optimizer if section == "optimizer" else method.sparsifier
    return isinstance(registry[owner].options.get(name), Integer)
