"""The data sets that can be named; listing them imports no reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.registry import Entry, Registry


@dataclass(frozen=True, kw_only=True)
class DatasetInfo(Entry[Callable[[DataConfig], Dataset]]):
    """What is known of a data set without reading it.

    Attributes:
        root: what `data.root` must be, in words.
        folder: published folder in it, to which reading is confined.
        streams: whether images can stay in files.
    """

    root: str
    folder: str | None = None
    streams: bool = False


DATASETS = Registry("data set", DatasetInfo, "zosam_robust.datasets")
DATASETS.add(
    DatasetInfo(
        "digits",
        "scikit-learn's 1,797 hand-written digits, 8x8 enlarged to 32x32 RGB; embedded, "
        "no download",
        "robustbench_zosam.data.digits:load",
        "sklearn.datasets.load_digits",
        root="not needed",
    ),
    DatasetInfo(
        "cifar10",
        "CIFAR-10 as torchvision stores it: ROOT/cifar-10-batches-py",
        "robustbench_zosam.data.cifar:load_cifar10",
        "Krizhevsky 2009",
        root="the folder that holds cifar-10-batches-py",
        folder="cifar-10-batches-py",
    ),
    DatasetInfo(
        "cifar100",
        "CIFAR-100, fine labels, as torchvision stores it: ROOT/cifar-100-python",
        "robustbench_zosam.data.cifar:load_cifar100",
        "Krizhevsky 2009",
        root="the folder that holds cifar-100-python",
        folder="cifar-100-python",
    ),
    DatasetInfo(
        "tiny-imagenet",
        "Tiny-ImageNet, 64x64, tested on its validation images: ROOT/tiny-imagenet-200 or its zip",
        "robustbench_zosam.data.tiny_imagenet:load",
        "Le and Yang 2015, Stanford CS231N",
        root="the zip, or the folder that holds tiny-imagenet-200 or its zip",
        folder="tiny-imagenet-200",
        streams=True,
    ),
    DatasetInfo(
        "folder",
        "any images: a folder or zip of class folders, with or without train/ and test/ above them",
        "robustbench_zosam.data.folder:load",
        root="the folder or zip, as in --data folder:PATH",
        streams=True,
    ),
)
