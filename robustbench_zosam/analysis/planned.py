"""Which comparisons answer a question: all else equal, one thing differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.schema import MethodFacts, Question, SettingValue


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


@dataclass(frozen=True)
class Setting:
    """Methods that differ in nothing but the optimizer.

    Attributes:
        words: sparsifier and sparsity, and values of a grid.
        sparsity: of all of them.
        varied: the values of a grid; a method that lacks one of these settings belongs to each.
        members: optimizer to method.
    """

    words: str
    sparsity: float
    varied: Mapping[str, SettingValue]
    members: Mapping[str, MethodFacts]

    @property
    def baseline(self) -> MethodFacts | None:
        """What the methods are compared with, by its role."""
        found = (m for m in self.members.values() if m["role"] in {"baseline", "reference"})
        return next(found, None)


def setting(method: MethodFacts) -> str:
    """Returns sparsifier and sparsity of a trained method, in words."""
    if method["sparsity"] == 0:
        return "dense"
    return f"{method['sparsifier']} {100 * method['sparsity']:g} %"


def described(*methods: MethodFacts) -> str:
    """Returns the setting of methods that are compared: sparsity, and their values of a grid."""
    varied = {key: value for m in methods for key, value in m.get("varied", {}).items()}
    return ", ".join([setting(methods[0]), *(f"{k} = {v}" for k, v in varied.items())])


def settings(methods: Sequence[MethodFacts]) -> tuple[Setting, ...]:
    """Returns the settings in which trained methods can be compared, like with like.

    Those of one sparsifier and sparsity are parted by the values of a grid. Where SAM and ZO-SAM
    have variants of ρ and SGD has no ρ, SGD stands beside each pair of equal ρ.
    """
    groups: dict[tuple[str, float], list[MethodFacts]] = {}
    for m in methods:
        if m["kind"] == "trained":
            groups.setdefault((m["sparsifier"], m["sparsity"]), []).append(m)
    return tuple(
        Setting(
            described({**group[0], "varied": varied}),
            sparsity,
            varied,
            {m["optimizer"]: m for m in group if agrees(m, varied)},
        )
        for (_, sparsity), group in groups.items()
        for varied in _assignments(group)
    )


def agrees(method: MethodFacts, varied: Mapping[str, SettingValue]) -> bool:
    """Returns whether each of a method's values of a grid is among these."""
    return method.get("varied", {}).items() <= varied.items()


def _assignments(group: Sequence[MethodFacts]) -> list[dict[str, SettingValue]]:
    """Returns the values of a grid that are no part of others, each once."""
    found: list[dict[str, SettingValue]] = []
    for m in group:
        varied = m.get("varied", {})
        if varied not in found:
            found.append(varied)
    return [one for one in found if not any(one.items() < other.items() for other in found)]


def plan_comparisons(methods: Sequence[MethodFacts]) -> tuple[Planned, ...]:
    """Chooses the comparisons that answer a question.

    Args:
        methods: in the form of the results.

    Returns:
        Each optimizer against the baseline at equal sparsity and against the optimizers it stands
        beside (see `OptimizerInfo.compared_with`), the sparse baseline against the dense one;
        variants of a grid at equal values; loaded checkpoints against the first of them.
    """
    loaded = [m["id"] for m in methods if m["kind"] == "checkpoint"]
    planned = [Planned(name, loaded[0], "model") for name in loaded[1:]]
    found = settings(methods)
    for each in found:
        planned += _within(each)
    planned += _across(found)
    return tuple(dict.fromkeys(planned))


def _across(found: Sequence[Setting]) -> Iterator[Planned]:
    """Yields the comparisons of sparse baselines with the dense one of the same recipe."""
    dense = [each.baseline for each in found if each.sparsity == 0]
    for each in found:
        same = (d for d in dense if d is not None and agrees(d, each.varied))
        reference = next(same, None)
        if each.sparsity > 0 and each.baseline is not None and reference is not None:
            yield Planned(each.baseline["id"], reference["id"], "sparsity")


def _within(found: Setting) -> Iterator[Planned]:
    """Yields the comparisons between the optimizers of one setting."""
    group = found.members
    reference = (found.baseline or next(iter(group.values())))["id"]
    for optimizer, method in group.items():
        if method["id"] != reference:
            yield Planned(method["id"], reference, "optimizer")
        if optimizer not in OPTIMIZERS:  # its plug-in is not installed
            continue
        for other in OPTIMIZERS[optimizer].compared_with:
            if other in group and group[other]["id"] != reference:
                yield Planned(method["id"], group[other]["id"], "optimizer")
