"""Results in words."""

from __future__ import annotations

from robustbench_zosam.schema import ComparisonRow, DataFacts


def verdict_words(row: ComparisonRow) -> str:
    """Returns better, worse, equivalent or inconclusive; the margin tells the last two apart."""
    if row["verdict"] != "tie":
        return row["verdict"]
    return "equivalent" if row["equivalence"]["equivalent"] else "inconclusive"


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
