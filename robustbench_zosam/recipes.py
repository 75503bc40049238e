"""Published training recipes, and a quick one: named settings that everything else overrides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.registry import Entry, Registry
from robustbench_zosam.schema import RecipeFacts

Settings = dict[str, Any]
"""Dotted keys to values of the configuration."""


@dataclass(frozen=True, kw_only=True)
class RecipeInfo(Entry[Settings]):
    """A training as named settings.

    Attributes:
        notes: what differs from the source or is not known.
    """

    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Returns settings and notes too, as JSON values."""
        return super().as_dict() | {"settings": self.load(), "notes": list(self.notes)}


RECIPES = Registry("recipe", RecipeInfo, group="zosam_robust.recipes")

_DIGITS_RADII: Settings = {
    "optimizer.random-perturbation.rho": 8,
    "optimizer.sam.rho": 1,
    "optimizer.zo-sam.rho": 8,
    "optimizer.zo-sam-guided.rho": 1,
    "optimizer.s2-sam.rho": 1,
}
_SPLIT = (
    "a tenth of the training images is set apart for validation (data.validation_fraction); the "
    "published trainings use all and report the best epoch on the test images, here it is the last"
)
_NORMALISATION = "images are normalised by the mean and deviation of the training pixels"
_BENCHMARK: Settings = {
    "data.name": "cifar10",
    "model.name": "resnet32",
    "model.width": 2.0,
    "sparsities": [0.9, 0.95, 0.98],
    "training.epochs": 160,
    "training.lr": 0.1,
    "training.momentum": 0.9,
    "training.weight_decay": 1e-4,
    "training.warmup_epochs": 0.0,
    "training.label_smoothing": 0.0,
    "training.augment": True,
    "training.channels_last": True,
}
_MEST: Settings = _BENCHMARK | {
    "training.batch_size": 64,
    "training.schedule": "cosine",
    "training.min_lr": 4e-8,
}

