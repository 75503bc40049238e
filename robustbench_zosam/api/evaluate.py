"""`evaluate`: robustness, flatness and landscape of a model that somebody has, in one call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zosam.api.assemble import assemble, gallery, over_images
from robustbench_zosam.api.material import Material, Normalised, Request, make_suite
from robustbench_zosam.api.measuring import Listener, Measured, measure
from robustbench_zosam.api.progress import ProgressBar
from robustbench_zosam.api.result import Interval, Result
from robustbench_zosam.api.subject import (
    Candidate,
    FindMasks,
    Masks,
    make_subject,
    outputs,
    same_random_state,
    untouched,
)
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.models.predict import to_unit
from robustbench_zosam.statistics import t_interval

Options = Mapping[str, object]
_LARGE = 96  # pixels from which flatness and landscape take fewer images by default
_MANY = 50  # classes from which the trace is estimated with probes by default


def evaluate(
    model: nn.Module | Mapping[str, nn.Module],
    data: object,
    *,
    train: object = None,
    classes: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    masks: Masks | FindMasks | Mapping[str, Masks] = "auto",
    suite: str | Path | None = None,
    corruptions: Sequence[str] = ("common",),
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    preset: str = "auto",
    seed: int = 0,
    flatness: bool | Options = True,
    landscape: bool | Options = True,
    limit: int | None = None,
    root: str | Path | None = None,
    title: str | None = None,
    out: str | Path | None = None,
    progress: bool | Listener = True,
) -> Result:
    """Measures a model: accuracy and calibration under shift, curvature, and the loss around it.

    The model stays as it is, on its device and in its mode, and so do the random states. Nothing is
    written unless `out` names a folder.

    Args:
        model: from images to logits (n, classes); or several by name, which are then compared with
            the first on the same images.
        data: test images with labels: `(images, labels)`, arrays or tensors (n, h, w, C) or
            (n, C, h, w), uint8 or floating point in [0, 1]; a torch Dataset or DataLoader; or the
            name of a data set such as "digits", or "folder:PATH".
        train: training images in the same forms, for flatness and landscape, which are properties
            of the training loss; without them the test images are taken. Named data has its own.
        classes: names of the model's outputs; those of the data set, else numbers.
        mean: of each channel, in [0, 1], as is `std`: normalisation that the model expects. Without
            both it is given images in [0, 1]. Data that is normalised already is turned back.
        masks: parameter name to boolean tensor, True where active; "auto" finds those of
            `torch.nn.utils.prune`, or exact zeros in layers with at least a hundredth of them;
            "zeros" takes every exact zero, "none" measures all weights. Of several models: by name.
        suite: stored corrupted images instead of generated ones: NAME, PATH or NAME:PATH.
        corruptions: names, or the groups "common", "extra" and "all".
        severities: from 1 to 5.
        preset: severity constants; "auto" chooses by the size of the images.
        seed: of the corruptions and of all choices of images.
        flatness: whether to measure curvature, or settings of it such as `{"spectrum": True}`. By
            default of 512 images and exactly; from 96 pixels on of 64, and from 50 classes on with
            random outputs, as an exact trace takes a pass for each class.
        landscape: whether to draw slices of the loss, or settings; by default smaller ones from 96
            pixels on.
        limit: maximum of images, with class counts as equal as possible.
        root: data directory of named data.
        title: of the report.
        out: folder for `results.json`, `results.csv`, `gallery.npz` and `report.html`.
        progress: whether to show a bar on terminals and in notebooks; or a function of stage, units
            done and units in all.

    Returns:
        The result: `summary()`, `frame()`, `report(path)`, `plot(kind)`.

    Raises:
        InputError: an argument is wrong, or the model cannot be measured; one sentence says why.

    Example:
        >>> import torch
        >>> import robustbench_zosam as rz
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 10))
        >>> images, labels = torch.rand(40, 3, 16, 16), torch.arange(40) % 10
        >>> result = rz.evaluate(model, data=(images, labels), corruptions=["contrast"])
        >>> sorted(result.frame()["corruption"].dropna().unique())
        ['clean', 'contrast']
        >>> result.plot("severity").get_xlabel()
        'severity'
    """
    started = time.perf_counter()
    request = Request(
        data, train, classes, _normalisation(mean, std), str(root) if root else None, limit
    )
    models = _by_name(model)
    with ProgressBar(progress) as bar, same_random_state(_devices(models)):
        test = request.first_split()
        side = test.images.shape[-1]
        subjects = {
            name: make_subject(each, _channels(each, side), request.normalised, own)
            for (name, each), own in zip(models.items(), _masks(models, model, masks), strict=True)
        }
        trial, labels = to_unit(_tensor(test.images[:2])), _tensor(test.labels)
        material = request.material(test, _outputs(subjects, trial, labels))
        config = _config(
            material,
            {
                "suite.source": None if suite is None else str(suite),
                "suite.corruptions": list(corruptions),
                "suite.severities": list(severities),
                "suite.preset": preset,
                "suite.seed": seed,
            },
            _curvature_options(flatness, material, seed),
            _slice_options(landscape, material, seed),
        )
        plan, images = make_suite(config.suite, material, keep=len(models) > 1)
        measured: dict[str, Measured] = {}
        for name, subject in subjects.items():
            tell = _named(bar, name if len(models) > 1 else "")
            with untouched(subject):
                measured[name] = measure(
                    name, subject, material, images, config.flatness, config.landscape, tell
                )
        seconds = time.perf_counter() - started
        results = assemble(measured, material, plan, config, title, seconds)
        shown = gallery(measured, material, images, plan.source == "generated")
    found = Result(results, shown, intervals=_intervals(measured))
    if out is not None:
        found.save(out)
    return found


def _by_name(model: nn.Module | Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    if isinstance(model, nn.Module):
        return {"model": model}
    models = dict(model) if isinstance(model, Mapping) else {"": model}
    wrong = next((m for m in models.values() if not isinstance(m, nn.Module)), None)
    if not models or wrong is not None or not all(isinstance(name, str) for name in models):
        raise InputError(
            f"model is a {type(model if wrong is None else wrong).__name__}: give a torch.nn.Module"
            ", or several by their names"
        )
    return models


def _devices(models: Mapping[str, nn.Module]) -> list[torch.device]:
    return [p.device for model in models.values() for p in list(model.parameters())[:1]]


def _normalisation(mean: Sequence[float] | None, std: Sequence[float] | None) -> Normalised | None:
    if mean is None and std is None:
        return None
    if mean is None or std is None or not len(mean) == len(std) in {1, 3}:
        raise InputError("give both mean= and std=, three numbers each, or one for grey images")
    first, second = ([float(x) for x in values] * (3 // len(values)) for values in (mean, std))
    if not all(0 <= x <= 1 for x in first) or not all(0 < x <= 1 for x in second):
        raise InputError(
            f"mean = {tuple(mean)}, std = {tuple(std)}: give them for images in [0, 1]"
        )
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])


def _channels(model: nn.Module, side: int) -> int:
    """Returns how many channels a model takes, by its first layer."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return 1 if module.in_channels == 1 else 3
        if isinstance(module, nn.Linear):
            return 1 if module.in_features == side**2 else 3
    return 3


