"""Trained classifiers as regressions on one-hot targets: one output for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from robustbench_zosam.checks import require_integer
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.data.dataset import Dataset, Split, balanced_subset
from robustbench_zosam.errors import InputError
from robustbench_zosam.measurement.trained_models import TrainedModels, about, load_configured
from robustbench_zosam.models.predict import to_unit
from robustbench_zosam.nzk.functional import FlatModel
from robustbench_zosam.nzk.problems import Problem, one_hot
from robustbench_zosam.nzk.training import Regression

MOST_OUTPUTS = 20  # that a figure can show; the kernel grows with their square


@dataclass(frozen=True)
class Subject:
    """Trained classifiers, and which of their images and outputs are studied.

    Attributes:
        models: checkpoints, or output folders of `evaluate` or `train`.
        classes: names of the classes to tell apart, or their numbers from 0; all where none are
            given. Other images and outputs are left out.
        images: from the training set, drawn class by class.
        config: names the data and, for plain state dicts, the architecture.

    Raises:
        InputError: too few images.
    """

    models: tuple[Path, ...]
    classes: tuple[str, ...] = ()
    images: int = 20
    config: ExperimentConfig = field(default_factory=ExperimentConfig)

    def __post_init__(self) -> None:
        require_integer("--images", self.images, least=2)


def classifier_problems(subject: Subject) -> tuple[Problem, ...]:
    """Loads classifiers with their images.

    Returns:
        A problem for each: every run starts from its weights, and pruned ones stay zero.

    Raises:
        InputError: models, data or classes that do not fit, or more outputs than can be shown.
    """
    trained = load_configured(
        subject.models, subject.config, images=1, split="train", seed=0
    )  # fmt: skip
    chosen = choose_classes(subject.classes, trained.data.classes)
    split = _images(trained.data, chosen, subject.images)
    return tuple(_problem(trained, name, chosen, split) for name in trained.models)


def choose_classes(wanted: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """Returns the numbers of classes given by name or number; of all where none are given.

    Raises:
        InputError: a class is unknown or given twice, or there are too few or too many.
    """
    found = tuple(_number(name, names) for name in wanted) or tuple(range(len(names)))
    if len(set(found)) != len(found) or len(found) < 2:
        raise InputError(f"--classes {','.join(wanted)!r}: give two or more, each once")
    if len(found) > MOST_OUTPUTS:
        raise InputError(
            f"{len(found)} outputs are more than the {MOST_OUTPUTS} that can be shown: name at "
            "most as many classes with --classes"
        )
    return found


def _number(name: str, names: Sequence[str]) -> int:
    if name in names:
        return names.index(name)
    if name.isdigit() and int(name) < len(names):
        return int(name)
    raise InputError(
        f"--classes names {name!r}: the data has {', '.join(names[:10])}"
        + ("" if len(names) <= 10 else f" and {len(names) - 10} more")
    )


def _images(data: Dataset, chosen: Sequence[int], count: int) -> Split:
    """Returns training images of the chosen classes, with their places among these as labels."""
    labels = data.train.labels
    (places,) = np.isin(labels, chosen).nonzero()
    places = places[balanced_subset(labels[places], count, 0)]
    found = data.train.take(places)
    order = {label: place for place, label in enumerate(chosen)}
    return Split(found.images, np.array([order[int(label)] for label in found.labels]))


def _problem(
    trained: TrainedModels, name: str, chosen: Sequence[int], split: Split
) -> Problem:  # fmt: skip
    checkpoint = trained.models[name]
    with about(name):
        model = FlatModel(checkpoint.model, masks=checkpoint.masks, classes=chosen)
        inputs = to_unit(torch.from_numpy(split.images[:])).double()
        targets = one_hot(torch.from_numpy(split.labels), len(chosen))
        task = Regression(model, inputs, targets)
    classes = tuple(trained.data.classes[label] for label in chosen)
    return Problem(
        name,
        name,
        f"{checkpoint.config.name}, {model.size - model.dimension} of {model.size} weights pruned; "
        f"{len(split)} training images of {trained.data.title}; one output for each of "
        f"{len(classes)} classes, one-hot targets; every run starts from the trained weights",
        False,
        task,
        classes,
        model.start(),
    )
