"""Trained models that a user names: files, cells of a run, or whole runs, and their data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robustbench_zosam.config import DataConfig, ExperimentConfig, ModelConfig
from robustbench_zosam.data.dataset import Dataset, balanced_subset
from robustbench_zosam.data.prepare import load_dataset, load_prepared
from robustbench_zosam.errors import DivergedError, InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.machine import choose_device
from robustbench_zosam.models.checkpoints import Checkpoint
from robustbench_zosam.models.for_data import load_for
from robustbench_zosam.models.predict import to_unit

MODEL_FILE, SPEC_FILE = "model.safetensors", "cell.json"  # as `runs` names them, which comes later


@dataclass(frozen=True)
class TrainedModels:
    """Trained models with the images they are measured on.

    Attributes:
        models: by name, on the device, with masks there.
        data: where the images are from.
        images: (n, 3, h, w) in [0, 1], the same for all models.
        split: the split they are from.
        seed: of the choice of images.
    """

    models: dict[str, Checkpoint]
    data: Dataset
    images: Tensor
    labels: Tensor
    split: str
    seed: int = 0

    def statistics_images(self, count: int) -> Tensor:
        """Returns training images to recompute batch-norm statistics from, class by class."""
        train = self.data.splits["train"]
        chosen = train.take(balanced_subset(train.labels, count, self.seed))
        return to_unit(torch.from_numpy(chosen.images[:]).to(self.images.device))

    def masks(self, name: str) -> dict[str, Tensor]:
        """Returns a model's masks on the device of the images."""
        found = self.models[name].masks
        return {key: mask.to(self.images.device) for key, mask in found.items()}


@contextmanager
def about(name: str) -> Iterator[None]:
    """Puts the model's name in front of the message where it cannot be measured."""
    try:
        yield
    except (InputError, DivergedError) as error:
        raise InputError(f"{name}: {error}") from error


def load_configured(
    paths: Sequence[Path], config: ExperimentConfig, *, images: int, split: str, seed: int
) -> TrainedModels:
    """Loads models and images with the data, architecture and device that a configuration sets."""
    given = config.model_fields_set
    return load_trained_models(
        paths,
        data=config.data if "data" in given else None,
        model=config.model if "model" in given else None,
        images=images,
        split=split,
        seed=seed,
        device=choose_device(config.run.device),
    )


def load_trained_models(
    paths: Sequence[Path],
    *,
    data: DataConfig | None,
    model: ModelConfig | None,
    images: int,
    split: str = "train",
    seed: int = 0,
    device: str = "cpu",
) -> TrainedModels:
    """Loads models and their images.

    Args:
        paths: checkpoint files, folders of cells, or output folders of `evaluate`.
        data: their data; None: that of the run, or the embedded data a checkpoint names.
        model: the architecture of plain state dicts.
        images: at most this many, drawn class by class.
        split: "train", "validation" or "test".
        seed: of the choice of images.

    Returns:
        The models, in the order of the paths.

    Raises:
        InputError: a path holds no model, or the models do not belong to one data set.
    """
    files = [file for path in paths for file in _files(path)]
    names = _names(files)
    found = _data(files, data)
    models = {}
    for name, file in zip(names, files, strict=True):
        models[name] = load_for(str(file), model, found)
        trained_on = models[name].header.get("data", found.name)
        if data is None and trained_on != found.name:
            raise InputError(f"the model {name} was trained on {trained_on}: name it with --data")
        models[name].model.to(device)
    chosen = found.splits[split]
    chosen = chosen.take(balanced_subset(chosen.labels, images, seed))
    pixels = to_unit(torch.from_numpy(chosen.images[:]).to(device))
    targets = torch.from_numpy(chosen.labels).to(device)
    return TrainedModels(models, found, pixels, targets, split, seed)


def _files(path: Path) -> list[Path]:
    """Returns the model files a path stands for."""
    if not path.exists():
        raise InputError(f"{path} does not exist: give a checkpoint or an output folder")
    if path.is_file():
        return [path]
    found = [path / MODEL_FILE] if (path / MODEL_FILE).is_file() else []
    found = found or sorted((path / "cells").glob(f"*/{MODEL_FILE}"))
    if not found:
        raise InputError(f"{path} holds no trained model: run `zosam-robust evaluate --out {path}`")
    return found


def _names(files: Sequence[Path]) -> list[str]:
    """Returns a name for each model: its cell's, else its file's, longer where two are alike."""
    short = [file.parent.name if file.name == MODEL_FILE else file.stem for file in files]
    names = [
        name if short.count(name) == 1 else str(file.with_suffix(""))
        for name, file in zip(short, files, strict=True)
    ]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"the model {repeated} is given more than once")
    return names


def _data(files: Sequence[Path], config: DataConfig | None) -> Dataset:
    if config is not None:
        return load_dataset(config)
    prepared = {place for file in files if (place := _prepared(file)) is not None}
    if len({place.name for place in prepared}) > 1:
        raise InputError("the models were trained on different data sets: name one with --data")
    if prepared:
        return load_prepared(min(prepared))
    return load_dataset(DataConfig())


def _prepared(file: Path) -> Path | None:
    """Returns the decoded data of a cell's run, where it is still there."""
    spec = file.with_name(SPEC_FILE)
    if file.name != MODEL_FILE or not spec.is_file():
        return None
    stored = read_json(spec)
    decoded = stored.get("data_file") if isinstance(stored, dict) else None
    if not isinstance(decoded, str):  # the one key needed, of any version
        raise InputError(f"{spec} does not say the data of the model: name it with --data")
    decoded = Path(decoded)
    beside = file.parents[2] / "cache" / decoded.name  # where a run that was moved has it
    return next((place for place in (decoded, beside) if place.is_file()), None)
