"""The images that a model is measured on: clean ones, corrupted ones, and those for flatness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import corruptions
from corruptions.suites import Suite
from robustbench_zosam.api.images import class_names, to_split
from robustbench_zosam.config import DataConfig, SuiteConfig
from robustbench_zosam.data import DATASETS, Dataset, Split, load_dataset
from robustbench_zosam.data.dataset import balanced_subset
from robustbench_zosam.data.pixels import Images
from robustbench_zosam.robustness.plan import SuitePlan, input_errors, plan_generated
from robustbench_zosam.robustness.stored import plan_stored
from robustbench_zosam.schema import DataFacts

Normalised = tuple[tuple[float, float, float], tuple[float, float, float]]
_KEPT = 2**30  # bytes of corrupted images that are kept for the next model
OWN = "images"  # what data is called that has no name


@dataclass(frozen=True)
class Material:
    """What a model is measured on.

    Attributes:
        data: clean images; those given stand for all splits that were not.
        facts: of the data.
        split: the one that flatness and landscape are measured on.
        config: the settings of the data, as results show them.
    """

    data: Dataset
    facts: DataFacts
    split: str
    config: DataConfig


@dataclass(frozen=True)
class Request:
    """What the caller said of the data.

    Attributes:
        data: a name, a data set of this package, or images with labels.
        train: images with labels for flatness and landscape.
        classes: names of the model's outputs.
        normalised: what turns back images that are normalised.
        root: data directory of a name.
        limit: maximum of images.
    """

    data: object
    train: object
    classes: Sequence[str] | None
    normalised: Normalised | None
    root: str | None
    limit: int | None

    def first_split(self) -> Split:
        """Returns the test images, before the classes of the model are known."""
        found = self._named()
        test = found.test if found else to_split(self.data, self.normalised, "data")
        return test.take(balanced_subset(test.labels, self.limit, 0))

    def material(self, test: Split, outputs: int) -> Material:
        """Returns all images.

        Args:
            test: from `first_split`.
            outputs: of the model.
        """
        named = self._named()
        if named is None:
            return self._own(test, outputs)
        return Material(replace(named, test=test), named.facts(), "train", self._config())

    def _own(self, test: Split, outputs: int) -> Material:
        names = class_names(self.data, self.classes, outputs)
        train = None if self.train is None else to_split(self.train, self.normalised, "train")
        nothing = test.take(np.empty(0, np.int64))
        size = test.images.shape[-1]
        data = Dataset(
            OWN, f"own images, {size}×{size} RGB", names, train or test, nothing, test, False
        )
        facts = data.facts()
        facts["counts"] = {"test": len(test)} if train is None else facts["counts"]
        return Material(data, facts, "test" if train is None else "train", DataConfig(name=OWN))

    def _config(self) -> DataConfig:
        name, root = str(self.data), self.root
        if name.startswith("folder:"):
            name, root = name.split(":", 1)
        return DataConfig(name=name, root=root, limit=self.limit)

    def _named(self) -> Dataset | None:
        if isinstance(self.data, Dataset):
            return self.data
        if not isinstance(self.data, str):
            return None
        config = self._config()
        DATASETS[config.name]
        return load_dataset(config)


def make_suite(config: SuiteConfig, material: Material, *, keep: bool) -> tuple[SuitePlan, Suite]:
    """Returns the corrupted images: stored ones, or made when they are read.

    Args:
        keep: whether several models will read them.
    """
    data, facts = material.data, material.facts
    if config.source is not None:
        plan = plan_stored(config, material.config, facts, data.test.labels)
        return plan, plan.open()
    plan = plan_generated(config, facts, Path())
    return plan, _on_demand(plan, data.test, keep=keep)


def _on_demand(plan: SuitePlan, test: Split, *, keep: bool) -> Suite:
    conditions = len(plan.corruptions) * len(plan.severities)
    keep = keep and conditions * int(np.prod(test.images.shape)) <= _KEPT
    kept: dict[tuple[str, int, int, int], Images] = {}

    def read(name: str, severity: int, first: int, last: int) -> Images:
        place = name, severity, first, last
        if place in kept:
            return kept[place]
        clean = np.ascontiguousarray(np.moveaxis(test.images[first:last], 1, 3))
        with input_errors():
            made = corruptions.corrupt(
                clean, name, severity, preset=plan.preset, seed=plan.seed, start=first
            )
        if keep:
            kept[place] = made
        return made

    return Suite(
        name=plan.name,
        corruptions=plan.corruptions,
        missing=(),
        severities=plan.severities,
        labels=test.labels,
        classes=(),
        notes=plan.notes,
        read=read,
    )
