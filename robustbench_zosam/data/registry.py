"""The data sets that can be named; listing them imports no reader."""

from __future__ import annotations

from collections.abc import Callable

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.registry import Registry

DATASETS: Registry[Callable[[DataConfig], Dataset]] = Registry("data set", "zosam_robust.datasets")
DATASETS.add(
    "digits",
    "scikit-learn's 1,797 hand-written digits, 8x8 enlarged to 32x32 RGB; embedded, no download",
    "robustbench_zosam.data.digits:load",
    source="sklearn.datasets.load_digits",
    root="not needed",
)
DATASETS.add(
    "cifar10",
    "CIFAR-10 as torchvision stores it: ROOT/cifar-10-batches-py",
    "robustbench_zosam.data.cifar:load",
    source="Krizhevsky 2009",
    root="the folder that holds cifar-10-batches-py",
)
DATASETS.add(
    "folder",
    "any images: a folder or zip of class folders, with or without train/ and test/ above them",
    "robustbench_zosam.data.folder:load",
    root="the folder or zip, as in --data folder:PATH",
)
