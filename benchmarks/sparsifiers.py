"""Every sparsifier at 90, 95 and 98 % on scikit-learn's digits: accuracy, and the thinnest layer.

SGD and the same recipe for all; test accuracy after the last epoch, mean over seeds with its 95 %
interval (Student's t), in per cent. It shows that all of them train and where a layer wears thin;
so small a task says little about which is better on a large one. LTH and LRR train as often as they
prune, and once before; "shared" has one training's steps for all rounds.

    python benchmarks/sparsifiers.py [--out DIR] [--epochs N] [--seeds N] [--only NAME …] [--write]

Interrupted, it goes on from where it was. `--write` puts the table into docs/sparsifiers/README.md.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
# This folder's corruptions.py must not stand for the package of that name.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != HERE.parent]

import torch  # noqa: E402

from robustbench_zosam.data import load_prepared  # noqa: E402
from robustbench_zosam.loading import load_config  # noqa: E402
from robustbench_zosam.models.checkpoints import load_checkpoint  # noqa: E402
from robustbench_zosam.models.predict import predict_logits  # noqa: E402
from robustbench_zosam.runs import experiment  # noqa: E402
from robustbench_zosam.runs.cell_store import CellSpec  # noqa: E402
from robustbench_zosam.runs.plan import Plan, make_plan  # noqa: E402
from robustbench_zosam.statistics import t_interval  # noqa: E402

PAGE = HERE.parents[1] / "docs/sparsifiers/README.md"
START, END = "<!-- digits: begin -->\n", "<!-- digits: end -->"
SPARSITIES = (0.9, 0.95, 0.98)
UNIFORM = {"allocation": "uniform"}


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        label: as printed.
        sparsifier: its name.
        options: of the sparsifier.
    """

    label: str
    sparsifier: str
    options: dict[str, Any] = field(default_factory=dict)


ROWS = (
    Row("dense", "dense"),
    Row("random, ERK", "random"),
    Row("random, uniform", "random", UNIFORM),
    Row("shuffle (of SNIP)", "shuffle"),
    Row("small-dense", "small-dense"),
    Row("SNIP", "snip"),
    Row("GraSP", "grasp"),
    Row("SynFlow", "synflow"),
    Row("magnitude", "magnitude"),
    Row("GMP", "gmp"),
    Row("LTH", "lth"),
    Row("LRR", "lrr"),
    Row("LTH, 5 prunings", "lth", {"prunings": 5}),
    Row("LRR, 5 prunings", "lrr", {"prunings": 5}),
    Row("LTH, 5 prunings, shared", "lth", {"prunings": 5, "budget": "shared"}),
    Row("SET", "set"),
    Row("DSR", "dsr"),
    Row("RigL", "rigl"),
    Row("RigL-ITOP", "rigl-itop"),
    Row("GraNet", "granet"),
    Row("MEST-EM", "mest-em"),
    Row("MEST-EM&S", "mest-ems"),
    Row("MEST-EM, ERK", "mest-em", {"allocation": "erk"}),
)


def plan_of(row: Row, out: Path, epochs: int, seeds: int) -> Plan:
    """The cells of a line."""
    place = out / re.sub(r"\W+", "-", row.label).strip("-").lower()
    return make_plan(
        load_config(None, {
            "run.out": str(place),
            "run.device": "cpu",
            "run.workers": 0,
            "run.threads": 1,
            "optimizers": ["sgd"],
            "dense_reference": False,
            "sparsifiers": [row.sparsifier],
            "sparsities": [0.0] if row.sparsifier == "dense" else list(SPARSITIES),
            "sparsifier": {row.sparsifier: row.options} if row.options else {},
            "seeds": list(range(seeds)),
            "training.epochs": epochs,
        }),
        measure=False,
    )  # fmt: skip


def look_at(plan: Plan, cell: CellSpec) -> dict[str, Any]:
    """Test accuracy of a trained cell, its layers and its length."""
    store = plan.store(cell)
    record = store.load("training", cell.identities["training"])
    assert record is not None
    if record["status"] != "done":
        raise SystemExit(f"{cell.id} {record['status']}")
    test = load_prepared(plan.data.file).test
    model = load_checkpoint(store.model_file).model
    right = predict_logits(model, test.images, torch.device("cpu")).argmax(1).numpy() == test.labels
    return {
        "accuracy": float(right.mean()),
        "steps": record["steps"],
        "smallest": min(layer["active"] for layer in record["sparsity"]["layers"]),
        "collapsed": record["sparsity"]["collapsed"],
    }


def line(row: Row, out: Path, epochs: int, seeds: int) -> str:
    """Trains what is missing of a line, and words it."""
    plan, started = plan_of(row, out, epochs, seeds), time.perf_counter()
    outcome = experiment.run(plan, lambda event: None, report=False)
    if outcome.failed:
        raise SystemExit(next(iter(outcome.failed.values())))
    texts, length = [], 0
    for sparsity in (0.0,) if row.sparsifier == "dense" else SPARSITIES:
        found = [look_at(plan, cell) for cell in plan.cells if cell.method.sparsity == sparsity]
        length = max(length, found[0]["steps"])
        texts += [worded([one["accuracy"] for one in found]), thinnest(found)]
    texts += ["", ""] * (3 - len(texts) // 2)
    print(f"{row.label}: {texts} after {time.perf_counter() - started:.0f} s", flush=True)
    return table_row(row.label, f"{length:,}", *texts)


def table_row(*cells: str) -> str:
    """A line of Markdown."""
    return re.sub(r" +", " ", f"| {' | '.join(cells)} |")


def worded(accuracies: list[float]) -> str:
    """Mean and half-width of its interval, in per cent."""
    found = t_interval(accuracies)
    half = "" if found.high is None else f" ± {100 * (found.high - found.value):.1f}"
    return f"{100 * found.value:.1f}{half}"


def thinnest(found: list[dict[str, Any]]) -> str:
    """Weights in the thinnest layer of any seed, and in how many seeds one has collapsed."""
    collapsed = sum(bool(one["collapsed"]) for one in found)
    said = f" (collapsed in {collapsed} of {len(found)})" if collapsed else ""
    return f"{min(one['smallest'] for one in found)}{said}"


def main() -> None:
    """Runs all lines and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("zosam-robust-sparsifiers"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="labels of lines")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    given, _ = parser.parse_known_args()  # nox hands every benchmark the same options
    rows = [row for row in ROWS if not given.only or row.label in given.only]
    columns = [text for s in SPARSITIES for text in (f"{100 * s:g} %", "thinnest")]
    lines = [table_row("", "steps", *columns), "|---" * (2 + len(columns)) + "|"]
    lines += [line(row, given.out, given.epochs, given.seeds) for row in rows]
    table = "\n".join(lines) + "\n"
    print(f"\n{given.epochs} epochs, {given.seeds} seeds\n\n{table}")
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(START)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{START}{table}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
