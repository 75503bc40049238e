"""Results in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from robustbench_zosam.schema import ClaimScope, ComparisonRow, DataFacts, Ranking

M = TypeVar("M")
METRICS_OF = {"mean": "the mean accuracy over corruptions", "clean": "the clean accuracy"}


def verdict_words(row: ComparisonRow) -> str:
    """Returns better, worse, equivalent or undecided: equality is said only where it is shown."""
    if row["verdict"] != "tie":
        return row["verdict"]
    return "equivalent" if row["equivalence"]["equivalent"] else "undecided"


def best_words(ranking: Ranking, method: str) -> str:
    """Returns how a method stands to the one of the highest mean; nothing where it was not ranked.

    Example:
        >>> ranking = {"order": ["a", "b", "c"], "with_best": ["a", "c"]}
        >>> [best_words(ranking, name) for name in "abcd"]
        ['best mean', 'lower', 'undecided', '']
    """
    if method not in ranking["order"]:
        return ""
    if method == ranking["order"][0]:
        return "best mean"
    return "undecided" if method in ranking["with_best"] else "lower"


def order_note(ranking: Ranking) -> str:
    """Returns what the order of methods means, in sentences."""
    label = METRICS_OF[ranking["metric"]]
    return (
        f"In the order of {label}. Undecided: not told from the best mean, which is not shown to "
        f"be equal to it; lower: told from it (Holm's correction over {ranking['pairs']} pairs)."
    )


def in_order(ranking: Ranking | None, methods: Sequence[M], name: Callable[[M], str]) -> list[M]:
    """Returns methods in the order of their means, those that were not ranked last.

    Args:
        name: from a method to its id.
    """
    order = [] if ranking is None else ranking["order"]
    last = len(order)
    return sorted(methods, key=lambda m: order.index(name(m)) if name(m) in order else last)


def scope_words(scope: ClaimScope) -> str:
    """Returns where a claim was made and where it was tested, and whether that is the same.

    Example:
        >>> scope_words({"paper": "CIFAR-10", "here": "digits", "differs": ["data"]})
        'Paper: CIFAR-10. Here: digits. Not the same: data.'
    """
    if not scope["paper"]:
        return f"Here: {scope['here']}."
    differs = ", ".join(scope["differs"])
    same = f"Not the same: {differs}." if differs else "They match."
    return f"Paper: {scope['paper']}. Here: {scope['here']}. {same}"


def noise_words(data: DataFacts) -> str | None:
    """Returns what is said of training labels that are wrong on purpose; None where none are.

    Example:
        >>> noise = {"kind": "symmetric", "asked": 0.2, "changed": 216, "images": 1079, "seed": 0}
        >>> noise_words({"label_noise": noise})
        '216 of 1,079 training labels (20 %) are wrong on purpose, drawn from the other classes'
    """
    noise = data.get("label_noise")
    if noise is None:
        return None
    share = f"{100 * noise['changed'] / noise['images']:.3g} %"
    drawn = "from the other classes" if noise["kind"] == "symmetric" else "by a matrix"
    return (
        f"{noise['changed']:,} of {noise['images']:,} training labels ({share}) are wrong on "
        f"purpose, drawn {drawn}"
    )
