"""Experiments with known truth: do intervals cover it, and how often are verdicts wrong?

Every outcome is right where a sum of normal terms is positive, so that the true accuracies, over
seeds and images as well as for given models, are values of the normal distribution function.

As a script it makes the table of docs/statistics.md, and fails where a nominal rate is missed.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats
from small_results import run

from robustbench_zosam.analysis import CellScores, compare, compare_planned, rank
from robustbench_zosam.claims import evaluate_claims
from robustbench_zosam.statistics import t_interval, wilson

CONDITIONS = ("clean/0", *(f"{name}/{s}" for name in ("fog", "snow", "blur") for s in (1, 3, 5)))
FORCES = np.array([0.0, *(s * force for force in (0.1, 0.2, 0.3) for s in (1, 3, 5))])
CORRUPTED = slice(1, None)


@dataclass(frozen=True)
class Truth:
    """A simulated experiment.

    Attributes:
        seeds: training runs of each method.
        images: test images.
        effect: ability of the method above the baseline.
        seed_sd: standard deviation of the abilities of training runs.
        image_sd: standard deviation of the difficulties of images, common to all methods.
        own_sd: standard deviation of the difficulties of images for one method.
    """

    seeds: int
    images: int = 200
    effect: float = 0.0
    seed_sd: float = 0.1
    image_sd: float = 1.0
    own_sd: float = 0.3
    ability: float = 1.2

    @property
    def total_sd(self) -> float:
        """Returns the standard deviation of one outcome over seeds and images."""
        return math.sqrt(1 + self.seed_sd**2 + self.image_sd**2 + self.own_sd**2)

    def accuracies(self, ability: float) -> np.ndarray:
        """Returns the true accuracy of each condition."""
        return stats.norm.cdf((ability - FORCES) / self.total_sd)

    def difference(self) -> np.ndarray:
        """Returns the true difference of each condition, over seeds and images."""
        return self.accuracies(self.ability + self.effect) - self.accuracies(self.ability)

    def given(self, shifts: np.ndarray) -> np.ndarray:
        """Returns the true mean accuracies of models with these abilities, over images."""
        sd = math.sqrt(self.total_sd**2 - self.seed_sd**2)
        return stats.norm.cdf((self.ability + shifts[:, None] - FORCES) / sd).mean(axis=0)

    def draw(
        self, rng: np.random.Generator, methods: int = 2
    ) -> tuple[list[list[CellScores]], np.ndarray]:
        """Returns outcomes of methods, the first with the effect, and the abilities of its runs."""
        difficulty = rng.normal(0, self.image_sd, self.images)
        found, abilities = [], []
        for method in range(methods):
            own = rng.normal(0, self.own_sd, self.images)
            shifts = rng.normal(0, self.seed_sd, self.seeds) + self.effect * (method == 0)
            noise = rng.normal(size=(self.seeds, len(CONDITIONS), self.images))
            latent = self.ability + shifts[:, None, None] - FORCES[:, None] + difficulty + own
            correct = (latent + noise > 0).astype(np.uint8)
            found.append([CellScores(s, CONDITIONS, correct[s]) for s in range(self.seeds)])
            abilities.append(shifts)
        return found, np.stack(abilities)


def coverage(truth: Truth, trials: int, seed: int) -> Counter[str]:
    """Counts how often intervals of a comparison cover the truth, and verdicts are wrong."""
    rng, hits = np.random.default_rng(seed), Counter[str]()
    true = truth.difference()
    margin = abs(true[CORRUPTED].mean()) or 0.01
    for _ in range(trials):
        (mine, theirs), abilities = truth.draw(rng)
        found = compare("a", "b", mine, theirs, margin=margin)
        clean, mean, *corruptions = found["rows"]
        hits["clean"] += clean["low"] <= true[0] <= clean["high"]
        hits["mean"] += mean["low"] <= true[CORRUPTED].mean() <= mean["high"]
        given = truth.given(abilities[0]) - truth.given(abilities[1])
        limits = mean["given_models"]
        hits["given models"] += limits["low"] <= given[CORRUPTED].mean() <= limits["high"]
        hits["difference called"] += mean["verdict"] != "tie"
        hits["any corruption called"] += any(row["verdict"] != "tie" for row in corruptions)
        hits["exact test called"] += found["exact"][0]["p"] < 0.05
        hits["equivalence called"] += mean["equivalence"]["equivalent"]
    return hits


def claims(truth: Truth, trials: int, seed: int) -> Counter[str]:
    """Counts the verdicts on the claim of higher corruption accuracy."""
    rng, verdicts = np.random.default_rng(seed), Counter[str]()
    methods = [
        {"id": o, "kind": "trained", "optimizer": o, "sparsifier": "rigl", "sparsity": 0.9}
        for o in ("zo-sam", "sgd")
    ]
    for _ in range(trials):
        (mine, theirs), _ = truth.draw(rng)
        made = compare("zo-sam", "sgd", mine, theirs)
        results = run([made]) | {"methods": methods}
        claim = evaluate_claims(results)[0]
        assert claim["id"] == "zo-sam-robustness"
        verdicts[claim["verdict"]] += 1
    return verdicts


def splits(truth: Truth, trials: int, seed: int, methods: int) -> int:
    """Counts how often any of equal methods is told from the best."""
    rng = np.random.default_rng(seed)
    names = [str(i) for i in range(methods)]
    count = 0
    for _ in range(trials):
        drawn, _ = truth.draw(rng, methods)
        count += len(rank(dict(zip(names, drawn, strict=True)))["with_best"]) < methods
    return count


PLANNED = ("sgd", "random-perturbation", "s2-sam", "sam", "zo-sam")


def pages(truth: Truth, trials: int, seed: int) -> Counter[str]:
    """Counts how many pages about five equal methods call any mean, or any clean mean, different.

    Under "alone", as many as would without the correction over the comparisons of a page.
    """
    rng, hits = np.random.default_rng(seed), Counter[str]()
    methods = [
        {"id": o, "kind": "trained", "optimizer": o, "sparsifier": "rigl", "sparsity": 0.9}
        | {"role": "baseline" if o == "sgd" else "method"}
        for o in PLANNED
    ]
    for _ in range(trials):
        drawn, _ = truth.draw(rng, len(PLANNED))
        found = compare_planned(methods, dict(zip(PLANNED, drawn, strict=True)))
        means = [comparison["rows"][1] for comparison in found]
        hits["mean"] += any(row["verdict"] != "tie" for row in means)
        hits["clean"] += any(c["rows"][0]["verdict"] != "tie" for c in found)
        hits["alone"] += any(row["p"] < 0.05 for row in means)
    return hits


def single(trials: int, seed: int) -> Counter[str]:
    """Counts how often the intervals of single numbers cover the truth."""
    rng, hits = np.random.default_rng(seed), Counter[str]()
    for _ in range(trials):
        drawn = wilson(int(rng.binomial(500, 0.93)), 500)
        hits["wilson"] += drawn.low <= 0.93 <= drawn.high
        seeds = t_interval(rng.normal(0.9, 0.01, 3))
        hits["t"] += seeds.low <= 0.9 <= seeds.high
    return hits


TRIALS = 1000
SCENARIOS = {
    "2 seeds": Truth(2),
    "3 seeds": Truth(3),
    "5 seeds": Truth(5),
    "10 seeds": Truth(10),
    "3 seeds, all alike": Truth(3, seed_sd=0.0),
    "3 seeds, far apart": Truth(3, seed_sd=0.5),
    "3 seeds, 1000 images": Truth(3, images=1000),
    "3 seeds, an effect": Truth(3, effect=0.3),
    "1 seed, runs alike": Truth(1, seed_sd=0.0),
}
COVERING = ("clean", "mean", "given models")
CALLED = (
    "difference called", "any corruption called", "exact test called", "equivalence called",
)  # fmt: skip


def main() -> int:
    """Writes the table in Markdown; returns 1 where a nominal rate is missed."""
    error = math.sqrt(0.05 * 0.95 / TRIALS)
    heads = ["experiment", *COVERING, *CALLED]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    missed = []
    for number, (name, truth) in enumerate(SCENARIOS.items()):
        hits = coverage(truth, TRIALS, number)
        shares = [hits[key] / TRIALS for key in (*COVERING, *CALLED)]
        lines.append(f"| {name} | " + " | ".join(f"{100 * s:.1f}" for s in shares) + " |")
        missed += [f"{name}: {key}" for key in COVERING if hits[key] / TRIALS < 0.93 - 4 * error]
        if truth.effect == 0:
            limit = 0.07 + 4 * error
            missed += [f"{name}: {key}" for key in CALLED[:2] if hits[key] / TRIALS > limit]
    sys.stdout.write("\n".join(lines) + f"\n\n{TRIALS} experiments each; {asdict(Truth(3))}\n")
    for seeds in (3, 5):
        found = claims(Truth(seeds), TRIALS, seeds)
        sys.stdout.write(f"claims without an effect, {seeds} seeds: {dict(found)}\n")
        missed += ["claims"] if found["supported"] / TRIALS > 0.035 + 4 * error else []
    for methods in (3, 6):
        count = splits(Truth(3), TRIALS, methods, methods)
        sys.stdout.write(f"{methods} equal methods told from the best: {count} of {TRIALS}\n")
        missed += ["ranking"] if count / TRIALS > 0.07 + 4 * error else []
    for seeds in (3, 5):
        called = pages(Truth(seeds), TRIALS, seeds)
        sys.stdout.write(f"pages of five equal methods, {seeds} seeds: {dict(called)} called\n")
        missed += [
            f"pages: {k}" for k in ("mean", "clean") if called[k] / TRIALS > 0.05 + 3 * error
        ]
    found = single(TRIALS, 0)
    sys.stdout.write(f"single numbers covered: {dict(found)} of {TRIALS}\n")
    sys.stdout.write(f"nominal rates missed: {missed or 'none'}\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
