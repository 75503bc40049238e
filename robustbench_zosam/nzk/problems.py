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

_IMAGES = 80  # of the digits, of all classes together: kernels have (nC)² entries
DATA = ("digits", "synthetic", "both")


@dataclass(frozen=True)
class Problem:
    """A regression with a name, and where its training starts.

    Attributes:
        detail: what it is, in a sentence.
        linear: whether the model is linear in its weights.
        outputs: names of the outputs where there are several, in their order.
        start: weights that every run starts from, (d,); drawn for each seed where none are given.
    """

    name: str
    title: str
    detail: str
    linear: bool
    regression: Regression
    outputs: tuple[str, ...] = ()
    start: Tensor | None = None

    def starts(self, seeds: Sequence[int]) -> Tensor:
        """Draws the weights before the first step.

        Returns:
            float64, shape (len(seeds), d): N(0, 1) for a linear model; for a network, biases zero
            and weights N(0, 2/fan-in). The weights of a trained model are those it has.
        """
        if self.start is not None:
            return self.start.double().repeat(len(seeds), 1)
        return torch.stack([self._start(_generator("start", self.name, seed)) for seed in seeds])

    def _start(self, generator: Generator) -> Tensor:
        parts = []
        for shape in self.regression.model.shapes:
            drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
            if not self.linear:
                drawn *= (2 / shape[1]) ** 0.5 if len(shape) > 1 else 0
            parts.append(drawn.flatten())
        return torch.cat(parts)


def synthetic_linear(
    n: int = 100, dimension: int = 10, seed: int = 0, *, outputs: int = 1
) -> Problem:
    """Returns a linear regression: rows of unit length, integer weights 1 to 9, noise 0.05.

    Args:
        n: rows.
        dimension: features.
        seed: of the data.
        outputs: C, each with weights and noise of its own.

    Source: the recipe follows the code published with arXiv 2603.21169, which has d = 2, 30 or 50
        and one output; entries uniform on [-1, 1] and d = 10 are chosen here.
    """
    require_integer("n", n, least=1)
    require_integer("dimension", dimension, least=1)
    require_integer("outputs", outputs, least=1)
    generator = _generator("data", "synthetic", seed)
    several = (outputs,) if outputs > 1 else ()
    raw = 2 * torch.rand(n, dimension, generator=generator, dtype=torch.float64) - 1
    inputs = raw / raw.norm(dim=1, keepdim=True)
    weights = torch.randint(1, 10, (dimension, *several), generator=generator).double()
    noise = 0.05 * torch.randn(n, *several, generator=generator, dtype=torch.float64)
    targets = "targets" if outputs == 1 else f"{outputs} targets"
    return Problem(
        "synthetic-linear",
        "Synthetic, linear",
        f"{n} rows of unit length with {dimension} features; {targets} linear with noise 0.05",
        True,
        Regression(
            FlatModel(nn.Linear(dimension, outputs, bias=False)), inputs, inputs @ weights + noise
        ),
        tuple(map(str, range(1, outputs + 1))) if outputs > 1 else (),
    )


def digits(
    classes: Sequence[int] = (3, 5), per_class: int = 40, *, outputs: int | None = None
) -> tuple[Problem, Problem]:
    """Returns regressions on classes of scikit-learn's digits.

    One has a linear model, the other a 64-10-5-C ReLU network, on the same images of unit length.

    Args:
        classes: different digits.
        per_class: images of each, the first in the data's order.
        outputs: 1, with targets 0 and 1 for two classes, or one for each class, with one-hot
            targets; 1 for two classes where it is not given.

    Raises:
        InputError: the classes are not different digits, the outputs do not fit them, or there are
            not so many images.

    Source: the architecture and the labels are those of the code published with arXiv 2603.21169,
        which has other images, two classes and one output.
    """
    outputs = choose_outputs(classes, outputs)
    require_integer("per_class", per_class, least=1)
    from sklearn.datasets import load_digits  # takes a second: only where it is needed

    bunch = load_digits()
    chosen = [(bunch.target == label).nonzero()[0][:per_class] for label in classes]
    if min(map(len, chosen)) < per_class:
        raise InputError(
            f"per_class is {per_class}: the classes {tuple(classes)} have only "
            f"{min(map(len, chosen))} images, give fewer"
        )
    raw = torch.cat([torch.from_numpy(bunch.data[rows]) for rows in chosen]).double()
    inputs = raw / raw.norm(dim=1, keepdim=True)
    labels = torch.arange(len(classes)).repeat_interleave(per_class)
    targets = labels.double() if outputs == 1 else one_hot(labels, outputs)
    names = [*map(str, classes)]
    what = (
        f"{len(labels)} images of {', '.join(names[:-1])} and {names[-1]}, 8×8 pixels, unit length"
    )
    if outputs > 1:
        what += "; one output for each class, one-hot targets"
    network = nn.Sequential(
        nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, outputs)
    )
    outer = tuple(names) if outputs > 1 else ()
    return (
        Problem(
            "digits-linear", "Digits, linear", what, True,
            Regression(FlatModel(nn.Linear(64, outputs, bias=False)), inputs, targets), outer,
        ),
        Problem(
            "digits-network", "Digits, network", f"{what}; layers 64-10-5-{outputs} with ReLU",
            False, Regression(FlatModel(network), inputs, targets), outer,
        ),
    )  # fmt: skip


def choose_outputs(classes: Sequence[int], outputs: int | None = None) -> int:
    """Returns how many outputs tell classes apart: what is given, else 1 for two classes.

    Raises:
        InputError: the classes are not different digits, or the outputs do not fit them.
    """
    if len(set(classes)) != len(classes) or not set(classes) <= set(range(10)) or len(classes) < 2:
        raise InputError(
            f"classes is {tuple(classes)}: give two or more different digits from 0 to 9"
        )
    if outputs is None:
        return 1 if len(classes) == 2 else len(classes)
    if outputs != len(classes) and (outputs != 1 or len(classes) != 2):
        raise InputError(
            f"outputs is {outputs}: {len(classes)} classes take {len(classes)} outputs"
            + (", or 1" if len(classes) == 2 else "")
        )
    return outputs


def one_hot(labels: Tensor, outputs: int) -> Tensor:
    """Returns one-hot targets, float64, shape (n, C)."""
    return nn.functional.one_hot(labels, outputs).double()


def make_problems(
    data: str, classes: Sequence[int] = (3, 5), outputs: int | None = None
) -> tuple[Problem, ...]:
    """Returns the problems of a choice.

    Args:
        data: one of `DATA`.
        classes: of the digits.
        outputs: of every model; see `digits`.

    Raises:
        InputError: unknown choice or classes, or outputs that do not fit them.
    """
    if data not in DATA:
        raise InputError(f"--data {data!r} is not known: choose one of {', '.join(DATA)}")
    if data == "synthetic":
        return (synthetic_linear(outputs=1 if outputs is None else outputs),)
    found: list[Problem] = []
    if data == "both":
        found = [synthetic_linear(outputs=choose_outputs(classes, outputs))]
    return (*found, *digits(classes, _IMAGES // max(len(classes), 1), outputs=outputs))


def _generator(*parts: object) -> Generator:
    return torch.Generator().manual_seed(derive_seed("nzk", *parts))
