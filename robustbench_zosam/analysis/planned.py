"""Which comparisons answer a question: all else equal, one thing differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.schema import MethodFacts, Question


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


def setting(method: MethodFacts) -> str:
    """Returns sparsifier and sparsity of a trained method, in words."""
    if method["sparsity"] == 0:
        return "dense"
    return f"{method['sparsifier']} {100 * method['sparsity']:g} %"


def plan_comparisons(methods: Sequence[MethodFacts]) -> tuple[Planned, ...]:
    """Chooses the comparisons that answer a question.

    Args:
        methods: in the form of the results.

    Returns:
        Each optimizer against the baseline at equal sparsity and against the optimizers it stands
        beside (see `OptimizerInfo.compared_with`), the sparse baseline against the dense one;
        loaded checkpoints against the first of them.
    """
    loaded = [m["id"] for m in methods if m["kind"] == "checkpoint"]
    planned = [Planned(name, loaded[0], "model") for name in loaded[1:]]
    groups: dict[tuple[str, float], dict[str, MethodFacts]] = {}
    for m in methods:
        if m["kind"] == "trained":
            groups.setdefault((m["sparsifier"], m["sparsity"]), {})[m["optimizer"]] = m
    for group in groups.values():
        planned += _within(group)
    baselines = {key: found for key, group in groups.items() if (found := _baseline(group))}
    dense = {sparsity: found["id"] for (_, sparsity), found in baselines.items()}.get(0.0)
    planned += [
        Planned(found["id"], dense, "sparsity")
        for (_, sparsity), found in baselines.items()
        if sparsity > 0 and dense is not None
    ]
    return tuple(planned)


def _baseline(group: Mapping[str, MethodFacts]) -> MethodFacts | None:
    return next((m for m in group.values() if m["role"] in {"baseline", "reference"}), None)


def _within(group: Mapping[str, MethodFacts]) -> Iterator[Planned]:
    """Yields the comparisons between the optimizers of one sparsity."""
    reference = (_baseline(group) or next(iter(group.values())))["id"]
    for optimizer, method in group.items():
        if method["id"] != reference:
            yield Planned(method["id"], reference, "optimizer")
        if optimizer not in OPTIMIZERS:  # its plug-in is not installed
            continue
        for other in OPTIMIZERS[optimizer].compared_with:
            if other in group and group[other]["id"] != reference:
                yield Planned(method["id"], group[other]["id"], "optimizer")
