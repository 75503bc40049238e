"""Options and passes that several optimizers have in common."""

from __future__ import annotations

from dataclasses import replace

from robustbench_zosam.optim.info import PassesPerStep
from robustbench_zosam.options import Choice, Flag, Integer, Number, Text

RHO = Number(0.05, "radius of the perturbation, in the L2 norm over all perturbed weights", least=0)
ADAPTIVE = Flag(False, "scale the perturbation with each weight")
GROUP = Integer(None, "examples per perturbation; all of the mini-batch if left out", least=1)
SHARPNESS = Number(
    0.9, "weight of the sharpness, gamma / (1 - gamma) beside the loss", least=0, below=1
)
SCOPE = Text(
    "all", "which parameters are perturbed", "all, weights, norm, or a pattern of names: layer4.*"
)
PERTURBATION = {"rho": RHO, "scope": SCOPE}
QUERIES = Integer(1, "random directions per step", least=1)
PROBE_RADIUS = Number(None, "length of the probes; rho if left out", above=0)
DIRECTIONS = Choice(
    "gaussian", "distribution of random directions", ("gaussian", "rademacher", "sphere")
)
SIDES = Choice("two", "central (two) or forward (one) differences", ("one", "two"))
PROBE_FRACTION = Number(1.0, "fraction of the mini-batch that the probes see", above=0, most=1)
PROBE_PRECISION = Choice(
    "fp32", "arithmetic of the probes; same is that of gradient passes", ("fp32", "tf32", "same")
)
SIGMA = Number(
    None, "radius per perturbed weight, rho / sqrt(their number), instead of rho", least=0
)
REUSE = Choice(
    None,
    "which probe is the forward pass of the gradient pass; both where possible if left out",
    ("both", "late", "none"),
)
ZERO_ORDER = {
    **PERTURBATION,
    "sigma": SIGMA,
    "queries": QUERIES,
    "probe_radius": PROBE_RADIUS,
    "directions": DIRECTIONS,
    "sides": SIDES,
    "probe_fraction": PROBE_FRACTION,
    "reuse": REUSE,
    "probe_precision": replace(
        PROBE_PRECISION,
        default=None,
        meaning="arithmetic of the probes; if left out, same where one is reused, else fp32",
    ),
}
SPARSE_PERTURBATION = {
    **PERTURBATION,
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


def zo_sam_passes(
    *,
    queries: int,
    sides: str,
    probe_fraction: float,
    reuse: str | None,
    probe_radius: float | None,
    probe_precision: str | None = None,
    delta: float | None = None,
    **_: object,
) -> PassesPerStep:
    """Returns the passes of a step with one gradient at the estimated perturbation.

    With `reuse="late"` every other step, at the worst, repeats a forward pass.
    """
    elsewhere = probe_radius is not None or delta is not None or probe_precision in {"fp32", "tf32"}
    if queries > 1 or sides == "one" or probe_fraction < 1 or elsewhere or reuse == "none":
        return PassesPerStep(1 + probe_fraction * probes_per_step(queries, sides), 1)
    return PassesPerStep(2.5 if reuse == "late" else 2, 1)


def ssam_f_passes(
    *, samples: int, update_epochs: int, batch_size: int, steps_per_epoch: int, **_: object
) -> PassesPerStep:
    """Returns the passes of a step with its share of the Fisher information."""
    passes = 2 + samples / (batch_size * update_epochs * steps_per_epoch)
    return PassesPerStep(passes, passes)


def xsam_passes(
    *,
    ascent_steps: int,
    alpha: float | None,
    alpha_max: float,
    alpha_step: float,
    steps_per_epoch: int,
    **_: object,
) -> PassesPerStep:
    """Returns the passes of a step with its share of the search."""
    search = (alpha_max / alpha_step + 1) / steps_per_epoch if alpha is None else 0
    return PassesPerStep(ascent_steps + 1 + search, ascent_steps + 1)


def esam_passes(*, gamma: float, **_: object) -> PassesPerStep:
    """Returns the passes of a step, of which one is over a part of the mini-batch."""
    return PassesPerStep(2 + gamma if gamma < 1 else 2, 1 + gamma)


def looksam_passes(*, interval: int, **_: object) -> PassesPerStep:
    """Returns the passes of a step, of which some are those of SAM."""
    return PassesPerStep(1 + 1 / interval, 1 + 1 / interval)


def zo_sgd_passes(*, queries: int, sides: str, **_: object) -> PassesPerStep:
    """Returns the passes of a step that has probes alone."""
    return PassesPerStep(probes_per_step(queries, sides), 0)
