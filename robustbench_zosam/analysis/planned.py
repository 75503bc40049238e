"""Which comparisons answer a question: all else equal, one thing differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robustbench_zosam.schema import Question

CONTROLS = ("random-perturbation", "s2-sam", "sam")  # stand beside every ZO-SAM claim


@dataclass(frozen=True)
class Planned:
    """A comparison worth making.

    Attributes:
        method: id of the method.
        baseline: id of what it is compared with.
        question: what differs between the two.
    """

    method: str
    baseline: str
    question: Question


def setting(method: Mapping[str, Any]) -> str:
    """Returns sparsifier and sparsity of a trained method, in words.

    Args:
        method: in the form of the results.
    """
    if method["sparsity"] == 0:
        return "dense"
    return f"{method['sparsifier']} {100 * method['sparsity']:g} %"


def plan_comparisons(methods: Sequence[Mapping[str, Any]]) -> tuple[Planned, ...]:
    """Chooses the comparisons that answer a question.

    Args:
        methods: in the form of the results: `id`, `kind`, `optimizer`, `sparsifier`, `sparsity`.

    Returns:
        Each optimizer against SGD at equal sparsity, ZO-SAM also against its controls, the other
        relatives of SAM against SAM, sparse SGD against dense SGD; loaded checkpoints against the
        first of them.
    """
    loaded = [m["id"] for m in methods if m["kind"] == "checkpoint"]
    planned = [Planned(name, loaded[0], "model") for name in loaded[1:]]
    groups: dict[tuple[str, float], dict[str, str]] = {}
    for m in methods:
        if m["kind"] == "trained":
            groups.setdefault((m["sparsifier"], m["sparsity"]), {})[m["optimizer"]] = m["id"]
    for group in groups.values():
        planned += _within(group)
    sgd = {sparsity: g["sgd"] for (_, sparsity), g in groups.items() if "sgd" in g}
    planned += [
        Planned(group["sgd"], sgd[0.0], "sparsity")
        for (_, sparsity), group in groups.items()
        if sparsity > 0 and "sgd" in group and 0.0 in sgd
    ]
    return tuple(planned)


def _within(group: Mapping[str, str]) -> Iterator[Planned]:
    """Yields the comparisons between the optimizers of one sparsity."""
    reference = "sgd" if "sgd" in group else next(iter(group))
    for optimizer, name in group.items():
        if optimizer != reference:
            yield Planned(name, group[reference], "optimizer")
        for control in _controls(optimizer):
            if control in group and control != reference:
                yield Planned(name, group[control], "optimizer")


def _controls(optimizer: str) -> tuple[str, ...]:
    if optimizer.startswith("zo-sam"):
        return CONTROLS
    return ("sam",) if optimizer in {"xsam", "ssam-f", "ssam-d"} else ()
