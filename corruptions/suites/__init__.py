"""Corrupted test sets on disk, in the layouts of the published benchmarks."""

from corruptions.suites.read_arrays import open_array_suite, open_cifar10_1
from corruptions.suites.read_folders import open_folder_suite
from corruptions.suites.recipe import Recipe
from corruptions.suites.suite import Suite
from corruptions.suites.write_arrays import write_array_suite
from corruptions.suites.write_folders import write_folder_suite

__all__ = [  # noqa: RUF022 - grouped by purpose
    # writing
    "Recipe",
    "write_array_suite",
    "write_folder_suite",
    # reading
    "Suite",
    "open_array_suite",
    "open_cifar10_1",
    "open_folder_suite",
]
