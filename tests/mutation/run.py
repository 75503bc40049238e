"""Mutation testing of the numerical core: the tests must notice 85 % of a sample of mutants.

`[tool.mutmut]` in pyproject.toml names the mutated files and the tests. Every mutant runs in a
process of its own and only against the tests that call the mutated function. Results are kept in
`mutants/`: an interrupted session goes on, and a later one repeats only what had survived or whose
function has changed.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections import Counter

LEAST = 0.85  # share of the sample that must be killed
SAMPLE = 200
SEED = 0
FIRST = "robustbench_zosam.statistics.intervals.x_holm__mutmut_1"  # to write the mutants with
KILLED = {"killed", "timeout", "segfault"}


def main() -> int:
    """Runs the sample, prints what survived and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=SAMPLE, help="mutants to test; 0: all")
    parser.add_argument("--seed", type=int, default=SEED, help="of the sample")
    parser.add_argument("--only", default="", help="part of the mutants' names, such as .density.")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    run = ["run", "--max-children", str(options.processes)]
    if not statuses():
        mutmut(*run, FIRST)
    names = sorted(name for name in statuses() if options.only in name)
    if 0 < options.sample < len(names):
        names = sorted(random.Random(options.seed).sample(names, options.sample))
    mutmut("run", "--max-children", "1", FIRST)  # writes mutants again whose functions changed
    found = statuses()
    left = [name for name in names if found.get(name) not in KILLED]
    if left:
        mutmut(*run, *left)
        found = statuses()
    return report({name: found[name] for name in names})


def mutmut(*arguments: str, quiet: bool = False) -> str:
    """Runs mutmut and returns what it printed."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE if quiet else None)
    if done.returncode:
        sys.exit(f"mutmut {arguments[0]} failed: see above (do the tests pass without mutants?)")
    return done.stdout or ""


def statuses() -> dict[str, str]:
    """Returns what is known of every mutant."""
    lines = mutmut("results", "--all", "true", quiet=True).splitlines()
    return dict(line.strip().split(": ") for line in lines if ": " in line)


def report(found: dict[str, str]) -> int:
    """Prints survivors and counts; returns 1 where too many survived."""
    survivors = [name for name, status in found.items() if status not in KILLED]
    for name in survivors:
        sys.stdout.write(mutmut("show", name, quiet=True))
    modules = {name: name.partition(".x")[0] for name in found}
    totals = Counter(modules.values())
    alive = Counter(modules[name] for name in survivors)
    for module, total in sorted(totals.items()):
        sys.stdout.write(f"{total - alive[module]:5} of {total:5} {module}\n")
    share = 1 - len(survivors) / len(found)
    sys.stdout.write(f"{len(found) - len(survivors)} of {len(found)} mutants killed: {share:.1%}\n")
    return int(share < LEAST)


if __name__ == "__main__":
    sys.exit(main())
