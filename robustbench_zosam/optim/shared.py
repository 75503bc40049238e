"""Options and passes that several optimizers have in common."""

from __future__ import annotations

from robustbench_zosam.optim.info import PassesPerStep
from robustbench_zosam.options import Choice, Integer, Number, Text

RHO = Number(0.05, "radius of the perturbation, in the L2 norm over all active weights", least=0)
QUERIES = Integer(1, "random directions per step", least=1)
PROBE_RADIUS = Number(None, "length of the probes; rho if left out", above=0)
DIRECTIONS = Choice(
    "gaussian", "distribution of random directions", ("gaussian", "rademacher", "sphere")
)
SIDES = Choice("two", "central (two) or forward (one) differences", ("one", "two"))
PROBE_FRACTION = Number(1.0, "fraction of the mini-batch that the probes see", above=0, most=1)
SPARSE_PERTURBATION = {
    "rho": RHO,
    "sparsity": Number(
        None,
        "fraction of the active weights that is not perturbed; 0.2 if left out",
        least=0,
        below=1,
    ),
    "pattern": Text(
        "unstructured",
        "which weights are chosen together",
        "unstructured, structured, or N:M as in 2:4",
    ),
    "update_epochs": Integer(5, "epochs from one choice of weights to the next", least=1),
}

PLAIN = PassesPerStep(1, 1)
SHARPNESS_AWARE = PassesPerStep(2, 2)


def probes_per_step(queries: int, sides: str) -> int:
    """Returns the forward passes of the loss queries."""
    return queries + 1 if sides == "one" else 2 * queries


def zo_sam_passes(*, queries: int, sides: str, probe_fraction: float, **_: object) -> PassesPerStep:
    """Returns the passes of a step with one gradient at the estimated perturbation."""
    return PassesPerStep(1 + probe_fraction * probes_per_step(queries, sides), 1)
