"""Stored results: damaged bytes, and valid JSON of the wrong form or with wrong numbers."""

from __future__ import annotations

import copy
import functools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import synthetic_runs

from malformed.case import Case
from malformed.mutations import OTHERS, cuts, damage

_FREE = {"config", "options", "sparsifier_options", "changed"}  # any JSON may stand there
_WRONG: tuple[Any, ...] = (None, "x", -1, 1e300, [], {}, True, [None], 10**40)


@functools.cache
def content() -> dict[str, Any]:
    """Results of two methods and two seeds; not to be changed."""
    made = synthetic_runs.make_results(kinds=2, seeds=2, corruptions=2, n=40)
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of every value; of lists, the first item stands for all."""
    if path:
        yield path
    if path and path[-1] in _FREE:
        return
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value[:1])
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from _places(item, (*path, key))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


_MEANING: dict[str, Callable[[Any], object]] = {
    "a method twice": lambda r: r["methods"].append(r["methods"][0]),
    "a cell twice": lambda r: r["cells"].append(r["cells"][0]),
    "a cell of no method": lambda r: r["cells"][0].update(method="x"),
    "a seed of no method": lambda r: r["cells"][0].update(seed=99),
    "accuracy 1.5": lambda r: r["cells"][0]["robustness"]["rows"][0].update(accuracy=1.5),
    "accuracy -0.1": lambda r: r["cells"][0]["robustness"]["rows"][0].update(accuracy=-0.1),
    "no images": lambda r: r["cells"][0]["robustness"]["rows"][0].update(n=0),
    "severity 9": lambda r: r["cells"][0]["robustness"]["rows"][1].update(severity=9),
    "a row twice": lambda r: r["cells"][0]["robustness"]["rows"].append(r["cells"][0]["robustness"]["rows"][0]),
    "no clean row": lambda r: r["cells"][0]["robustness"]["rows"].pop(0),
    "a summary of no method": lambda r: r["summary"].update(x=next(iter(r["summary"].values()))),
    "a comparison of no method": lambda r: r["comparisons"][0].update(method="x"),
    "a ranking of no method": lambda r: r["ranking"][0]["order"].append("x"),
    "means fewer than methods": lambda r: r["ranking"][0]["means"].pop(),
    "a failure of no method": lambda r: r["failures"].append({"cell": "x", "method": "x", "seed": 0, "error": ""}),
    "sparsity 1.5": lambda r: r["methods"][0].update(sparsity=1.5),
    "a plane not square": lambda r: r["cells"][0]["landscape"]["plane"]["losses"].pop(),
    "a ragged plane": lambda r: r["cells"][0]["landscape"]["plane"]["losses"][0].pop(),
    "a line of other length": lambda r: r["cells"][0]["landscape"]["line"]["losses"][0].pop(),
    "accuracies of other length": lambda r: r["cells"][0]["landscape"]["line"]["accuracies"][0].pop(),
    "low above high": lambda r: r["cells"][0]["robustness"]["rows"][0].update(low=0.9, high=0.1),
    "id climbs": lambda r: r["cells"][0].update(id="../../x"),
    "id absolute": lambda r: r["cells"][0].update(id="/etc/x"),
    "p of 2": lambda r: r["comparisons"][0]["rows"][0].update(p=2),
    "margin of 3": lambda r: r["comparisons"][0]["rows"][0]["equivalence"].update(margin=-3),
    "a class twice": lambda r: r["data"]["classes"].append(r["data"]["classes"][0]),
    "a corruption without category": lambda r: r["suite"]["categories"].clear(),
    "epochs negative": lambda r: r["cells"][0]["training"].update(epochs=-3),
    "per seed too few": lambda r: r["comparisons"][0]["rows"][0]["per_seed"].clear(),
}  # fmt: skip


def cases() -> Iterator[Case]:
    """Yields bytes, then values, then contradictions, then other versions."""
    whole = json.dumps(content()).encode()
    for what, changed in (*cuts(whole), *OTHERS.items()):
        yield _case(what, changed)
    for what, changed in damage(whole, seed=9, count=16):
        yield _case(what, changed, "either")
    draw = random.Random(4)
    for path in _places(content()):
        name = ".".join(map(str, path))[-50:]
        if isinstance(path[-1], str) and len(path) < 3 and path[0] != "summary":
            yield _case(
                f"{name} missing",
                _changed(lambda r, p=path: _at(r, p[:-1]).pop(p[-1])),
                "either" if name == "recipe" else "refused",
            )
        for wrong in draw.sample(_WRONG, 1):
            if not _fits(wrong, _at(content(), path), path):
                yield _case(
                    f"{name} = {wrong!r:.9}",
                    _changed(lambda r, p=path, w=wrong: _at(r, p[:-1]).__setitem__(p[-1], w)),
                )
    for what, change in _MEANING.items():
        yield _case(what, _changed(change))
    for what, text in _TEXTS.items():
        yield _case(what, text.encode())


_TEXTS = {
    "NaN": '{"schema": 2, "title": NaN}',
    "a key twice": '{"schema": 1, "schema": 2}',
    "deep": '{"schema": 2, "config": ' + "[" * 50000 + "]" * 50000 + "}",
    "huge integer": '{"schema": ' + "9" * 9000 + "}",
    "1e999": '{"schema": 2, "title": 1e999}',
    "version 3": '{"schema": 3}',
    "version 0": '{"schema": 0}',
    "version 1, empty": '{"schema": 1}',
    "version 1, wrong": '{"schema": 1, "cells": 3, "comparisons": [], "summary": {}, "claims": []}',
    "version 1, cells of lists": '{"schema": 1, "cells": [[]], "comparisons": [], "summary": {}, "claims": []}',
    "version 1.5": '{"schema": 1.5}',
    "byte order mark": "\ufeff{}",
}


def _fits(wrong: Any, sound: Any, path: tuple[Any, ...]) -> bool:
    """Whether a value may stand in the place of another: then it is no damage."""
    if path[-1] in _FREE or any(key in _FREE for key in path):
        return isinstance(wrong, dict) or (len(path) > 1 and path[0] == "config")
    number = isinstance(sound, int | float) and not isinstance(sound, bool)
    # numbers may be of any size where they are measured; the cases below have those that may not
    return (
        wrong == sound
        or sound is None
        or wrong is None
        or (isinstance(wrong, str) and isinstance(sound, str))
        or (isinstance(wrong, list) and isinstance(sound, list))
        or (isinstance(wrong, dict) and isinstance(sound, dict))
        or (isinstance(wrong, bool) and isinstance(sound, bool))
        or (number and isinstance(wrong, int | float) and not isinstance(wrong, bool))
    )


def _changed(change: Callable[[Any], object]) -> Callable[[], bytes]:
    def build() -> bytes:
        results = copy.deepcopy(content())
        change(results)
        return json.dumps(results).encode()

    return build


def _case(what: str, text: bytes | Callable[[], bytes], outcome: Any = "refused") -> Case:
    def make(folder: Path) -> list[str]:
        (folder / "results.json").write_bytes(text() if callable(text) else text)
        return ["report", str(folder)]

    return Case(f"results/{what}", make, "results.json", outcome)
