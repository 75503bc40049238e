"""Distributions of random directions, with the moments that the kernel depends on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.errors import InputError

Sampler = Callable[[int, int, Generator, float], Tensor]


def _uniform(count: int, dimension: int, generator: Generator) -> Tensor:
    return torch.rand(count, dimension, generator=generator, dtype=torch.float64)


def _gaussian(count: int, dimension: int, generator: Generator, _: float) -> Tensor:
    return torch.randn(count, dimension, generator=generator, dtype=torch.float64)


def _rademacher(count: int, dimension: int, generator: Generator, _: float) -> Tensor:
    return 2 * torch.randint(2, (count, dimension), generator=generator).double() - 1


def _flat(count: int, dimension: int, generator: Generator, _: float) -> Tensor:
    return math.sqrt(3) * (2 * _uniform(count, dimension, generator) - 1)


def _laplace(count: int, dimension: int, generator: Generator, _: float) -> Tensor:
    centred = _uniform(count, dimension, generator) - 0.5
    tail = (1 - 2 * centred.abs()).clamp_min(torch.finfo(torch.float64).tiny)
    return -centred.sign() * tail.log()


def _student(count: int, dimension: int, generator: Generator, freedom: float) -> Tensor:
    """Draws by the polar method of Bailey, "Polar Generation of Random Variates", 1994."""
    radius = 1 - _uniform(count, dimension, generator)  # in (0, 1]
    angle = 2 * math.pi * _uniform(count, dimension, generator)
    length = (freedom * (radius.pow(-2 / freedom) - 1)).sqrt()
    return length * angle.cos()


def _sphere(count: int, dimension: int, generator: Generator, _: float) -> Tensor:
    normal = _gaussian(count, dimension, generator, 0.0)
    lengths = torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return normal.div(lengths).mul(math.sqrt(dimension))


def _coordinate(count: int, dimension: int, generator: Generator, _: float) -> Tensor:
    chosen = torch.randint(dimension, (count,), generator=generator)
    signs = 2 * torch.randint(2, (count,), generator=generator).double() - 1
    drawn = torch.zeros(count, dimension, dtype=torch.float64)
    drawn[torch.arange(count), chosen] = math.sqrt(dimension) * signs
    return drawn


_SAMPLERS: dict[str, Sampler] = {
    "gaussian": _gaussian,
    "rademacher": _rademacher,
    "uniform": _flat,
    "laplace": _laplace,
    "student": _student,
    "sphere": _sphere,
    "coordinate": _coordinate,
}
NAMES = tuple(_SAMPLERS)
# Second and fourth moment of an entry, at scale 1.
_MOMENTS = {
    "gaussian": (1.0, 3.0),
    "rademacher": (1.0, 1.0),
    "uniform": (1.0, 9 / 5),
    "laplace": (2.0, 24.0),
}


@dataclass(frozen=True)
class ProbeDistribution:
    """A distribution of directions z, symmetric about its mean.

    Attributes:
        name: entries that are independent and `"gaussian"` N(0, 1), `"rademacher"` +-1,
            `"uniform"` on [-√3, √3], `"laplace"` with density exp(-|x|)/2 or `"student"`; or
            whole directions, `"sphere"`, uniform on the sphere of radius √d, and `"coordinate"`,
            +-√d along a random axis.
        scale: factor of all of that.
        mean: added to every entry; not for whole directions.
        freedom: of Student's t, above 4.

    Raises:
        InputError: unknown name or a number out of range.

    Example:
        >>> ProbeDistribution("gaussian").fourth(5)
        (7.0, 0.0)
    """

    name: str = "gaussian"
    scale: float = 1.0
    mean: float = 0.0
    freedom: float = 10.0

    def __post_init__(self) -> None:
        require_choice("directions", self.name, NAMES)
        require_number("scale", self.scale, above=0)
        require_number("mean", self.mean)
        require_number("freedom", self.freedom, above=4)
        if self.mean and self._whole:
            raise InputError(f"mean is {self.mean!r}: {self.name} directions have none, give 0")

    @property
    def _whole(self) -> bool:
        return self.name in {"sphere", "coordinate"}

    @property
    def entry_moments(self) -> tuple[float, float]:
        """Second and fourth central moment of an entry, for independent entries."""
        if self.name == "student":
            v = self.freedom
            second, fourth = v / (v - 2), 3 * v**2 / ((v - 2) * (v - 4))
        else:
            second, fourth = _MOMENTS[self.name]
        return second * self.scale**2, fourth * self.scale**4

    def sample(self, count: int, dimension: int, generator: Generator) -> Tensor:
        """Draws directions.

        Args:
            count: how many.
            dimension: d.
            generator: of the CPU; the only source of randomness.

        Returns:
            float64, shape (count, d).
        """
        require_integer("count", count, least=1)
        require_integer("dimension", dimension, least=1)
        drawn = _SAMPLERS[self.name](count, dimension, generator, self.freedom)
        return self.scale * drawn + self.mean

    def second(self, dimension: int) -> tuple[float, float]:
        """Returns (a, b) of E[zzᵀ] = a·I + b·11ᵀ.

        Args:
            dimension: d.
        """
        require_integer("dimension", dimension, least=1)
        return (self.scale**2 if self._whole else self.entry_moments[0]), self.mean**2

    def fourth(self, dimension: int) -> tuple[float, float]:
        """Returns (a, b) of E[‖z‖² zzᵀ] = a·I + b·11ᵀ.

        Args:
            dimension: d.

        Source: for mean 0, E = (m₄ + (d-1)m₂²)·I, as in the corollary on a single shared vector
            of arXiv 2603.21169 for Gaussian entries; the general case is this project's own.
        """
        d = require_integer("dimension", dimension, least=1)
        if self._whole:
            return d * self.scale**4, 0.0
        (m2, m4), mean2 = self.entry_moments, self.mean**2
        return m4 + (d - 1) * m2**2 + d * m2 * mean2, mean2 * ((d + 4) * m2 + d * mean2)

    def quartic(self, dimension: int) -> tuple[float, float]:
        """Returns (α, β) of E[zzᵀAzzᵀ] = α·A + β·tr(A)·I for symmetric A.

        Args:
            dimension: d.

        Raises:
            InputError: the distribution is not rotation-invariant, so there is no such form.
        """
        self._require_rotation_invariance()
        ratio = 1.0 if self.name == "gaussian" else dimension / (dimension + 2)
        return 2 * ratio * self.scale**4, ratio * self.scale**4

    def radial_quartic(self, dimension: int) -> tuple[float, float]:
        """Returns (α, β) of E[‖z‖⁴ zzᵀAzzᵀ] = α·A + β·tr(A)·I for symmetric A.

        Args:
            dimension: d.

        Raises:
            InputError: the distribution is not rotation-invariant, so there is no such form.
        """
        alpha, beta = self.quartic(dimension)
        # E r⁸ / E r⁴: length and direction are independent.
        d = dimension
        factor = (d + 4) * (d + 6) if self.name == "gaussian" else d**2
        return factor * self.scale**4 * alpha, factor * self.scale**4 * beta

    def _require_rotation_invariance(self) -> None:
        if self.name not in {"gaussian", "sphere"} or self.mean:
            raise InputError(
                f"the expected loss has no closed form here for {self.name} directions with mean "
                f"{self.mean:g}: use gaussian or sphere with mean 0"
            )