def _masks(
    models: Mapping[str, nn.Module],
    given: object,
    masks: Masks | FindMasks | Mapping[str, Masks],
) -> list[Any]:
    """Returns the masks of each model."""
    if isinstance(masks, str):
        if masks not in {"auto", "zeros", "none"}:
            raise InputError(f"masks = {masks!r}: give auto, zeros, none, or masks by parameter")
        return [masks] * len(models)
    if isinstance(given, nn.Module):
        return [masks]
    unknown = next((name for name in masks if name not in models), None)
    if unknown is not None:
        raise InputError(f"masks names {unknown!r}, which is none of the models: give them by name")
    return [masks.get(name, "auto") for name in models]


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array)


def _outputs(subjects: Mapping[str, Candidate], images: Tensor, labels: Tensor) -> int:
    counts = {name: outputs(subject, images, labels) for name, subject in subjects.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"the models have different numbers of classes ({said}): give one task")
    return next(iter(counts.values()))


def _curvature_options(given: bool | Options, material: Material, seed: int) -> Options:
    if given is False:
        return {"enabled": False}
    large = material.data.image_size >= _LARGE
    many = len(material.data.classes) >= _MANY
    method = "output-probe" if many else "auto"
    usual: Options = {"images": 64 if large else 512, "method": method, "seed": seed}
    return {**usual, **({} if given is True else given)}


def _slice_options(given: bool | Options, material: Material, seed: int) -> Options:
    if given is False:
        return {"enabled": False}
    usual: dict[str, object] = {"seed": seed}
    if material.data.image_size >= _LARGE:
        usual |= {"images": 16, "points": 21, "directions": 3, "grid": 9}
    return {**usual, **({} if given is True else given)}


def _config(
    material: Material, suite: Options, flatness: Options, landscape: Options
) -> ExperimentConfig:
    sections = (("flatness", flatness), ("landscape", landscape))
    given = {f"{name}.{key}": value for name, options in sections for key, value in options.items()}
    return load_config(None, {"data": material.config.model_dump(), **suite, **given})


def _named(bar: ProgressBar, name: str) -> Listener:
    def tell(stage: str, done: int, total: int) -> None:
        bar(f"{name} · {stage}" if name else stage, done, total)

    return tell


def _intervals(measured: Mapping[str, Measured]) -> dict[tuple[str, str], Interval]:
    """Returns 95 % limits over images, of these trained models."""
    found: dict[tuple[str, str], Interval] = {}
    for name, each in measured.items():
        accuracy = t_interval(over_images(each))
        if accuracy.low is not None and accuracy.high is not None:
            found[name, "mean_corruption_accuracy"] = accuracy.low, accuracy.high
    return found
