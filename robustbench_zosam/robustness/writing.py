"""Writing the corrupted copy of a data set in the layouts of the published suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from corruptions.suites import Recipe, write_array_suite, write_folder_suite
from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.data.pixels import channels_last
from robustbench_zosam.data.prepare import load_dataset
from robustbench_zosam.files import require_writable
from robustbench_zosam.robustness.plan import choose_preset, expand, input_errors

Layout = Literal["auto", "cifar-c", "imagenet-c"]


def write_suite(
    data: DataConfig,
    out: Path,
    *,
    corruptions: tuple[str, ...] = ("all",),
    preset: str = "auto",
    layout: Layout = "auto",
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Corrupts the test images of a data set at all severities; resumes an interrupted copy.

    Args:
        corruptions: names, or the groups common, extra and all.
        preset: severity constants of which suite; by image size if "auto".
        layout: "cifar-c" (arrays) or "imagenet-c" (JPEG files in class folders); arrays for
            images of less than 48 pixels if "auto".
        on_progress: called with (images written, images in all).

    Returns:
        One sentence that says what was written.

    Raises:
        InputError: an argument is wrong, the data is missing, or the folder holds another suite.
    """
    require_writable(out)
    with input_errors():
        names = expand(corruptions)
        choose_preset(preset, 0)  # a misspelt name must not cost the time of reading the data
    dataset = load_dataset(data)
    recipe = Recipe(corruptions=names, preset=choose_preset(preset, dataset.image_size), seed=seed)
    labels, title, files = dataset.test.labels, dataset.title, list(_files(dataset))
    pixels = dataset.test.images
    del dataset  # the training images are most of the memory
    arrays = layout == "cifar-c" or (layout == "auto" and recipe.preset == "cifar")
    with channels_last(pixels, out) as images, input_errors():
        if arrays:
            write_array_suite(out, images, labels, recipe, on_progress)
        else:
            write_folder_suite(out, images, files, recipe, on_progress)
    kind = "CIFAR-10-C" if arrays else "ImageNet-C"
    return (
        f"{len(names)} corruptions of the {len(labels)} test images of {title} with preset "
        f"{recipe.preset} and seed {seed}, in the layout of {kind}"
    )


def _files(dataset: Dataset) -> Iterator[str]:
    for number, label in enumerate(dataset.test.labels):
        yield f"{dataset.classes[label].replace('/', '_')}/test_{number:08}.JPEG"
