"""The family of sharpness measures: their names, settings and sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.sharpness.ascent import Norm

Kind = Literal[
    "sam",
    "asam",
    "zero-order",
    "random",
    "average",
    "worst",
    "keskar",
    "lpf",
    "fisher-rao",
    "relative-flatness",
]

_SOURCES: dict[str, str] = {
    "sam": "Foret et al., Sharpness-aware minimization, 2021, eq. 2",
    "asam": "Kwon et al., ASAM, 2021, scaled as by the authors' code",
    "zero-order": "Ji et al., ZO-SAM, arXiv 2603.13115, with one query",
    "random": "mean over random directions of the same length",
    "average": "Andriushchenko et al., A modern look at sharpness, 2023",
    "worst": "Andriushchenko et al., A modern look at sharpness, 2023",
    "keskar": "Keskar et al., On large-batch training, 2017, metric 2.1",
    "lpf": "Bisla, Wang & Choromanska, Low-pass filtering SGD, 2022",
    "fisher-rao": "Liang et al., Fisher-Rao metric, geometry, and complexity, 2019",
    "relative-flatness": "Petzka et al., Relative flatness and generalization, 2021",
}
_RADIUS = {"sam", "asam", "zero-order", "random", "average", "worst", "keskar", "lpf"}


@dataclass(frozen=True)
class SharpnessMeasure:
    """One measure with its settings.

    Attributes:
        kind: which.
        rho: radius, of "average" and "lpf" the standard deviation, of "keskar" epsilon; None
            for those without one.
        q: norm of the ball of "worst", or the noise of "average": "2" Gaussian, "inf" uniform.
        adaptive: whether steps are proportional to |theta|.
        m: images of a batch that share a perturbation; None: all of them.
        draws: random displacements of "average" and "lpf"; of "zero-order" and "random", pairs of
            opposite ones.
        steps: gradient steps of "worst" and "keskar".
    """

    kind: Kind
    rho: float | None = None
    q: Norm = "2"
    adaptive: bool = False
    m: int | None = None
    draws: int = 20
    steps: int = 20

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"a measure must be one of {', '.join(get_args(Kind))}: {self.kind!r}")
        if self.kind in _RADIUS and not (self.rho is not None and 0 < self.rho < float("inf")):
            raise InputError(f"{self.kind} needs a positive rho, got {self.rho}")
        if self.q not in get_args(Norm):
            raise InputError(f"q must be one of {', '.join(get_args(Norm))}, got {self.q!r}")
        if self.draws < 2 or self.steps < 1 or (self.m is not None and self.m < 1):
            raise InputError(
                "draws must be at least 2, steps and m at least 1, "
                f"got {self.draws}, {self.steps} and {self.m}"
            )

    @property
    def source(self) -> str:
        """Paper and equation."""
        return _SOURCES[self.kind]

    @property
    def is_random(self) -> bool:
        """Whether the value is a mean over random displacements."""
        return self.kind in {"average", "lpf"}

    @property
    def name(self) -> str:
        """Its name with everything that changes its value."""
        parts = ["adaptive"] if self.adaptive else []
        parts.append(f"m-{self.kind}" if self.m else self.kind)
        if self.kind in {"average", "worst"}:
            parts.append(f"l{self.q}")
        if self.rho is not None:
            parts.append(f"{_SYMBOL.get(self.kind, 'rho')}={self.rho:g}")
        return " ".join(parts) + (f" m={self.m}" if self.m else "")


_SYMBOL = {"keskar": "epsilon", "lpf": "sigma"}


def where_it_looks(rho: float, m: int | None = 128) -> tuple[SharpnessMeasure, ...]:
    """Returns what explains a sharpness-aware optimizer of this radius: three rises of the loss.

    Along the gradient, where SAM looks; along a zero-order estimate of it, where ZO-SAM looks; and
    the mean over random directions.

    Args:
        rho: radius it was trained with.
        m: images of a mini-batch.
    """
    kinds: tuple[Kind, ...] = ("sam", "zero-order", "random")
    return tuple(SharpnessMeasure(kind, rho, m=m) for kind in kinds)


BRIEF = (
    SharpnessMeasure("sam", 0.05),
    SharpnessMeasure("sam", 0.05, m=128),
    SharpnessMeasure("average", 0.1, adaptive=True),
    SharpnessMeasure("worst", 0.5, adaptive=True, m=128),
    SharpnessMeasure("keskar", 1e-3, q="inf"),
    SharpnessMeasure("asam", 0.5),
    SharpnessMeasure("zero-order", 0.05, m=128),
    SharpnessMeasure("random", 0.05, m=128),
    SharpnessMeasure("lpf", 0.01),
    SharpnessMeasure("fisher-rao"),
    SharpnessMeasure("relative-flatness"),
)
"""One or two measures of each kind."""

FULL = (
    *(SharpnessMeasure("sam", rho) for rho in (0.05, 0.1, 0.2)),
    *(SharpnessMeasure("sam", rho, m=128) for rho in (0.05, 0.1, 0.2)),
    *(SharpnessMeasure("average", rho, adaptive=True) for rho in (0.05, 0.1, 0.2, 0.4)),
    *(SharpnessMeasure("average", rho) for rho in (0.05, 0.1, 0.2, 0.4)),
    *(SharpnessMeasure("worst", rho, m=128) for rho in (0.25, 0.5, 1.0, 2.0)),
    *(SharpnessMeasure("worst", rho, adaptive=True, m=128) for rho in (0.5, 1.0, 2.0, 4.0)),
    *(SharpnessMeasure("worst", rho, "inf", m=128) for rho in (0.0005, 0.001, 0.002, 0.004)),
    *(SharpnessMeasure("worst", rho, "inf", True, 128) for rho in (0.001, 0.002, 0.004, 0.008)),
    SharpnessMeasure("keskar", 1e-3, q="inf"),
    SharpnessMeasure("keskar", 5e-4, q="inf"),
    SharpnessMeasure("asam", 0.5),
    *where_it_looks(0.05)[1:],
    SharpnessMeasure("lpf", 0.01, draws=100),
    SharpnessMeasure("fisher-rao"),
    SharpnessMeasure("relative-flatness"),
)
"""All radii; hours on one core for a CIFAR network."""
