"""The whole comparison: from settings to what the page shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import require_writable, write_json
from robustbench_zosam.nzk.classifiers import Subject, classifier_problems
from robustbench_zosam.nzk.compare import compare
from robustbench_zosam.nzk.distributions import ProbeDistribution
from robustbench_zosam.nzk.measure import by_distribution, output_coupling, through_training
from robustbench_zosam.nzk.problems import Problem, make_problems, synthetic_linear
from robustbench_zosam.nzk.schema import VERSION, ProblemResult, StudyOptions, StudyResults
from robustbench_zosam.nzk.setup import ComparisonSetup
from robustbench_zosam.provenance import command, commit, hardware, now, versions

_TUNING_SEEDS = 5
_FIRST_TUNING_SEED = 1_000_000  # far from what users number their seeds with


@dataclass(frozen=True)
class StudyConfig:
    """What is compared, and how precisely.

    Attributes:
        data: "digits", "synthetic" or "both"; not for trained classifiers.
        classes: digits to tell apart, two or more.
        outputs: of every model: 1 for two classes, one for each class, any number for synthetic
            data alone; None takes 1 for two classes.
        subject: trained classifiers, which then are studied instead.
        seeds: of the evaluation.
        steps: of a tuning run.
        draws: directions for each measured kernel.

    Raises:
        InputError: a number is out of range, or a seed is given twice.
    """

    data: str = "both"
    classes: tuple[int, ...] = (3, 5)
    outputs: int | None = None
    subject: Subject | None = None
    seeds: tuple[int, ...] = tuple(range(10))
    steps: int = 1000
    draws: int = 4096

    def __post_init__(self) -> None:
        require_integer("--steps", self.steps, least=10)
        require_integer("--draws", self.draws, least=100)
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"--seeds is {self.seeds}: give at least one, and none twice")
        if max(self.seeds) >= _FIRST_TUNING_SEED:
            raise InputError(f"--seeds has {max(self.seeds)}: give seeds below a million")

    def problems(self) -> tuple[Problem, ...]:
        """Returns what is trained."""
        if self.subject is not None:
            return classifier_problems(self.subject)
        return make_problems(self.data, self.classes, self.outputs)

    def options(self) -> StudyOptions:
        """Returns what the results say of it."""
        subject = self.subject
        return {
            "data": self.data if subject is None else subject.config.data.name,
            "models": [] if subject is None else list(map(str, subject.models)),
            "images": None if subject is None else subject.images,
            "classes": list(map(str, self.classes if subject is None else subject.classes)),
            "outputs": self.outputs,
            "seeds": list(self.seeds),
            "steps": self.steps,
            "draws": self.draws,
        }


def run_study(
    config: StudyConfig, out: Path, say: Callable[[str], None] = lambda _: None
) -> StudyResults:
    """Runs the comparison and stores it.

    Args:
        config: what is compared.
        out: folder that receives `nzk.json`.
        say: told what is being done.

    Returns:
        The stored results.
    """
    require_writable(out)
    problems = config.problems()
    started = time.monotonic()
    say("kernels of seven distributions")
    with _one_thread() if config.subject is None else nullcontext():
        rows = by_distribution(synthetic_linear(), 4 * config.draws)
        found = [_study(problem, config, say) for problem in problems]
    source, dirty = commit()
    results: StudyResults = {
        "schema": VERSION,
        "kind": "nzk",
        "title": "Zero-order descent as kernel descent",
        "config": config.options(),
        "tuning": {
            "seeds": 0 if config.subject else _TUNING_SEEDS,
            "rates": len(found[0]["relative_rates"]),
        },
        "distributions": {"draws": 4 * config.draws, "rows": rows},
        "problems": found,
        "provenance": {
            "command": command(),
            "finished": now(),
            "seconds": round(time.monotonic() - started, 1),
            "commit": source,
            "dirty": dirty,
            "versions": versions(),
            "hardware": hardware("cpu"),
        },
    }
    write_json(out / "nzk.json", results)
    return results


def _study(problem: Problem, config: StudyConfig, say: Callable[[str], None]) -> ProblemResult:
    directions = ProbeDistribution("gaussian")
    tuning = tuple(range(_FIRST_TUNING_SEED, _FIRST_TUNING_SEED + _TUNING_SEEDS))
    say(f"{problem.title}: tuning and training")
    compared, points = compare(
        ComparisonSetup(problem, directions, config.steps, config.seeds, tuning)
    )
    say(f"{problem.title}: kernels through training")
    return {
        "name": problem.name,
        "title": problem.title,
        "detail": problem.detail,
        "linear": problem.linear,
        "n": len(problem.regression.inputs),
        "dimension": problem.regression.model.dimension,
        "outputs": problem.regression.outputs,
        "kernel": through_training(problem, points, directions, config.draws, config.seeds[0]),
        "coupling": output_coupling(problem, directions, config.draws, config.seeds[0]),
        **compared,
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keeps torch to one thread: the tensors are so small that threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
