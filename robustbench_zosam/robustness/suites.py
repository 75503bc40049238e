"""Preparing the images of a suite, once for all models."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from corruptions.suites import Recipe, Suite, write_array_suite
from robustbench_zosam.data.dataset import Split
from robustbench_zosam.data.pixels import channels_last
from robustbench_zosam.files import write_text
from robustbench_zosam.robustness.plan import SuitePlan, input_errors

OnProgress = Callable[[int, int], None]
_BLOCK = 500  # images read at a time


def generate_suite(
    plan: SuitePlan, test: Split, on_progress: OnProgress = lambda done, total: None
) -> None:
    """Generates what is missing of a suite, in the layout of CIFAR-10-C.

    Args:
        on_progress: called with (images done, images in all).

    Raises:
        InputError: the disk is too small, or the folder holds another suite.
    """
    recipe = Recipe(corruptions=plan.corruptions, preset=plan.preset, seed=plan.seed)
    folder = Path(plan.folders[0])
    with channels_last(test.images, folder.parent) as images, input_errors():
        write_array_suite(folder, images, test.labels, recipe, on_progress)


def verify_suite(
    plan: SuitePlan, marker: Path, on_progress: OnProgress = lambda done, total: None
) -> None:
    """Decodes every image of a suite of JPEG files once, so that a damaged one costs no training.

    Args:
        plan: suites of other layouts need no decoding.
        marker: written afterwards; nothing is done where it exists for these files.
        on_progress: called with (images done, images in all).

    Raises:
        InputError: a file is damaged, or of another size.
    """
    if plan.layout != "folders" or (marker.exists() and marker.read_bytes() == plan.key.encode()):
        return
    suite = plan.open()
    blocks = [
        (name, severity, first, min(first + _BLOCK, len(suite)))
        for name in suite.corruptions
        for severity in suite.severities
        for first in range(0, len(suite), _BLOCK)
    ]
    with ThreadPoolExecutor() as pool, input_errors():
        for done, _ in enumerate(pool.map(lambda block: _size(suite, *block), blocks)):
            on_progress(done + 1, len(blocks))
    write_text(marker, plan.key)


def _size(suite: Suite, name: str, severity: int, first: int, last: int) -> int:
    return len(suite.read(name, severity, first, last))