RECIPES.add(
    RecipeInfo(
        "digits",
        "digits of 16 pixels, 30 % of the training labels wrong, which are memorised; five seeds",
        {
            "data.name": "digits",
            "data.image_size": 16,
            "data.label_noise": 0.3,
            "model.name": "digits-resnet",
            "model.width": 0.5,
            "optimizers": ["sgd", "random-perturbation", "zo-sam", "sam"],
            "sparsifiers": ["rigl"],
            "sparsities": [0.9],
            "seeds": [0, 1, 2, 3, 4],
            "training.epochs": 60,
            "training.augment": False,
            "suite.preset": "digits",
        }
        | _DIGITS_RADII,
        "this project (reports/README.md); label noise after Foret et al. 2021, arXiv 2010.01412",
        notes=(
            "a positive control: with clean labels no method differs from another on digits; where "
            "wrong labels are memorised, flat minima are known to help (SAM, section 3.3)",
            "the radii were tuned on validation images, the same number of trials for each method, "
            "with other seeds (reports/memorised-labels); those of SAM and S²-SAM are the largest "
            "that were tried",
        ),
    ),
    RecipeInfo(
        "grasp",
        "ResNet-32 of double width on CIFAR-10: 160 epochs, steps at 80 and 120",
        _BENCHMARK
        | {
            "optimizers": ["sgd"],
            "sparsifiers": ["grasp"],
            "training.batch_size": 128,
            "training.schedule": "multistep",
            "training.milestones": [0.5, 0.75],
        },
        "Wang et al. 2020, arXiv 2002.07376, and the authors' code",
        notes=(
            "published for CIFAR-100 (`--data cifar100`) as well, with weight decay 5e-4 for "
            "VGG-19, and with 300 epochs for Tiny-ImageNet",
            _SPLIT,
            _NORMALISATION,
        ),
    ),
    RecipeInfo(
        "mest",
        "ResNet-32 of double width on CIFAR-10: 160 epochs, batches of 64, cosine",
        _MEST
        | {
            "optimizers": ["sgd"],
            "sparsifiers": ["mest-em"],
            "sparsifier.mest-em.dense_layers": [
                "backbone.conv1",
                "backbone.stages.*.shortcut",
                "backbone.fc",
            ],
        },
        "Yuan et al. 2021, arXiv 2110.14032, and the authors' code",
        notes=(
            "the sparsity is that of the 3x3 convolutions inside the blocks, as in the authors' "
            "profile; that of all convolution and linear weights is 0.5 to 1.3 points lower",
            _SPLIT,
            _NORMALISATION,
        ),
    ),
    RecipeInfo(
        "rigl250",
        "WRN-22-2 on CIFAR-10: 250 epochs, a fifth of the rate after every 30,000 steps",
        {
            "data.name": "cifar10",
            "model.name": "wrn-22-2",
            "optimizers": ["sgd"],
            "sparsifiers": ["rigl"],
            "sparsities": [0.9],
            "training.epochs": 250,
            "training.batch_size": 128,
            "training.lr": 0.1,
            "training.momentum": 0.9,
            "training.weight_decay": 5e-4,
            "training.warmup_epochs": 0.0,
            "training.schedule": "multistep",
            "training.milestones": [0.3072, 0.6144, 0.9216],
            "training.milestone_factor": 0.2,
            "training.channels_last": True,
        },
        "Evci et al. 2020, arXiv 1911.11134, the CIFAR-10 experiments",
        notes=(
            "the published training has 97,656 steps; the milestones are fractions of them",
            _SPLIT,
            _NORMALISATION,
        ),
    ),
    RecipeInfo(
        "wrn28",
        "WRN-28-10 on CIFAR-10: 200 epochs, Nesterov, a fifth of the rate at 60, 120 and 160",
        {
            "data.name": "cifar10",
            "model.name": "wrn-28-10",
            "optimizers": ["sgd"],
            "sparsifiers": ["rigl"],
            "sparsities": [0.9],
            "training.epochs": 200,
            "training.batch_size": 128,
            "training.lr": 0.1,
            "training.momentum": 0.9,
            "training.nesterov": True,
            "training.weight_decay": 5e-4,
            "training.warmup_epochs": 0.0,
            "training.schedule": "multistep",
            "training.milestones": [0.3, 0.6, 0.8],
            "training.milestone_factor": 0.2,
            "training.channels_last": True,
        },
        "Zagoruyko & Komodakis 2016, arXiv 1605.07146, section 3; sparsity is this project's",
        notes=("without dropout", _SPLIT, _NORMALISATION),
    ),
    RecipeInfo(
        "zosam-proxy",
        "stand-in for the ZO-SAM paper's training, which is not known: that of MEST",
        _MEST
        | {
            "optimizers": ["sgd", "random-perturbation", "sam", "zo-sam"],
            "sparsifiers": ["snip", "rigl", "mest-em"],
        },
        "Ji et al. 2026, arXiv 2603.13115, for methods and models; the training is MEST's",
        notes=(
            "unverified: epochs, batch size, learning rate, schedule and weight decay of the paper "
            "are not known; MEST's are taken because the paper's baselines equal MEST's",
            "unverified: rho, the number of queries and whether directions are masked; this "
            "project's defaults are taken (0.05, one query, masked)",
            "no method has a weight decay of its own, and all maskable layers are sparse",
            _SPLIT,
            _NORMALISATION,
        ),
    ),
    RecipeInfo(
        "quick",
        "ResNet-20 on CIFAR-10 at 90 % sparsity: 45 epochs of one cycle in bf16, one seed",
        {
            "data.name": "cifar10",
            "model.name": "resnet20",
            "optimizers": ["sgd"],
            "sparsifiers": ["rigl"],
            "sparsities": [0.9],
            "dense_reference": False,
            "seeds": [0],
            "training.epochs": 45,
            "training.batch_size": 128,
            "training.lr": 0.2,
            "training.momentum": 0.9,
            "training.weight_decay": 5e-4,
            "training.schedule": "one-cycle",
            "training.precision": "bf16",
            "training.channels_last": True,
        },
        "this project; the schedule after Smith & Topin 2018, arXiv 1708.07120",
        notes=(
            "to see an effect within the hour; published numbers come from trainings four times "
            "as long",
        ),
    ),
)


EMBEDDED = "digits"
"""The recipe where nobody names data, a model or a recipe."""


def recipe_settings(name: str) -> dict[str, Any]:
    """Returns the settings of a recipe as a tree.

    Example:
        >>> recipe_settings("quick")["training"]["epochs"]
        45
    """
    tree: dict[str, Any] = {}
    for key, value in RECIPES[name].load().items():
        *path, last = key.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def recipe_facts(config: ExperimentConfig) -> RecipeFacts | None:
    """Returns the recipe of a configuration, and what it changes; None without a recipe."""
    if config.recipe is None:
        return None
    entry = RECIPES[config.recipe]
    used = config.model_dump(mode="json")
    return {
        "name": entry.name,
        "source": entry.source,
        "notes": list(entry.notes),
        "changed": dict(_changes(entry.load(), used)),
    }


def _changes(settings: Settings, used: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, wanted in settings.items():
        value: Any = used
        for part in key.split("."):
            value = value[part]
        if value != wanted:
            yield key, {"recipe": wanted, "used": value}
