"""Whether a difference is small, which is not the same as whether one was found."""

from __future__ import annotations

from scipy import special

from robustbench_zosam.checks import require_number
from robustbench_zosam.schema import Equivalence, PairedDifference
from robustbench_zosam.statistics.crossed import Mixture, Pivot
from robustbench_zosam.statistics.unpaired import UnpairedPivot

MARGIN = 0.01  # one point of accuracy


def equivalence(paired: PairedDifference, margin: float = MARGIN) -> Equivalence:
    """Tests whether two methods differ by less than a margin.

    A tie alone says only that no difference was found, which is likely with few seeds. Where the
    two never differ on any image there is no spread to test with; then a true difference of the
    margin would have shown on one of n images with probability 1 - (1 - margin)^n.

    Args:
        paired: difference of scores in [0, 1].
        margin: in the unit of the scores.

    Returns:
        The larger of the two one-sided p-values, each judged at half of 1 - the level of `paired`,
        so that the interval shown is the one that must lie inside the margin.

    Source: Schuirmann, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach",
        1987.
    """
    require_number("margin", margin, above=0, below=1)
    distance = margin - abs(paired["difference"])
    if paired["se"] is None or paired["df"] is None:
        p = 1.0
    elif paired["se"] == 0:
        p = (1 - margin) ** paired["n_images"] if distance > 0 else 1.0
    elif (errors := _errors(paired)) is None:  # results of version 1 have Student's t
        p = float(special.stdtr(paired["df"], -distance / paired["se"]))
    else:
        tail = errors.tail(abs(distance))
        p = tail if distance > 0 else 1 - tail
    return {"margin": margin, "p": p, "equivalent": p < (1 - paired["level"]) / 2}


def _errors(found: PairedDifference) -> Mixture | None:
    if "nested" in found:
        return UnpairedPivot(found["nested"], found["n_images"])
    squares = found.get("squares")
    return squares and Pivot(squares, found["n_seeds"], found["n_images"])
