"""The regressions that the study runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.functional import FlatModel
from robustbench_zosam.nzk.training import Regression
from robustbench_zosam.seeds import derive_seed

DATA = ("digits", "synthetic", "both")


@dataclass(frozen=True)
class Problem:
    """A regression with a name, and where its training starts.

    Attributes:
        detail: what it is, in a sentence.
        linear: whether the model is linear in its weights.
    """

    name: str
    title: str
    detail: str
    linear: bool
    regression: Regression

    def starts(self, seeds: Sequence[int]) -> Tensor:
        """Draws the weights before the first step.

        Returns:
            float64, shape (len(seeds), d): N(0, 1) for a linear model; for a network, biases zero
            and weights N(0, 2/fan-in).
        """
        return torch.stack([self._start(_generator("start", self.name, seed)) for seed in seeds])

    def _start(self, generator: Generator) -> Tensor:
        parts = []
        for shape in self.regression.model.shapes:
            drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
            if not self.linear:
                drawn *= (2 / shape[1]) ** 0.5 if len(shape) > 1 else 0
            parts.append(drawn.flatten())
        return torch.cat(parts)


def synthetic_linear(n: int = 100, dimension: int = 10, seed: int = 0) -> Problem:
    """Returns a linear regression: rows of unit length, integer weights 1 to 9, noise 0.05.

    Source: the recipe follows the code published with arXiv 2603.21169, which has d = 2, 30 or 50;
        entries uniform on [-1, 1] and d = 10 are chosen here.
    """
    require_integer("n", n, least=1)
    require_integer("dimension", dimension, least=1)
    generator = _generator("data", "synthetic", seed)
    raw = 2 * torch.rand(n, dimension, generator=generator, dtype=torch.float64) - 1
    inputs = raw / raw.norm(dim=1, keepdim=True)
    weights = torch.randint(1, 10, (dimension,), generator=generator).double()
    noise = 0.05 * torch.randn(n, generator=generator, dtype=torch.float64)
    return Problem(
        "synthetic-linear",
        "Synthetic, linear",
        f"{n} rows of unit length with {dimension} features; targets linear with noise 0.05",
        True,
        Regression(
            FlatModel(nn.Linear(dimension, 1, bias=False)), inputs, inputs @ weights + noise
        ),
    )


def digits(classes: tuple[int, int] = (3, 5), per_class: int = 40) -> tuple[Problem, Problem]:
    """Returns regressions on two classes of scikit-learn's digits, targets 0 and 1.

    One has a linear model, the other a 64-10-5-1 ReLU network, on the same images of unit length.

    Args:
        per_class: images of each, the first in the data's order.

    Raises:
        InputError: the classes are not two different digits, or there are not so many images.

    Source: the architecture and the labels are those of the code published with arXiv 2603.21169,
        which has other images.
    """
    if len(set(classes)) != 2 or not set(classes) <= set(range(10)):
        raise InputError(f"classes is {classes}: give two different digits from 0 to 9")
    require_integer("per_class", per_class, least=1)
    from sklearn.datasets import load_digits  # takes a second: only where it is needed

    bunch = load_digits()
    chosen = [(bunch.target == label).nonzero()[0][:per_class] for label in classes]
    if min(map(len, chosen)) < per_class:
        raise InputError(
            f"per_class is {per_class}: the classes {classes} have only "
            f"{min(map(len, chosen))} images, give fewer"
        )
    raw = torch.cat([torch.from_numpy(bunch.data[rows]) for rows in chosen]).double()
    inputs = raw / raw.norm(dim=1, keepdim=True)
    targets = torch.arange(2).repeat_interleave(per_class).double()
    what = f"{2 * per_class} images of {classes[0]} and {classes[1]}, 8×8 pixels, unit length"
    network = nn.Sequential(
        nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1)
    )
    return (
        Problem(
            "digits-linear", "Digits, linear", what, True,
            Regression(FlatModel(nn.Linear(64, 1, bias=False)), inputs, targets),
        ),
        Problem(
            "digits-network", "Digits, network", f"{what}; layers 64-10-5-1 with ReLU", False,
            Regression(FlatModel(network), inputs, targets),
        ),
    )  # fmt: skip


def make_problems(data: str, classes: tuple[int, int] = (3, 5)) -> tuple[Problem, ...]:
    """Returns the problems of a choice.

    Raises:
        InputError: unknown choice or classes.
    """
    if data not in DATA:
        raise InputError(f"--data {data!r} is not known: choose one of {', '.join(DATA)}")
    found: list[Problem] = [synthetic_linear()] if data != "digits" else []
    return (*found, *digits(classes)) if data != "synthetic" else tuple(found)


def _generator(*parts: object) -> Generator:
    return torch.Generator().manual_seed(derive_seed("nzk", *parts))
