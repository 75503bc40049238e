"""Identities: one hash over all that can change a result, under which the result is stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel

from robustbench_zosam.config import (
    ExperimentConfig,
    ModelConfig,
    TrainingConfig,
    canonical_json,
)
from robustbench_zosam.files import content_of
from robustbench_zosam.models.hub import local_file
from robustbench_zosam.models.naming import IMAGENET
from robustbench_zosam.runs.methods import Method
from robustbench_zosam.runs.variants import training_of

IDENTITY_VERSION = 2  # to be raised whenever the same configuration would give other numbers


def identity(**parts: object) -> str:
    """Returns the sha256 of everything that can change a result.

    Args:
        **parts: JSON values or configuration sections.
    """
    plain = {
        key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for key, value in parts.items()
    }
    text = canonical_json({"version": IDENTITY_VERSION, **plain})
    return hashlib.sha256(text.encode()).hexdigest()


def named_model(config: ExperimentConfig) -> ModelConfig | None:
    """Returns the architecture; None where the user leaves it to the checkpoints."""
    named = "model" in config.model_fields_set
    return config.model if named or not config.checkpoints else None


def training_identity(
    config: ExperimentConfig, method: Method, seed: int, fingerprint: str, threads: int
) -> str:
    """Returns the identity of a trained model, and so of all that is measured of it.

    Args:
        fingerprint: sha256 of the data.
        threads: that compute, as they split sums.
    """
    if method.kind == "checkpoint":
        named = named_model(config)
        return identity(
            checkpoint=method.content,
            model=named and named.model_dump(exclude={"allow_code", *_unused(named)}),
            fingerprint=fingerprint,
            threads=threads,
            **_outputs(named),
        )
    return identity(
        fingerprint=fingerprint,
        model=config.model.architecture() | _start(config.model),
        optimizer=method.optimizer,
        options=method.options,
        sparsifier=method.sparsifier,
        sparsifier_options=method.sparsifier_options,
        sparsity=method.sparsity,
        seed=seed,
        training=_recipe(training_of(config, method)),
        threads=threads,
        **_flip(config),
        **({"optimizer_class": method.optimizer_class} if method.optimizer_class else {}),
    )


_NEWER = ("nesterov", "milestone_factor", "augmentation", "mixing", "mixing_alpha")


def _recipe(training: TrainingConfig) -> dict[str, object]:
    """Returns a recipe without newer settings that are not used: earlier results stay valid."""
    default = TrainingConfig()
    unused = {name for name in _NEWER if getattr(training, name) == getattr(default, name)}
    return training.model_dump(mode="json", exclude=unused)


def _flip(config: ExperimentConfig) -> dict[str, bool]:
    """Returns whether images are mirrored, where that is not left to the data."""
    return {} if config.data.flip is None else {"flip": config.data.flip}


def _unused(model: ModelConfig) -> set[str]:
    """Returns newer settings that are not used, so that earlier results keep their identity."""
    return set() if model.ema else {"ema"}


def _outputs(model: ModelConfig | None) -> dict[str, str]:
    """Returns the content of the list of classes, if one is read."""
    if model is None or model.classes is None or model.classes == IMAGENET:
        return {}
    return {"outputs": content_of(Path(model.classes))}


def _start(model: ModelConfig) -> dict[str, object]:
    """Returns what says from which weights training starts; nothing for random ones."""
    if model.init is not None:
        start = {"init": content_of(local_file(model.init)), "mean": model.mean, "std": model.std}
        return start | ({"ema": True} if model.ema else {})
    return {"pretrained": True, "mean": model.mean, "std": model.std} if model.pretrained else {}
