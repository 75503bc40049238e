"""Contradictions in results whose form is right: what no run can have written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from robustbench_zosam.schema import (
    Cell,
    Comparison,
    DataFacts,
    Landscape,
    MethodFacts,
    PairedDifference,
    Plane,
    Ranking,
    Results,
    Robustness,
    SuiteFacts,
    Training,
    Tuning,
)

_SEVERITIES = range(1, 6)


def contradictions(results: Results) -> Iterator[str]:
    """Yields what is wrong, each as the beginning of a sentence."""
    methods = {method["id"]: method for method in results["methods"]}
    if not methods:
        yield "it has no methods"
    yield from _twice("the method", (method["id"] for method in results["methods"]))
    for method in results["methods"]:
        yield from _method(method)
    yield from _twice("the cell", (cell["id"] for cell in results["cells"]))
    yield from _twice(
        "the seed", (f"{cell['seed']} of {cell['method']}" for cell in results["cells"])
    )
    for cell in results["cells"]:
        yield from _cell(cell, methods)
    yield from _unknown("a failure", (x["method"] for x in results["failures"]), methods)
    yield from _unknown("the summary", results["summary"], methods)
    for comparison in results["comparisons"]:
        yield from _comparison(comparison, methods)
    for ranking in results["ranking"]:
        yield from _ranking(ranking, methods)
    if "tuning" in results:
        yield from _tuning(results["tuning"], methods)
    yield from _data(results["data"])
    yield from _suite(results["suite"])


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what} {name} stands there twice"
        seen.add(name)


def _unknown(what: str, names: Iterable[str], methods: Collection[str]) -> Iterator[str]:
    for name in names:
        if name not in methods:
            yield f"{what} speaks of {name!r}, which is none of its methods"


def _within(what: str, low: float, high: float, *values: float | None) -> Iterator[str]:
    for value in values:
        if value is not None and not low <= value <= high:
            yield f"{what} is {value:g}, not from {low:g} to {high:g}"


def _name(what: str, name: str) -> Iterator[str]:
    """Names become those of files and folders."""
    if not name or name.startswith(".") or not {"/", "\\", "\0", "\n"}.isdisjoint(name):
        yield f"{what} is called {name!r}, which is no name of a folder"


def _ordered(what: str, low: float | None, high: float | None) -> Iterator[str]:
    if low is not None and high is not None and low > high:
        yield f"{what} has the interval {low:g} to {high:g}"


def _method(method: MethodFacts) -> Iterator[str]:
    yield from _name("a method", method["id"])
    yield from _within(f"the sparsity of {method['id']}", 0, 1, method["sparsity"])


def _cell(cell: Cell, methods: dict[str, MethodFacts]) -> Iterator[str]:
    name = cell["id"]
    yield from _name("a cell", name)
    yield from _unknown(f"the cell {name}", [cell["method"]], methods)
    if cell["method"] in methods and cell["seed"] not in methods[cell["method"]]["seeds"]:
        yield f"the cell {name} has the seed {cell['seed']}, which its method has not"
    if cell["sparsity"] is not None:
        shares = cell["sparsity"]["maskable"], cell["sparsity"]["total"]
        yield from _within(f"a sparsity of {name}", 0, 1, *shares)
    if cell["training"] is not None:
        yield from _training(name, cell["training"])
    if cell["robustness"] is not None:
        yield from _robustness(name, cell["robustness"])
    if cell["landscape"] is not None:
        yield from _landscape(name, cell["landscape"])


def _training(name: str, training: Training) -> Iterator[str]:
    counts = training["epochs"], training["steps"], training["batch_size"]
    costs = training["cost"]
    if min(counts) < 0 or min(costs["forwards"], costs["backwards"], costs["seconds"]) < 0:
        yield f"{name} was trained for {training['epochs']} epochs at negative cost"
    for row in training["history"]:
        yield from _within(f"an accuracy of {name}", 0, 1, row["validation_accuracy"])


def _robustness(name: str, found: Robustness) -> Iterator[str]:
    rows = found["rows"]
    yield from _twice(f"in {name}, the row", (f"{r['corruption']}/{r['severity']}" for r in rows))
    if [row["severity"] for row in rows if row["corruption"] == "clean"] != [0]:
        yield f"{name} has no row of clean images"
    for row in rows:
        where = f"{row['corruption']} of {name}"
        yield from _within(
            f"an accuracy under {where}", 0, 1, row["accuracy"], row["low"], row["high"]
        )
        yield from _ordered(where, row["low"], row["high"])
        if row["n"] < 1:
            yield f"{where} has {row['n']} images"
        if row["corruption"] != "clean" and row["severity"] not in _SEVERITIES:
            yield f"{where} has the severity {row['severity']}"
    yield from _within(
        f"an accuracy of {name}", 0, 1, found["clean_accuracy"], found["mean_corruption_accuracy"]
    )


def _landscape(name: str, found: Landscape) -> Iterator[str]:
    line = found["line"]
    points = len(line["positions"])
    rows: list[Sequence[float | None]] = [*line["losses"], *line["accuracies"]]
    if any(len(row) != points for row in rows):
        yield f"the line of {name} does not have {points} values in every direction"
    if "band" in line:
        band = line["band"]
        if {len(band["mean"]), len(band["low"]), len(band["high"])} != {points}:
            yield f"the band of {name} does not have {points} values"
    if "plane" in found:
        yield from _plane(name, found["plane"])


def _plane(name: str, plane: Plane) -> Iterator[str]:
    side = len(plane["positions"])
    planes: list[Sequence[Sequence[float | None]]] = [plane["losses"]]
    if "accuracies" in plane:
        planes.append(plane["accuracies"])
    if any(len(each) != side or any(len(row) != side for row in each) for each in planes):
        yield f"the plane of {name} is not {side} by {side}"


def _comparison(found: Comparison, methods: Collection[str]) -> Iterator[str]:
    names = found["method"], found["baseline"]
    where = f"the comparison of {names[0]} with {names[1]}"
    yield from _unknown("a comparison", names, methods)
    yield from _twice(f"in {where}, the row", (row["corruption"] for row in found["rows"]))
    paired: list[PairedDifference] = [*found["rows"]]
    measures = found["slope"], found["flatness"], found["adaptive"], found.get("drop")
    paired += [measure for measure in measures if measure is not None]
    paired += found.get("scores", [])
    for row in paired:
        yield from _within(f"p in {where}", 0, 1, row["p"])
        yield from _ordered(where, row["low"], row["high"])
        if "nested" not in row and len(row["per_seed"]) != row["n_seeds"]:
            yield f"{where} has {len(row['per_seed'])} differences of {row['n_seeds']} seeds"
    for accuracy in found["rows"]:
        yield from _within(f"p in {where}", 0, 1, accuracy["p_holm"], accuracy["equivalence"]["p"])
        yield from _within(f"the margin in {where}", 0, 1, accuracy["equivalence"]["margin"])
        yield from _within(f"a difference in {where}", -1, 1, accuracy["difference"])


def _ranking(found: Ranking, methods: Collection[str]) -> Iterator[str]:
    yield from _unknown("a ranking", found["order"], methods)
    yield from _twice("in a ranking, the method", found["order"])
    if len(found["order"]) != len(found["means"]):
        yield "a ranking has not as many means as methods"
    if not set(found["with_best"]) <= set(found["order"]):
        yield "a ranking has methods beside the best that are not in its order"


def _tuning(found: Tuning, methods: Collection[str]) -> Iterator[str]:
    yield from _unknown("the tuning", (m["method"] for m in found["methods"]), methods)
    for method in found["methods"]:
        trials, chosen = method["trials"], method["chosen"]
        if chosen is not None and not 0 <= chosen < len(trials):
            yield f"the tuning of {method['method']} chose a trial that is not there"
        if len({tuple(trial["values"]) for trial in trials}) > 1:
            yield f"the trials of {method['method']} have different settings"


def _data(data: DataFacts) -> Iterator[str]:
    yield from _twice("the class", data["classes"])
    if not data["classes"] or min(data.get("image_size", 1), *data["counts"].values()) < 0:
        yield "its data has no classes, or less than no images"


def _suite(suite: SuiteFacts) -> Iterator[str]:
    for name in suite["corruptions"]:
        if name not in suite["categories"]:
            yield f"the corruption {name} is of no category"
    if not set(suite["severities"]) <= {*_SEVERITIES}:
        yield f"its severities are {suite['severities']}"
